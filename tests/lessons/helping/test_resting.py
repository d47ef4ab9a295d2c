"""Lessons that never help rest: not shown, not indexed, counted as before, and woken by a person."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Desk, User
from apps.audit.selectors import events_of
from apps.common.errors import AikaError, Forbidden
from apps.lessons import tasks
from apps.lessons.index import store
from apps.lessons.index.values import collection_of, point_id
from apps.lessons.models import Case, IndexEntry, IndexSpace, Lesson, Recall, RecallFeedback, RecallItem
from apps.lessons.recall_types import Question, Viewer
from apps.lessons.rules.resting import DISMISSED_MIN, SHOWN_MIN, Tried, to_rest
from apps.lessons.selectors import recalled
from apps.lessons.selectors.evidence import evidence
from apps.lessons.services import feedback, recalls, resting, reviews
from apps.lessons.types import CaseVerdict, EntryKind, EntryState, FeedbackVerdict, RecallPurpose
from tests.factories.accounts import UserFactory
from tests.factories.lessons import TOO_TIGHT, LessonFactory

pytestmark = pytest.mark.django_db

Fill = Callable[..., IndexSpace]
NOT_SIMILAR, USEFUL = FeedbackVerdict.NOT_SIMILAR, FeedbackVerdict.USEFUL


@pytest.fixture
def lesson(desk: Desk, now: datetime) -> Lesson:
    return LessonFactory(desk=desk, proposer_id=uuid4(), closed_at=now - timedelta(days=2))


def shown(lesson: Lesson, at: datetime, times: int = 1, **changes: Any) -> list[RecallItem]:
    """It was recalled for so many proposals."""
    counter = changes.pop("counter_example", False)
    values = {"desk": lesson.case.desk, "purpose": RecallPurpose.PAGE, "asked_at": at, **changes}
    return [
        RecallItem.objects.create(
            recall=Recall.objects.create(**{"proposal_id": uuid4(), **values}),
            case=lesson.case,
            rank=1,
            score=1,
            counter_example=counter,
        )
        for _ in range(times)
    ]


def said(item: RecallItem, person: User, verdict: FeedbackVerdict, now: datetime) -> None:
    feedback.say(item_id=item.pk, person=person, verdict=verdict, now=now)


def never_helps(lesson: Lesson, person: User, now: datetime) -> list[RecallItem]:
    """Shown and dismissed exactly as often as it takes."""
    items = shown(lesson, now, SHOWN_MIN)
    for item in items[:DISMISSED_MIN]:
        said(item, person, NOT_SIMILAR, now)
    return items


def rests(lesson: Lesson) -> bool:
    return Lesson.objects.get(pk=lesson.pk).rests_since is not None


def asked(lesson: Lesson, now: datetime, **changes: Any) -> list[UUID]:
    """The cases that are recalled for one just like it."""
    question = Question(product="ETH-USD", side="BUY", tags=("no_stop",), facts=(TOO_TIGHT,), **changes)
    found = recalls.recall(
        desk=lesson.case.desk_id, question=question, viewer=Viewer(), purpose=RecallPurpose.QUERY, now=now
    )
    return [one.case for one in found.results]


def test_what_was_shown_often_and_never_useful_rests_with_an_event(
    lesson: Lesson, approver: User, now: datetime
) -> None:
    items = never_helps(lesson, approver, now)
    assert (tasks.rest(), resting.rest(now=now)) == ({"rested": 1}, 0)
    kept = Lesson.objects.get(pk=lesson.pk)
    assert kept.rests_since is not None
    assert (kept.state, kept.version) == ("AUTO", lesson.version + 1)
    assert [event.kind for event in events_of(f"case:{lesson.case_id}")].count("lesson.rested") == 1
    assert recalled.answer_of(items[0].recall).results == ()


@pytest.mark.parametrize(
    ("shown_", "useful", "dismissed", "rests_"),
    [
        (SHOWN_MIN, 0, DISMISSED_MIN, True),
        (SHOWN_MIN - 1, 0, DISMISSED_MIN, False),
        (SHOWN_MIN, 0, DISMISSED_MIN - 1, False),
        (1_000, 0, 0, False),
        (1_000, 1, 900, False),
    ],
)
def test_both_numbers_are_needed_and_one_who_finds_it_useful_keeps_it(
    shown_: int, useful: int, dismissed: int, rests_: bool
) -> None:
    tried = Tried(lesson=uuid4(), shown=shown_, useful=useful, dismissed=dismissed)
    assert to_rest([tried]) == ((tried,) if rests_ else ())


def test_what_is_no_showing_and_no_answer_is_not_counted(
    desk: Desk, lesson: Lesson, approver: User, now: datetime
) -> None:
    items = shown(lesson, now, SHOWN_MIN - 1)
    for item in items[:DISMISSED_MIN]:
        said(item, approver, NOT_SIMILAR, now)
    shown(lesson, now, 5, purpose=RecallPurpose.POLICY)
    shown(lesson, now, 5, withheld=True)
    shown(lesson, now, 5, counter_example=True)
    shown(lesson, now, 5, proposal_id=items[0].recall.proposal_id)
    assert resting.rest(now=now) == 0
    shown(lesson, now, 1, proposal_id=None)
    assert resting.rest(now=now) == 1


def test_whoever_asked_for_the_trade_cannot_dismiss_its_lesson(desk: Desk, trader: User, now: datetime) -> None:
    own = LessonFactory(desk=desk, proposer_id=trader.pk)
    items = shown(own, now, SHOWN_MIN)
    for item in items[:DISMISSED_MIN]:
        with pytest.raises(Forbidden, match="LESSON_OWN"):
            said(item, trader, NOT_SIMILAR, now)
        # As somebody said it who became the proposer by a correction of the outcome.
        RecallFeedback.objects.create(item=item, person=trader, verdict=NOT_SIMILAR, said_at=now)
    assert resting.rest(now=now) == 0
    for item in items[:DISMISSED_MIN]:
        said(item, UserFactory(role="trader", desk=desk), NOT_SIMILAR, now)
    said(items[-1], trader, USEFUL, now)
    assert resting.rest(now=now) == 0
    RecallFeedback.objects.filter(item=items[-1]).update(verdict=NOT_SIMILAR)
    assert resting.rest(now=now) == 1


def test_it_is_neither_shown_nor_indexed_and_counts_as_before(
    desk: Desk, lesson: Lesson, approver: User, now: datetime, fill: Fill
) -> None:
    other = LessonFactory(desk=desk, closed_at=now - timedelta(days=2))
    space = fill()
    entry = IndexEntry.objects.filter(kind=EntryKind.CASE, subject=lesson.case_id, space=space)
    place = (collection_of(EntryKind.CASE, space.name), point_id(EntryKind.CASE, lesson.case_id))

    def stands() -> bool:
        points, _ = store().scroll(place[0])
        return place[1] in {point.id for point in points}

    def counted() -> object:
        return evidence(
            desk_id=desk.pk,
            tags=("no_stop",),
            violated_facts=("stop_distance",),
            window_days=30,
            verdicts=(CaseVerdict.PROCESS_ERROR,),
            now=now,
        )

    before, case = counted(), Case.objects.filter(pk=lesson.case_id).values().get()
    assert set(asked(lesson, now)) == {lesson.case_id, other.case_id}
    assert stands()
    never_helps(lesson, approver, now)
    assert resting.rest(now=now) == 1
    fill()
    assert (entry.get().state, stands()) == (EntryState.GONE, False)
    assert asked(lesson, now) == [other.case_id]
    assert set(asked(lesson, now, counted_only=True)) == {lesson.case_id, other.case_id}
    assert (counted(), Case.objects.filter(pk=lesson.case_id).values().get()) == (before, case)

    awake = reviews.wake(
        lesson_id=lesson.pk, reviewer=approver, version=lesson.version + 1, note="It is alike.", now=now
    )
    fill()
    assert (awake.rests_since, entry.get().state, stands()) == (None, EntryState.INDEXED, True)
    assert set(asked(lesson, now)) == {lesson.case_id, other.case_id}


def test_woken_what_was_said_before_is_forgotten(lesson: Lesson, approver: User, now: datetime) -> None:
    never_helps(lesson, approver, now)
    resting.rest(now=now)
    reviews.wake(lesson_id=lesson.pk, reviewer=approver, version=lesson.version + 1, note="No.", now=now)
    assert resting.rest(now=now) == 0
    never_helps(lesson, approver, now + timedelta(days=1))
    assert resting.rest(now=now + timedelta(days=1)) == 1


def test_a_person_wakes_it_on_its_page(lesson: Lesson, approver: User, now: datetime) -> None:
    never_helps(lesson, approver, now)
    resting.rest(now=now)
    client = Client()
    client.force_login(approver, backend="allauth.account.auth_backends.AuthenticationBackend")
    page, wake = (reverse(f"admin:lessons_lesson_{name}", args=[lesson.pk]) for name in ("change", "wake"))
    assert "Not shown any more" in client.get(page).content.decode()
    assert "not shown any more" in client.get(reverse("admin:lessons_lesson_changelist")).content.decode()
    version = Lesson.objects.get(pk=lesson.pk).version
    assert "Say why." in client.post(wake, {"version": version}, follow=True).content.decode()
    answer = client.post(wake, {"version": version, "note": "It is alike."}, follow=True).content.decode()
    assert "Shown again" in answer
    assert (rests(lesson), wake in answer) == (False, False)


def test_who_may_not_wake_it_and_what_is_awake(lesson: Lesson, approver: User, trader: User, now: datetime) -> None:
    for person, code in ((trader, "MAY_NOT_REVIEW"), (approver, "LESSON_AWAKE")):
        with pytest.raises(AikaError, match=code):
            reviews.wake(lesson_id=lesson.pk, reviewer=person, version=lesson.version, note="x", now=now)
    Lesson.objects.filter(pk=lesson.pk).update(rests_since=now)
    Case.objects.filter(pk=lesson.case_id).update(proposer_id=approver.pk)
    with pytest.raises(AikaError, match="LESSON_OWN"):
        reviews.wake(lesson_id=lesson.pk, reviewer=approver, version=lesson.version, note="x", now=now)
    assert rests(lesson)


def test_silence_is_no_verdict(lesson: Lesson, now: datetime) -> None:
    shown(lesson, now, 2 * SHOWN_MIN)
    assert resting.rest(now=now) == 0
    assert not RecallFeedback.objects.exists()
