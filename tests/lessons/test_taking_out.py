"""Taking a lost trade out of the evidence loosens what policy counts: one reviewer proposes it, another confirms it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Desk, SecondPersonRequest, SecondPersonState, User
from apps.accounts.services import second_person
from apps.audit.models import Event
from apps.audit.selectors import facts_of
from apps.common.errors import AikaError, Conflict, Denied, Forbidden, NotFound
from apps.lessons.models import Case, CaseTag, Lesson
from apps.lessons.selectors.evidence import evidence
from apps.lessons.services import changing, reviews, taking_out
from apps.lessons.types import CaseVerdict, MistakeTag, ReviewState
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.lessons import NO_STOP, LessonFactory, confirmed

pytestmark = pytest.mark.django_db


@pytest.fixture
def lesson(desk: Desk, now: datetime) -> Lesson:
    made: Lesson = LessonFactory(desk=desk, tags=(NO_STOP,), closed_at=now - timedelta(days=1))
    return made


@pytest.fixture
def other(desk: Desk) -> Lesson:
    made: Lesson = LessonFactory(desk=desk, tags=())
    return made


@pytest.fixture
def colleague(desk: Desk) -> User:
    made: User = UserFactory(role="risk", desk=desk)
    return made


def counted(desk: Desk, now: datetime) -> int:
    found = evidence(
        desk_id=desk.pk, tags=["no_stop"], violated_facts=(), window_days=30, verdicts=("PROCESS_ERROR",), now=now
    )
    return found.losses


def loosening(lesson: Lesson, other: Lesson, person: User, now: datetime) -> list[Callable[[], Lesson]]:
    """Everything by which less could count."""
    base: dict[str, Any] = {"lesson_id": lesson.pk, "reviewer": person, "version": lesson.version, "now": now}
    return [
        lambda: reviews.dispute(**base, note="No."),
        lambda: reviews.retire(**base, note="No."),
        lambda: reviews.supersede(**base, by_lesson_id=other.pk, note="No."),
        lambda: reviews.merge(**base, into_lesson_id=other.pk, note="No."),
        lambda: reviews.review(**base, dispute_tags=[MistakeTag.NO_STOP]),
        lambda: reviews.review(**base, verdict=CaseVerdict.PLANNED_LOSS),
    ]


@pytest.mark.parametrize("which", range(6))
def test_it_counts_until_another_reviewer_confirms(
    desk: Desk, lesson: Lesson, other: Lesson, approver: User, colleague: User, now: datetime, which: int
) -> None:
    loosening(lesson, other, approver, now)[which]()
    assert counted(desk, now) == 1
    with pytest.raises(Denied, match="SECOND_PERSON_IS_REQUESTER"):
        confirmed(lesson, approver, now)
    assert counted(desk, now) == 1
    done = confirmed(lesson, colleague, now)
    assert counted(desk, now) == 0
    assert (done.taking_out, done.reviewed_by) == (None, colleague)
    asked = SecondPersonRequest.objects.get()
    assert (asked.state, asked.requester, asked.seconder) == (SecondPersonState.USED, approver, colleague)
    event = Event.objects.filter(stream=f"case:{lesson.case_id}").latest("seq")
    said: Any = facts_of(event)["payload"]
    assert (said["requester"], said["seconder"]) == (str(approver.pk), str(colleague.pk))


def test_what_adds_to_the_evidence_needs_nobody_else(lesson: Lesson, approver: User, now: datetime) -> None:
    reviews.review(lesson_id=lesson.pk, reviewer=approver, version=1, add_tags=[MistakeTag.CHOP], now=now)
    assert CaseTag.objects.get(case=lesson.case, tag="chop").counts
    Case.objects.filter(pk=lesson.case_id).update(verdict=CaseVerdict.UNKNOWN)
    reviews.review(lesson_id=lesson.pk, reviewer=approver, version=2, verdict=CaseVerdict.PROCESS_ERROR, now=now)
    assert Case.objects.get(pk=lesson.case_id).verdict == CaseVerdict.PROCESS_ERROR
    assert not SecondPersonRequest.objects.exists()


def test_a_suggestion_that_never_counted_is_disputed_by_one(lesson: Lesson, approver: User, now: datetime) -> None:
    CaseTag.objects.filter(case=lesson.case).update(counts=False)
    reviews.review(lesson_id=lesson.pk, reviewer=approver, version=1, dispute_tags=[MistakeTag.NO_STOP], now=now)
    assert CaseTag.objects.get(case=lesson.case).disputed
    assert not SecondPersonRequest.objects.exists()


def test_what_was_proposed_ends_when_something_else_is_said(
    desk: Desk, lesson: Lesson, approver: User, colleague: User, now: datetime
) -> None:
    reviews.dispute(lesson_id=lesson.pk, reviewer=approver, version=1, note="No.", now=now)
    with pytest.raises(Conflict, match="TAKING_OUT_PROPOSED"):
        reviews.retire(lesson_id=lesson.pk, reviewer=colleague, version=1, note="No.", now=now)
    reviews.review(lesson_id=lesson.pk, reviewer=colleague, version=1, cause="It was so.", now=now)
    assert SecondPersonRequest.objects.get().state == SecondPersonState.WITHDRAWN
    with pytest.raises(NotFound, match="TAKING_OUT_NOT_PROPOSED"):
        confirmed(lesson, colleague, now)
    assert counted(desk, now) == 1
    reviews.dispute(lesson_id=lesson.pk, reviewer=approver, version=2, note="Still no.", now=now)
    assert confirmed(lesson, colleague, now).state == ReviewState.DISPUTED


def test_it_lapses_after_a_week_and_may_be_withdrawn(
    lesson: Lesson, approver: User, colleague: User, now: datetime
) -> None:
    reviews.dispute(lesson_id=lesson.pk, reviewer=approver, version=1, note="No.", now=now)
    with pytest.raises(NotFound, match="TAKING_OUT_NOT_PROPOSED"):
        confirmed(lesson, colleague, now + timedelta(days=7))
    second_person.withdraw(request_id=SecondPersonRequest.objects.get().pk, person=approver, now=now)
    with pytest.raises(NotFound, match="TAKING_OUT_NOT_PROPOSED"):
        confirmed(lesson, colleague, now)
    assert reviews.dispute(lesson_id=lesson.pk, reviewer=colleague, version=1, note="No.", now=now).taking_out


def test_who_may_not_review_may_not_confirm(
    desk: Desk, lesson: Lesson, other: Lesson, approver: User, colleague: User, now: datetime
) -> None:
    """The proposer of the lost trade, of either of two that are merged, people of another desk, and other roles."""
    owner = UserFactory(role="approver", desk=desk)
    Case.objects.filter(pk=other.case_id).update(proposer_id=owner.pk)
    reviews.merge(lesson_id=lesson.pk, into_lesson_id=other.pk, reviewer=approver, version=1, note="Same.", now=now)
    refused: list[tuple[User, type[AikaError], str]] = [
        (owner, Forbidden, "LESSON_OWN"),
        (UserFactory(role="operator", desk=desk), Forbidden, "MAY_NOT_REVIEW"),
        (UserFactory(role="risk", desk=DeskFactory()), NotFound, "LESSON_UNKNOWN"),
    ]
    for person, kind, code in refused:
        with pytest.raises(kind, match=code):
            confirmed(lesson, person, now)
    assert confirmed(lesson, colleague, now).state == ReviewState.SUPERSEDED


def test_a_second_person_by_the_page_of_requests_is_held_to_the_same(
    desk: Desk, lesson: Lesson, approver: User, colleague: User, now: datetime
) -> None:
    """There nobody asks whose trade it was: here it is asked before it takes effect, of both."""
    owner = UserFactory(role="approver", desk=desk)
    Case.objects.filter(pk=lesson.case_id).update(proposer_id=owner.pk)
    reviews.dispute(lesson_id=lesson.pk, reviewer=approver, version=1, note="No.", now=now)
    request = SecondPersonRequest.objects.get()
    second_person.second(request_id=request.pk, seconder=owner, now=now)
    with pytest.raises(Forbidden, match="LESSON_OWN"):
        confirmed(lesson, approver, now)
    assert counted(desk, now) == 1
    second_person.withdraw(request_id=request.pk, person=approver, now=now)
    reviews.dispute(lesson_id=lesson.pk, reviewer=approver, version=1, note="No.", now=now)
    waiting = SecondPersonRequest.objects.get(state=SecondPersonState.OPEN)
    second_person.second(request_id=waiting.pk, seconder=colleague, now=now)
    assert confirmed(lesson, approver, now).state == ReviewState.DISPUTED


def test_what_was_seconded_is_what_takes_effect(
    desk: Desk, lesson: Lesson, approver: User, colleague: User, now: datetime
) -> None:
    reviews.review(lesson_id=lesson.pk, reviewer=approver, version=1, verdict=CaseVerdict.DATA, now=now)
    row = Lesson.objects.get(pk=lesson.pk)
    row.taking_out = {**(row.taking_out or {}), "verb": "DISPUTED"}
    row.save(update_fields=["taking_out"])
    with pytest.raises(Denied, match="SECOND_PERSON_REQUIRED"):
        confirmed(lesson, colleague, now)
    assert counted(desk, now) == 1


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_on_the_page_one_proposes_and_another_confirms(
    desk: Desk, lesson: Lesson, approver: User, colleague: User, now: datetime
) -> None:
    page, confirm = (reverse(f"admin:lessons_lesson_{name}", args=[lesson.pk]) for name in ("change", "confirm"))
    first, second = client_of(approver), client_of(colleague)
    told = first.post(
        reverse("admin:lessons_lesson_dispute", args=[lesson.pk]), {"version": 1, "note": "A <b>feed</b>."}, follow=True
    ).content.decode()
    assert "waits for another reviewer, and it counts until then" in told
    assert "A &lt;b&gt;feed&lt;/b&gt;." in told
    assert confirm not in told
    assert reverse("admin:lessons_lesson_retire", args=[lesson.pk]) not in told
    assert "must be somebody else" in first.post(confirm, {"version": 1}, follow=True).content.decode()
    assert confirm in second.get(page).content.decode()
    assert "has changed since you looked" in second.post(confirm, {"version": 2}, follow=True).content.decode()
    assert "Confirmed by two" in second.post(confirm, {"version": 1}, follow=True).content.decode()
    assert Lesson.objects.get(pk=lesson.pk).state == ReviewState.DISPUTED


def test_the_mutant_that_takes_out_at_once(
    desk: Desk, lesson: Lesson, approver: User, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Carried out by who proposes it, one person opens the gate: what the tests above refuse."""

    def at_once(change: changing.Change, verb: Any, **said: Any) -> None:
        taking_out._carry_out(change, {"verb": verb, "tags": [], "verdict": "", "note": said["note"]})
        changing.finish(change, "disputed", said["note"])

    monkeypatch.setattr(taking_out, "ask", at_once)
    reviews.dispute(lesson_id=lesson.pk, reviewer=approver, version=1, note="No.", now=now)
    assert counted(desk, now) == 0
