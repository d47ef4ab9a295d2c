"""What the words of a lost trade speak of is kept as a suggestion: with its source, on the review page, and as evidence
only once a person has confirmed it."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Desk, User
from apps.common.errors import Misconfigured
from apps.lessons.models import Case, CaseTag
from apps.lessons.selectors.evidence import evidence
from apps.lessons.services import reviews, tagging
from apps.lessons.types import MistakeTag, Plan
from tests.factories.lessons import NO_STOP, REVENGE, CaseFactory, closed_trade, remembered

pytestmark = pytest.mark.django_db

STALE = "The quote we used was twenty minutes old."
NOW_IT_IS = MistakeTag.STALE_DATA.value


@pytest.fixture(autouse=True)
def static(settings: Any) -> None:
    settings.EMBEDDINGS_PROVIDER = "static"


def told(desk: Desk, **changes: Any) -> Case:
    return CaseFactory(desk=desk, **{"plan": Plan(thesis=STALE), "facts": (), "tags": (), **changes})


def tags(case: Case) -> dict[str, tuple[str, bool]]:
    return {row.tag: (row.source, row.counts) for row in CaseTag.objects.filter(case=case)}


def counted(desk: Desk, now: datetime) -> int:
    return evidence(
        desk_id=desk.pk,
        tags=[NOW_IT_IS],
        violated_facts=(),
        window_days=90,
        verdicts=("PROCESS_ERROR", "UNKNOWN"),
        now=now,
    ).losses


def test_it_is_kept_with_its_source_and_counts_for_nothing_until_confirmed(
    desk: Desk, approver: User, now: datetime
) -> None:
    case = told(desk, closed_at=now - timedelta(days=1))
    row = CaseTag.objects.get(case=case, tag=NOW_IT_IS)
    assert (row.source, row.counts, row.confirmed_by) == ("PROTOTYPE", False, None)
    assert 0.15 <= row.confidence < 1
    assert case.verdict == "UNKNOWN"
    assert counted(desk, now) == 0
    reviews.review(
        lesson_id=case.lesson.pk, reviewer=approver, version=1, confirm_tags=[MistakeTag.STALE_DATA], now=now
    )
    assert tags(case)[NOW_IT_IS] == ("PROTOTYPE", True)
    assert counted(desk, now) == 1


def test_who_knows_better_is_believed_and_a_win_teaches_nothing(desk: Desk) -> None:
    said = told(desk, tags=(REVENGE, NO_STOP), notes="It was revenge after a loss, without a stop.")
    assert tags(said) | {NOW_IT_IS: ("PROTOTYPE", False)} == tags(said)
    assert (tags(said)["revenge"], tags(said)["no_stop"]) == (("REPORTED", False), ("RULE", True))
    assert tags(told(desk, pnl=Decimal(5))) == {}
    assert tags(told(desk, plan=Plan(), notes="")) == {}


def test_remembering_it_again_changes_nothing_whoever_reads_texts_today(
    desk: Desk, now: datetime, settings: Any
) -> None:
    trade = closed_trade(desk=desk, plan=Plan(thesis=STALE), facts=(), tags=())
    before = tags(remembered(trade, now=now))
    settings.EMBEDDINGS_PROVIDER = "hash"
    assert tags(remembered(trade, now=now)) == before
    other = closed_trade(desk=desk, source_id=trade.source_id, plan=Plan(thesis=""), facts=(), tags=())
    assert tags(remembered(other, now=now)) == {}


def test_the_review_page_shows_it_as_a_suggestion(desk: Desk, approver: User) -> None:
    client = Client()
    client.force_login(approver, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get(reverse("admin:lessons_lesson_change", args=[told(desk).lesson.pk])).content.decode()
    row = page.partition("stale data")[2].partition("</tr>")[0]
    assert "suggested: the words are like it" in row
    assert "Not confirmed" in row
    assert f'name="tag:{NOW_IT_IS}" value="confirm"' in row


def test_a_case_is_made_without_them_where_they_cannot_be_had(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(text: str) -> tuple[Any, ...]:
        raise Misconfigured("EMBEDDINGS_UNAVAILABLE", "No weights.")

    monkeypatch.setattr(tagging, "suggest", away)
    assert tags(told(desk, tags=(NO_STOP,))) == {"no_stop": ("RULE", True)}


def test_a_sentence_model_is_not_waited_for(settings: Any) -> None:
    settings.EMBEDDINGS_PROVIDER = "sentence_transformers"
    settings.EMBEDDINGS_MODEL = "/nowhere"
    assert tagging.suggest(STALE)
