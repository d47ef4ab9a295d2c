"""Whoever a lesson stood in the way of leaves its review to others: proposing and reviewing, end to end."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.types import Principal
from apps.common import canonical
from apps.common.errors import Denied, Forbidden
from apps.lessons.models import Case, Lesson, Recall, RecallFeedback, RecallItem
from apps.lessons.services import feedback, reviews
from apps.lessons.types import FeedbackVerdict, RecallPurpose
from apps.policies.rules.similar import CASES_MAX
from apps.trades.models import Proposal
from apps.trades.services import proposals, similar
from apps.trades.types import Narrative
from tests.factories.desk import PaperDesk
from tests.factories.lessons import LessonFactory
from tests.factories.similar import lost
from tests.factories.trading import change_policy, rules_with

pytestmark = pytest.mark.django_db


def proposed_by(paper: PaperDesk, principal: Principal, **changes: Any) -> Proposal:
    """A proposal like those that lost: a target and no stop."""
    return proposals.propose(
        intent=paper.intent(**changes),
        narrative=Narrative(rationale="It has held twice.", target=70_000),  # type: ignore[arg-type]
        principal=principal,
        idempotency_key=str(uuid4()),
        now=timezone.now(),
    )


def staff(person: User) -> Principal:
    return Principal(user_id=person.pk, api_key_id=None, name=person.username)


def verbs(lesson: Lesson, other: Lesson, person: User, **at: Any) -> list[Callable[[], object]]:
    """Everything that says something of a lesson."""
    base: dict[str, Any] = {"lesson_id": lesson.pk, "reviewer": person, "version": 1, "now": timezone.now()} | at
    return [
        lambda: reviews.review(**base, cause="Not like this one."),
        lambda: reviews.dispute(**base, note="No."),
        lambda: reviews.retire(**base, note="No."),
        lambda: reviews.supersede(**base, by_lesson_id=other.pk, note="No."),
        lambda: reviews.merge(**base, into_lesson_id=other.pk, note="No."),
        lambda: reviews.merge(**{**base, "lesson_id": other.pk}, into_lesson_id=lesson.pk, note="No."),
    ]


def held(proposal: Proposal) -> set[object]:
    items = RecallItem.objects.filter(recall__purpose=RecallPurpose.POLICY, recall__proposal_id=proposal.pk)
    return set(items.values_list("case_id", flat=True))


def test_what_is_counted_against_a_proposal_is_kept_with_whose_it_is(paper: PaperDesk) -> None:
    cases = lost(paper)
    LessonFactory(desk=paper.desk)
    proposal = proposed_by(paper, paper.principal)
    kept = Recall.objects.get(purpose=RecallPurpose.POLICY)
    assert (kept.proposal_id, kept.viewer_id, kept.desk_id) == (proposal.pk, paper.trader.pk, paper.desk.pk)
    assert held(proposal) == {case.pk for case in cases}
    assert kept.asked_at == proposal.created_at


def test_of_more_than_fifty_the_fifty_worst_are_kept_and_all_are_counted(paper: PaperDesk) -> None:
    cases = [lost(paper, 1, pnl=Decimal(-number))[0] for number in range(1, CASES_MAX + 6)]
    proposal = proposed_by(paper, paper.principal)
    assert held(proposal) == {case.pk for case in cases[5:]}
    facts: Any = canonical.decode(bytes(proposal.decision.inputs))["facts"]
    counts = [fact["values"]["now.losses"] for key, fact in facts.items() if key.startswith("SIMILAR_LOSSES")]
    assert counts == [str(len(cases))]


def test_where_no_rule_fires_nothing_is_kept_and_nothing_asked(paper: PaperDesk) -> None:
    lost(paper, 2)
    proposed_by(paper, paper.principal)
    assert not Recall.objects.filter(purpose=RecallPurpose.POLICY).exists()
    lost(paper, 1)
    with CaptureQueriesContext(connection) as captured:
        proposed_by(paper, paper.principal)
    kept = [query["sql"] for query in captured.captured_queries if "lessons_recall" in query["sql"]]
    assert len(kept) == 2


def test_where_the_rule_denies_it_is_kept_too(paper: PaperDesk) -> None:
    change_policy(paper, rules_with(similar_losses={"action": "deny"}))
    cases = lost(paper)
    denied = proposed_by(paper, paper.principal)
    assert denied.state == "DENIED"
    assert held(denied) == {case.pk for case in cases}


@pytest.mark.parametrize("by_key", [False, True])
def test_the_proposer_cannot_review_away_what_stands_in_their_way(paper: PaperDesk, by_key: bool) -> None:
    """By themselves or by a key: it is the person behind it that is compared."""
    cases = lost(paper)
    other = LessonFactory(desk=paper.desk)
    person = paper.risk
    principal = Principal(user_id=person.pk, api_key_id=paper.key.pk if by_key else None, name="x")
    waiting = proposed_by(paper, principal)
    assert waiting.needed == 2
    lesson = cases[0].lesson
    for verb in verbs(lesson, other, person):
        with pytest.raises(Forbidden, match="LESSON_OWN"):
            verb()
    assert Lesson.objects.get(pk=lesson.pk).version == 1
    assert reviews.review(lesson_id=lesson.pk, reviewer=paper.approver, version=1, now=timezone.now()).version == 2
    assert reviews.review(lesson_id=other.pk, reviewer=person, version=1, now=timezone.now()).version == 2


def test_it_lasts_for_ninety_days_after_the_last_decision(paper: PaperDesk) -> None:
    (case, *_) = lost(paper)
    waiting = proposed_by(paper, staff(paper.risk))
    later = timezone.now() + timedelta(days=89)
    with pytest.raises(Forbidden, match="LESSON_OWN"):
        reviews.review(lesson_id=case.lesson.pk, reviewer=paper.risk, version=1, now=later)
    much_later = waiting.created_at + timedelta(days=91)
    assert reviews.review(lesson_id=case.lesson.pk, reviewer=paper.risk, version=1, now=much_later).version == 2


def test_who_it_stood_in_the_way_of_does_not_say_that_it_is_not_similar(paper: PaperDesk) -> None:
    (case, *_) = lost(paper)
    waiting = proposed_by(paper, staff(paper.risk))
    shown = RecallItem.objects.get(recall__proposal_id=waiting.pk, case=case)
    with pytest.raises(Forbidden, match="LESSON_OWN"):
        feedback.say(item_id=shown.pk, person=paper.risk, verdict=FeedbackVerdict.NOT_SIMILAR, now=timezone.now())
    assert not RecallFeedback.objects.exists()
    feedback.say(item_id=shown.pk, person=paper.risk, verdict=FeedbackVerdict.USEFUL, now=timezone.now())
    feedback.say(item_id=shown.pk, person=paper.approver, verdict=FeedbackVerdict.NOT_SIMILAR, now=timezone.now())
    assert RecallFeedback.objects.count() == 2


def test_an_approval_later_keeps_what_came_to_light_since(paper: PaperDesk) -> None:
    waiting = proposed_by(paper, paper.principal)
    assert held(waiting) == set()
    cases = lost(paper)
    change_policy(paper, rules_with(similar_losses={"action": "deny"}))
    with pytest.raises(Denied):
        paper.approve(waiting)
    assert held(waiting) == {case.pk for case in cases}


def test_the_mutant_that_compares_only_who_asked_for_the_lost_trade(
    paper: PaperDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without what is kept, the person who is blocked takes the evidence out of their own way."""
    monkeypatch.setattr(similar, "hold", lambda *_, **__: None)
    (case, *_) = lost(paper)
    proposed_by(paper, staff(paper.risk))
    assert Case.objects.get(pk=case.pk).proposer_id != paper.risk.pk
    assert reviews.review(lesson_id=case.lesson.pk, reviewer=paper.risk, version=1, now=timezone.now()).version == 2
