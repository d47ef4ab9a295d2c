"""The page "Does it help?" and the pages of what the memory keeps of itself."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Desk, User
from apps.lessons.models import Evaluation, Lesson
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.lessons import CaseFactory, LessonFactory
from tests.factories.memory import EvaluationFactory, IndexEntryFactory, RecallFactory

pytestmark = pytest.mark.django_db

BASELINE = Path(__file__).with_name("query_counts.json")


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def helps(person: User) -> str:
    answer = client_of(person).get(reverse("admin:lessons_evaluation_help"))
    assert answer.status_code == 200
    return answer.content.decode()


def test_without_a_trade_it_says_that_nobody_knows_and_what_would_fill_it(desk: Desk, approver: User) -> None:
    page = helps(approver)
    for said in (
        "Nothing is measured yet (n = 0).",
        "remembers no closed trade",
        "manage.py backfill_lessons",
        "After 50 trades that repeat no mistake",
        "nobody knows whether it helps",
    ):
        assert said in page, said
    assert 'role="cell"' not in page
    CaseFactory(desk=desk)
    assert "1 closed trade is remembered." in helps(approver)


def test_a_measurement_of_few_has_its_numbers_and_no_share(desk: Desk, approver: User, now: datetime) -> None:
    case = LessonFactory(desk=desk).case
    RecallFactory(case=case, proposal_id=uuid4(), withheld=True)
    made = EvaluationFactory(desk=desk, now=now)
    page = helps(approver)
    for said in ("Nothing to say yet", "What policy counts", "Always the same instrument", "held against", made.code):
        assert said in page, said
    assert "Too few to say: 1 were held out and 0 saw lessons" in page
    assert page.count("none yet") > 20
    assert reverse("admin:lessons_recall_changelist") in page


def test_figures_are_written_with_their_numbers_and_interval(desk: Desk, approver: User, now: datetime) -> None:
    made = EvaluationFactory(desk=desk, now=now)
    sure = {"hits": 27, "of": 40, "share": "0.6750", "low": "0.5202", "high": "0.7992"}
    made.figures["warnings"][0]["recall"] = made.figures["said"]["dismissed"] = sure
    made.save()
    page = helps(approver)
    assert '68 % (52 to 80 %)<span class="sub">27 of 40</span>' in page
    assert "<dt>Called not similar, of those rated</dt><dd>68 % (52 to 80 %), 27 of 40</dd>" in page
    row = client_of(approver).get(reverse("admin:lessons_evaluation_change", args=[made.pk])).content.decode()
    assert "What policy counts: 68 % (52 to 80 %), 27 of 40" in row


def test_that_nothing_is_held_out_is_said_whatever_is_measured(
    desk: Desk, approver: User, now: datetime, settings: Any
) -> None:
    EvaluationFactory(desk=desk, now=now)
    for percent in (0, 20):
        settings.LESSONS_HOLDOUT_SHARE = percent
        page = helps(approver)
        assert f'<span class="aside">{percent} %</span>' in page
        assert ("<b>Nothing is held out</b>" in page, "is held out. LESSONS_HOLDOUT_SHARE is 0" in page) == (
            percent == 0,
            percent == 0,
        )


def test_the_newest_counts_and_only_of_ones_own_desk(desk: Desk, approver: User, now: datetime) -> None:
    foreign = DeskFactory(name="Desk of others")
    EvaluationFactory(desk=foreign, now=now)
    EvaluationFactory(desk=desk, now=now - timedelta(days=2))
    new = EvaluationFactory(desk=desk, now=now)
    # What is measured today of an earlier day does not take the place of what is so now.
    EvaluationFactory(desk=desk, now=now + timedelta(hours=1), as_of=now - timedelta(days=9))
    Evaluation.objects.exclude(pk=new.pk).filter(desk=desk).update(code="a" * 12)
    Evaluation.objects.filter(pk=new.pk).update(code="b" * 12)
    page = helps(approver)
    assert ("b" * 12 in page, "a" * 12 in page, foreign.name in page) == (True, False, False)
    boss = UserFactory(is_superuser=True)
    assert foreign.name in helps(boss)
    assert "You sit at no desk" in helps(UserFactory(role="approver"))


def test_who_may_not_look_and_what_is_no_look(desk: Desk, approver: User) -> None:
    url = reverse("admin:lessons_evaluation_help")
    assert client_of(UserFactory(desk=desk)).get(url).status_code == 403
    assert client_of(approver).post(url).status_code == 405


def test_the_way_to_it_stands_beside_the_lessons(desk: Desk, approver: User) -> None:
    url = reverse("admin:lessons_evaluation_help")
    assert url in client_of(approver).get(reverse("admin:look_back")).content.decode()
    boss = UserFactory(role="operator", desk=desk)
    assert url in client_of(boss).get(reverse("admin:look_back")).content.decode()


def test_lessons_that_rest_are_counted_and_listed(desk: Desk, approver: User, now: datetime) -> None:
    lesson = LessonFactory(desk=desk)
    awake = LessonFactory(desk=desk)
    Lesson.objects.filter(pk=lesson.pk).update(rests_since=now)
    EvaluationFactory(desk=desk, now=now)
    listed = reverse("admin:lessons_lesson_changelist") + "?rests_since__isempty=0"
    assert listed in helps(approver)
    page = client_of(approver).get(listed).content.decode()
    assert (str(lesson.pk) in page, str(awake.pk) in page) == (True, False)


def test_what_was_held_out_is_shown_to_nobody_here_neither(desk: Desk, approver: User) -> None:
    case = LessonFactory(desk=desk).case
    shown = RecallFactory(case=case, viewer=approver, text="<b>Bought</b> it.")
    withheld = RecallFactory(case=case, withheld=True)
    client, to_case = client_of(approver), reverse("admin:lessons_case_change", args=[case.pk])
    page = client.get(reverse("admin:lessons_recall_change", args=[shown.pk])).content.decode()
    assert to_case in page
    assert "&lt;b&gt;Bought&lt;/b&gt;" in page
    page = client.get(reverse("admin:lessons_recall_change", args=[withheld.pk])).content.decode()
    assert (to_case in page, "held out: shown to nobody" in page) == (False, True)


@pytest.mark.parametrize("name", ["recall", "evaluation", "indexspace", "indexentry"])
def test_what_the_memory_keeps_of_itself_is_read_only(desk: Desk, name: str) -> None:
    rows: dict[str, Any] = {"recall": RecallFactory(desk=desk), "evaluation": EvaluationFactory(desk=desk)}
    rows["indexentry"] = IndexEntryFactory()
    rows["indexspace"] = rows["indexentry"].space
    client = client_of(UserFactory(is_superuser=True))
    change = reverse(f"admin:lessons_{name}_change", args=[rows[name].pk])
    assert client.get(change).status_code == client.get(change.replace("change", "history")).status_code == 200
    assert client.post(change, {}).status_code == 403
    assert client.get(reverse(f"admin:lessons_{name}_add")).status_code == 403
    assert client.post(change.replace("change", "delete"), {"post": "yes"}).status_code == 403


def test_ten_times_the_rows_cost_as_many_queries_as_written_down(desk: Desk, approver: User) -> None:
    def grow(times: int) -> None:
        for _ in range(times):
            RecallFactory(case=LessonFactory(desk=desk).case, viewer=approver)
            EvaluationFactory(desk=desk, now=timezone.now())
            IndexEntryFactory()

    def measure() -> dict[str, int]:
        client, counts = client_of(approver), {}
        urls = {f"{name}s": f"admin:lessons_{name}_changelist" for name in ("recall", "evaluation", "indexentry")}
        for name, url in {**urls, "does_it_help": "admin:lessons_evaluation_help"}.items():
            client.get(reverse(url))
            cache.delete("desk:status")
            with CaptureQueriesContext(connection) as captured:
                assert client.get(reverse(url)).status_code == 200
            counts[name] = len(captured)
        return counts

    grow(1)
    few = measure()
    grow(9)
    assert measure() == few
    assert few == json.loads(BASELINE.read_text(encoding="utf-8"))
