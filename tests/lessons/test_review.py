"""What people make of a lesson, who may, and what follows from it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.models import Desk, User
from apps.audit.models import Event
from apps.audit.selectors import facts_of
from apps.common.errors import AikaError, Conflict, Forbidden, Invalid, NotFound
from apps.lessons.models import Case, CaseTag, IndexEntry, IndexSpace, Lesson, Recall, RecallItem
from apps.lessons.services import reviews
from apps.lessons.types import (
    CaseVerdict,
    EntryState,
    MistakeTag,
    RecallPurpose,
    ReviewState,
    SpaceState,
    TagSource,
)
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.lessons import NO_STOP, REVENGE, LessonFactory, closed_trade, confirmed, remembered

pytestmark = pytest.mark.django_db

Verb = Callable[..., Lesson]


@pytest.fixture
def lesson(desk: Desk, trader: User) -> Lesson:
    return LessonFactory(desk=desk, proposer_id=trader.pk, tags=(NO_STOP, REVENGE))


@pytest.fixture
def other(desk: Desk) -> Lesson:
    return LessonFactory(desk=desk, tags=())


@pytest.fixture
def colleague(desk: Desk) -> User:
    """Who confirms what takes a case out of the evidence."""
    made: User = UserFactory(role="risk", desk=desk)
    return made


def reviewed(lesson: Lesson, by: User, now: datetime, **changes: Any) -> Lesson:
    return reviews.review(lesson_id=lesson.pk, reviewer=by, version=lesson.version, now=now, **changes)


def tags(lesson: Lesson) -> dict[str, tuple[str, bool, bool]]:
    return {row.tag: (row.source, row.counts, row.disputed) for row in CaseTag.objects.filter(case=lesson.case)}


def test_a_review_completes_the_lesson_and_retells_its_case(
    lesson: Lesson, approver: User, colleague: User, now: datetime
) -> None:
    before = lesson.case
    done = reviewed(
        lesson,
        approver,
        now,
        confirm_tags=[MistakeTag.REVENGE],
        dispute_tags=[MistakeTag.NO_STOP],
        add_tags=[MistakeTag.CHOP],
        cause="Bought 3 minutes after a loss",
        next_time="Wait an hour after a loss",
        verdict=CaseVerdict.PROCESS_ERROR,
        note="Agreed with the trader.",
    )
    assert (done.state, done.version, done.reviewed_by, done.reviewed_at) == (ReviewState.REVIEWED, 2, approver, now)
    assert tags(lesson) == {
        "no_stop": ("RULE", True, False),
        "revenge": ("REPORTED", True, False),
        "chop": ("HUMAN", True, False),
    }
    case = Case.objects.get(pk=before.pk)
    assert case.counts
    assert "Cause: Bought 3 minutes after a loss. Next time: Wait an hour after a loss." in case.summary
    assert "Bought minutes after a loss." in case.narrative_text
    assert case.content_hash != before.content_hash
    event = Event.objects.filter(stream=f"case:{case.pk}", kind="lesson.reviewed").latest("seq")
    assert (event.kind, event.actor_id) == ("lesson.reviewed", str(approver.pk))
    assert set(facts_of(event)["payload"]["changed"]) == {  # type: ignore[index]
        "cause",
        "next_time",
        "state",
        "tag:chop",
        "tag:revenge",
    }
    assert confirmed(lesson, colleague, now).version == 3
    assert tags(lesson)["no_stop"] == ("RULE", False, True)


def test_a_review_that_changes_the_texts_puts_the_case_in_line_again(
    lesson: Lesson, approver: User, now: datetime
) -> None:
    space = IndexSpace.objects.create(
        name="s", provider="hash", dim=4, fingerprint="f", state=SpaceState.ACTIVE, created_at=now
    )
    reviewed(lesson, approver, now, cause="No stop.")
    entry = IndexEntry.objects.get()
    hash_now = Case.objects.get(pk=lesson.case_id).content_hash
    assert (entry.space, entry.subject, entry.state) == (space, lesson.case_id, EntryState.PENDING)
    assert entry.content_hash == hash_now


def test_saying_nothing_agrees(lesson: Lesson, approver: User, now: datetime) -> None:
    before = tags(lesson)
    done = reviewed(lesson, approver, now)
    assert (done.state, done.cause, tags(lesson)) == (ReviewState.REVIEWED, "", before)


def test_a_corrected_outcome_keeps_what_people_said(desk: Desk, approver: User, colleague: User, now: datetime) -> None:
    trade = closed_trade(desk=desk, tags=(NO_STOP, REVENGE))
    lesson = remembered(trade, now=now).lesson
    reviewed(
        lesson,
        approver,
        now,
        dispute_tags=[MistakeTag.NO_STOP],
        confirm_tags=[MistakeTag.REVENGE],
        verdict=CaseVerdict.EXECUTION,
        cause="Late.",
    )
    confirmed(lesson, colleague, now)
    worse = {"pnl": Decimal(-20), "r_multiple": Decimal(-2), "tags": ()}
    case = remembered(closed_trade(desk=desk, source_id=trade.source_id, **worse), now=now)
    assert tags(case.lesson) == {"no_stop": ("RULE", False, True), "revenge": ("REPORTED", True, False)}
    assert (case.verdict, case.lesson.state) == (CaseVerdict.EXECUTION, ReviewState.REVIEWED)
    assert "LOSS -2.00R" in case.summary
    assert "Cause: Late." in case.summary


@pytest.mark.parametrize(
    ("verb", "state"), [(reviews.dispute, ReviewState.DISPUTED), (reviews.retire, ReviewState.RETIRED)]
)
def test_what_is_taken_out_counts_no_more_until_it_is_reinstated(
    lesson: Lesson, approver: User, colleague: User, now: datetime, verb: Verb, state: ReviewState
) -> None:
    kept = verb(lesson_id=lesson.pk, reviewer=approver, version=1, note="The feed was wrong.", now=now)
    assert (kept.state, Case.objects.get(pk=lesson.case_id).counts) == (ReviewState.AUTO, True)
    out = confirmed(lesson, colleague, now)
    assert (out.state, Case.objects.get(pk=lesson.case_id).counts) == (state, False)
    with pytest.raises(Conflict, match="LESSON_CLOSED"):
        reviewed(out, approver, now)
    back = reviews.reinstate(lesson_id=lesson.pk, reviewer=approver, version=2, note="It was right.", now=now)
    assert (back.state, Case.objects.get(pk=lesson.case_id).counts) == (ReviewState.REVIEWED, True)
    with pytest.raises(Conflict, match="LESSON_STANDS"):
        reviews.reinstate(lesson_id=lesson.pk, reviewer=approver, version=3, note="Again.", now=now)


def test_a_lesson_people_retired_stays_retired_when_the_outcome_is_corrected(
    desk: Desk, approver: User, colleague: User, now: datetime
) -> None:
    trade = closed_trade(desk=desk)
    lesson = remembered(trade, now=now).lesson
    reviews.retire(lesson_id=lesson.pk, reviewer=approver, version=1, note="Old market.", now=now)
    confirmed(lesson, colleague, now)
    won = closed_trade(desk=desk, source_id=trade.source_id, pnl=Decimal(5))
    remembered(won, now=now)
    with pytest.raises(Conflict, match="LESSON_NO_LOSS"):
        reviews.reinstate(lesson_id=lesson.pk, reviewer=approver, version=3, note="Back.", now=now)
    case = remembered(trade, now=now)
    assert (case.lesson.state, case.counts) == (ReviewState.RETIRED, False)


def test_a_superseded_lesson_names_the_other_and_counts_no_more(
    lesson: Lesson, other: Lesson, approver: User, colleague: User, now: datetime
) -> None:
    reviews.supersede(
        lesson_id=lesson.pk, by_lesson_id=other.pk, reviewer=approver, version=1, note="Better said there.", now=now
    )
    done = confirmed(lesson, colleague, now)
    assert (done.state, done.superseded_by, done.case.counts) == (ReviewState.SUPERSEDED, other, False)
    left = Lesson.objects.select_related("case").get(pk=other.pk)
    assert (left.state, left.version, left.case.counts) == (ReviewState.AUTO, 1, True)
    with pytest.raises(Conflict, match="LESSON_CLOSED"):
        reviews.supersede(
            lesson_id=other.pk, by_lesson_id=lesson.pk, reviewer=approver, version=1, note="In a circle.", now=now
        )


def test_of_two_merged_lessons_one_stands_for_both(
    lesson: Lesson, other: Lesson, approver: User, colleague: User, now: datetime
) -> None:
    reviewed(lesson, approver, now, cause="No stop.", confirm_tags=[MistakeTag.REVENGE])
    reviewed(other, approver, now, next_time="Rest the stop first.")
    reviews.merge(
        lesson_id=lesson.pk, into_lesson_id=other.pk, reviewer=approver, version=2, note="One trade.", now=now
    )
    confirmed(lesson, colleague, now)
    stands = Lesson.objects.get(pk=other.pk)
    assert (stands.pk, stands.cause, stands.next_time) == (other.pk, "No stop.", "Rest the stop first.")
    assert tags(stands) == {"no_stop": ("HUMAN", True, False), "revenge": ("HUMAN", True, False)}
    assert "Cause: No stop." in Case.objects.get(pk=other.case_id).summary
    gone = Lesson.objects.select_related("case").get(pk=lesson.pk)
    assert (gone.state, gone.superseded_by_id, gone.case.counts) == (ReviewState.SUPERSEDED, other.pk, False)
    kinds = Event.objects.filter(stream__startswith="case:").order_by("id").values_list("kind", flat=True)
    assert {"lesson.merged", "lesson.took_over"} <= set(kinds)


def every_verb(lesson: Lesson, other: Lesson, reviewer: User, now: datetime) -> list[Callable[[], Lesson]]:
    """Each verb of a review, as a call."""
    base: dict[str, Any] = {"lesson_id": lesson.pk, "reviewer": reviewer, "version": lesson.version, "now": now}
    return [
        lambda: reviews.review(**base, dispute_tags=[MistakeTag.NO_STOP]),
        lambda: reviews.dispute(**base, note="No."),
        lambda: reviews.retire(**base, note="No."),
        lambda: reviews.reinstate(**base, note="No."),
        lambda: reviews.supersede(**base, by_lesson_id=other.pk, note="No."),
        lambda: reviews.merge(**base, into_lesson_id=other.pk, note="No."),
    ]


def test_whoever_asked_for_the_trade_cannot_review_what_it_taught(
    desk: Desk, other: Lesson, approver: User, now: datetime
) -> None:
    own = LessonFactory(desk=desk, proposer_id=approver.pk)
    for verb in every_verb(own, other, approver, now):
        with pytest.raises(Forbidden) as refused:
            verb()
        assert refused.value.code == "LESSON_OWN"
    for verb in every_verb(other, own, approver, now)[-2:]:
        with pytest.raises(Forbidden, match="LESSON_OWN"):
            verb()
    assert Lesson.objects.get(pk=own.pk).version == 1
    assert reviewed(own, UserFactory(role="approver", desk=desk), now).state == ReviewState.REVIEWED


def test_whoever_it_was_held_against_cannot_review_it_for_a_while(
    desk: Desk, lesson: Lesson, approver: User, now: datetime
) -> None:
    held = Recall.objects.create(
        desk=desk, purpose=RecallPurpose.POLICY, viewer=approver, proposal_id=uuid4(), asked_at=now
    )
    RecallItem.objects.create(recall=held, case=lesson.case, rank=1, score=1)
    with pytest.raises(Forbidden, match="LESSON_OWN"):
        reviewed(lesson, approver, now + timedelta(days=89))
    colleague = UserFactory(role="risk", desk=desk)
    assert reviewed(lesson, colleague, now).version == 2
    lesson.refresh_from_db()
    assert reviewed(lesson, approver, now + timedelta(days=91)).version == 3


def test_who_lacks_the_permission_or_the_desk_may_not(desk: Desk, lesson: Lesson, other: Lesson, now: datetime) -> None:
    people: list[tuple[User, type[AikaError], str]] = [
        (UserFactory(role="trader", desk=desk), Forbidden, "MAY_NOT_REVIEW"),
        (UserFactory(role="auditor", desk=desk), Forbidden, "MAY_NOT_REVIEW"),
        (UserFactory(role="operator", desk=desk), Forbidden, "MAY_NOT_REVIEW"),
        (UserFactory(role="approver", desk=desk, is_active=False), Forbidden, "MAY_NOT_REVIEW"),
        (UserFactory(role="approver", desk=DeskFactory()), NotFound, "LESSON_UNKNOWN"),
        (UserFactory(is_superuser=True), NotFound, "LESSON_UNKNOWN"),
    ]
    for person, kind, code in people:
        for verb in every_verb(lesson, other, person, now):
            with pytest.raises(kind, match=code):
                verb()
    assert reviewed(lesson, UserFactory(role="risk", desk=desk), now).version == 2


def test_a_lesson_that_moved_is_looked_at_again(lesson: Lesson, approver: User, now: datetime) -> None:
    reviewed(lesson, approver, now, cause="First.")
    with pytest.raises(Conflict, match="LESSON_MOVED"):
        reviews.review(lesson_id=lesson.pk, reviewer=approver, version=1, now=now, cause="Second.")
    assert Lesson.objects.get(pk=lesson.pk).cause == "First."


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"confirm_tags": [MistakeTag.CHOP]}, "TAG_UNKNOWN"),
        ({"dispute_tags": [MistakeTag.CHOP]}, "TAG_UNKNOWN"),
        ({"confirm_tags": [MistakeTag.NO_STOP], "dispute_tags": [MistakeTag.NO_STOP]}, "TAG_TWICE"),
        ({"cause": "x" * 2001}, "TEXT_TOO_LONG"),
        ({"note": "x" * 2001}, "TEXT_TOO_LONG"),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    lesson: Lesson, approver: User, now: datetime, changes: dict[str, Any], code: str
) -> None:
    before = tags(lesson)
    with pytest.raises(Invalid, match=code):
        reviewed(lesson, approver, now, **changes)
    assert (Lesson.objects.get(pk=lesson.pk).version, tags(lesson)) == (1, before)


def test_taking_out_needs_a_reason_and_another_lesson_of_the_same_desk(
    lesson: Lesson, approver: User, now: datetime
) -> None:
    base: dict[str, Any] = {"lesson_id": lesson.pk, "reviewer": approver, "version": 1, "now": now}
    elsewhere = DeskFactory()
    elsewhere.members.add(approver)
    foreign = LessonFactory(desk=elsewhere)
    refused: list[tuple[Callable[[], Lesson], str]] = [
        (lambda: reviews.dispute(**base, note=" "), "NOTE_MISSING"),
        (lambda: reviews.merge(**base, into_lesson_id=foreign.pk, note=""), "NOTE_MISSING"),
        (lambda: reviews.merge(**base, into_lesson_id=foreign.pk, note="Same."), "LESSON_OTHER_DESK"),
        (lambda: reviews.supersede(**base, by_lesson_id=lesson.pk, note="Same."), "LESSON_ITSELF"),
        (lambda: reviews.supersede(**base, by_lesson_id=uuid4(), note="Same."), "LESSON_UNKNOWN"),
    ]
    for verb, code in refused:
        with pytest.raises(AikaError, match=code):
            verb()
    assert Lesson.objects.get(pk=lesson.pk).version == 1


def test_a_tag_a_person_added_outlives_a_correction(desk: Desk, approver: User, now: datetime) -> None:
    trade = closed_trade(desk=desk, tags=())
    lesson = remembered(trade, now=now).lesson
    reviewed(lesson, approver, now, add_tags=[MistakeTag.WEEKEND])
    case = remembered(closed_trade(desk=desk, source_id=trade.source_id, tags=(), notes="Gapped."), now=now)
    row = CaseTag.objects.get(case=case)
    assert (row.source, row.counts, row.confirmed_by) == (TagSource.HUMAN, True, approver)
