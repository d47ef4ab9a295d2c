"""The page of a lesson: what it tells, whom it lets review, and that every verb is a POST."""

import json
from datetime import datetime
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
from apps.lessons.models import Case, Lesson, RecallFeedback
from apps.lessons.services import reviews
from apps.lessons.types import FeedbackVerdict, MistakeTag, ReviewState
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.lessons import NO_STOP, REVENGE, CaseFactory, LessonFactory, recalled_item

pytestmark = pytest.mark.django_db

BASELINE = Path(__file__).with_name("query_counts.json")
VERBS = ("review", "dispute", "retire", "reinstate", "supersede", "merge", "wake", "confirm")


@pytest.fixture
def lesson(desk: Desk, trader: User) -> Lesson:
    return LessonFactory(
        desk=desk, proposer_id=trader.pk, proposal_id=uuid4(), tags=(NO_STOP, REVENGE), notes="<b>Moved</b> the stop."
    )


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def page_of(lesson: Lesson) -> str:
    return reverse("admin:lessons_lesson_change", args=[lesson.pk])


def verb_of(lesson: Lesson, verb: str) -> str:
    return reverse(f"admin:lessons_lesson_{verb}", args=[lesson.pk])


def shown(person: User, lesson: Lesson) -> str:
    answer = client_of(person).get(page_of(lesson))
    assert answer.status_code == 200
    return answer.content.decode()


def recalled(lesson: Lesson, viewer: User, now: datetime) -> None:
    item = recalled_item(lesson, proposal_id=uuid4(), viewer=viewer, now=now)
    RecallFeedback.objects.create(item=item, person=viewer, verdict=FeedbackVerdict.USEFUL, said_at=now)


def test_it_tells_the_whole_lesson(lesson: Lesson, approver: User, now: datetime) -> None:
    recalled(lesson, approver, now)
    page = shown(approver, lesson)
    assert reverse("decide:story", args=[lesson.case.proposal_id]) in page
    assert reverse("admin:lessons_case_change", args=[lesson.case_id]) in page
    for words in ("stop distance", "Broken", "no stop", "Not confirmed", "Found useful 1 time", "−12.70", "−1.27 R"):
        assert words in page, words
    assert "&lt;b&gt;Moved&lt;/b&gt;" in page
    assert "<b>Moved" not in page


def test_a_review_by_the_form(lesson: Lesson, approver: User) -> None:
    form = {
        "version": "1",
        "tag:no_stop": "confirm",
        "tag:revenge": "dispute",
        "add": ["chop"],
        "cause": "Two\r\nlines",
        "next_time": "Wait.",
        "verdict": "PLANNED_LOSS",
        "note": "",
    }
    answer = client_of(approver).post(verb_of(lesson, "review"), form)
    assert (answer.status_code, answer["Location"]) == (303, page_of(lesson))
    lesson.refresh_from_db()
    assert (lesson.state, lesson.cause, lesson.next_time) == (ReviewState.REVIEWED, "Two\nlines", "Wait.")
    counts = {row.tag: row.counts for row in Case.objects.get(pk=lesson.case_id).tags.all()}
    assert counts == {"no_stop": True, "revenge": False, "chop": True}
    page = shown(approver, lesson)
    assert "Next time:</b> Wait." in page
    assert "Disputed" in page


def test_out_and_in_again(desk: Desk, lesson: Lesson, approver: User) -> None:
    client, colleague = client_of(approver), client_of(UserFactory(role="risk", desk=desk))
    for version, (verb, state) in enumerate(
        [("dispute", "DISPUTED"), ("reinstate", "REVIEWED"), ("retire", "RETIRED")], start=1
    ):
        client.post(verb_of(lesson, verb), {"version": version, "note": "Because."})
        if verb != "reinstate":
            colleague.post(verb_of(lesson, "confirm"), {"version": version})
        lesson.refresh_from_db()
        assert lesson.state == state
    assert verb_of(lesson, "reinstate") in shown(approver, lesson)
    assert verb_of(lesson, "review") not in shown(approver, lesson)


@pytest.mark.parametrize("verb", ["supersede", "merge"])
def test_another_lesson_takes_its_place(desk: Desk, lesson: Lesson, approver: User, verb: str) -> None:
    other = LessonFactory(desk=desk, product="BTC-USD")
    foreign = LessonFactory(desk=DeskFactory())
    page = shown(approver, lesson)
    assert str(other.pk) in page
    assert str(foreign.pk) not in page
    client_of(approver).post(verb_of(lesson, verb), {"version": 1, "note": "Same.", "other": str(other.pk)})
    client_of(UserFactory(role="risk", desk=desk)).post(verb_of(lesson, "confirm"), {"version": 1})
    lesson.refresh_from_db()
    assert (lesson.state, lesson.superseded_by) == (ReviewState.SUPERSEDED, other)
    assert page_of(other) in shown(approver, lesson)
    assert page_of(lesson) in shown(approver, other)


@pytest.mark.parametrize(
    ("verb", "form", "says"),
    [
        ("review", {"version": "1", "tag:nonsense": "confirm"}, "no such mistake"),
        ("review", {"version": "1", "add": "nonsense"}, "no such mistake"),
        ("review", {"version": "1", "verdict": "nonsense"}, "no such verdict"),
        ("review", {"version": "x"}, "which version you saw"),
        ("review", {}, "which version you saw"),
        ("review", {"version": "7"}, "has changed since you looked"),
        ("dispute", {"version": "1"}, "Say why."),
        ("merge", {"version": "1", "note": "x", "other": "x"}, "No other lesson is named"),
        ("reinstate", {"version": "1", "note": "x"}, "counts already"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    lesson: Lesson, approver: User, verb: str, form: dict[str, Any], says: str
) -> None:
    answer = client_of(approver).post(verb_of(lesson, verb), form, follow=True)
    assert says in answer.content.decode()
    assert Lesson.objects.get(pk=lesson.pk).version == 1


def test_the_proposer_reads_it_and_cannot_review_it(desk: Desk, approver: User) -> None:
    own = LessonFactory(desk=desk, proposer_id=approver.pk)
    page = shown(approver, own)
    assert "You cannot review this one." in page
    assert verb_of(own, "review") not in page
    assert client_of(approver).post(verb_of(own, "review"), {"version": 1}).status_code == 403
    colleague = UserFactory(role="risk", desk=desk)
    assert verb_of(own, "review") in shown(colleague, own)
    assert client_of(colleague).post(verb_of(own, "review"), {"version": 1}).status_code == 303
    assert Lesson.objects.get(pk=own.pk).state == ReviewState.REVIEWED


@pytest.mark.parametrize("verb", VERBS)
def test_who_may_not_and_what_is_no_post(desk: Desk, lesson: Lesson, approver: User, verb: str) -> None:
    form = {"version": 1, "note": "x", "other": str(uuid4())}
    assert client_of(approver).get(verb_of(lesson, verb)).status_code == 405
    for person, status in (
        (UserFactory(role="auditor", desk=desk), 403),
        (UserFactory(role="approver", desk=DeskFactory()), 404),
    ):
        assert client_of(person).post(verb_of(lesson, verb), form).status_code == status
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(approver, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert strict.post(verb_of(lesson, verb), form).status_code == 403
    assert Lesson.objects.get(pk=lesson.pk).version == 1


def test_who_sees_it(desk: Desk, lesson: Lesson) -> None:
    for role in ("trader", "auditor", "operator"):
        page = shown(UserFactory(role=role, desk=desk), lesson)
        assert verb_of(lesson, "review") not in page
    stranger = client_of(UserFactory(role="approver", desk=DeskFactory()))
    assert stranger.get(page_of(lesson)).status_code == 404
    assert client_of(UserFactory()).get(page_of(lesson)).status_code == 403
    assert client_of(UserFactory(role="approver", desk=desk)).post(page_of(lesson)).status_code == 403
    assert stranger.get(reverse("admin:lessons_lesson_change", args=["x"])).status_code == 404


def test_the_lists_show_ones_own_desks(desk: Desk, lesson: Lesson, approver: User) -> None:
    CaseFactory(desk=DeskFactory(), product="XRP-USD")
    client = client_of(approver)
    for name in ("case", "lesson"):
        page = client.get(reverse(f"admin:lessons_{name}_changelist")).content.decode()
        assert "ETH-USD" in page
        assert "XRP-USD" not in page
    row = client.get(reverse("admin:lessons_case_change", args=[lesson.case_id])).content.decode()
    assert page_of(lesson) in row
    assert "stop_distance: 0.4 ATR, limit 1, broken" in row


def test_lessons_are_filtered_by_ones_own_desks_alone(desk: Desk, lesson: Lesson, approver: User) -> None:
    second, strange = DeskFactory(), DeskFactory()
    second.members.add(approver)
    of_second = LessonFactory(desk=second)
    LessonFactory(desk=strange)
    lists = reverse("admin:lessons_lesson_changelist")
    client = client_of(approver)
    page = client.get(lists).content.decode()
    assert f"?case__desk__id__exact={second.pk}" in page and str(strange.pk) not in page
    kept = client.get(lists, {"case__desk__id__exact": str(second.pk)}).content.decode()
    assert page_of(of_second) in kept and page_of(lesson) not in kept
    assert "LESSON" not in client.get(lists, {"case__desk__id__exact": str(strange.pk)}).content.decode()


@pytest.mark.parametrize("name", ["case", "lesson"])
def test_a_list_is_filtered_by_a_mistake(desk: Desk, approver: User, name: str) -> None:
    chased = LessonFactory(desk=desk, product="BTC-USD", tags=(NO_STOP, REVENGE))
    LessonFactory(desk=desk, product="ETH-USD", tags=(NO_STOP,))
    client, url = client_of(approver), reverse(f"admin:lessons_{name}_changelist")
    found = {
        tag: client.get(url, {"tag": tag}).context_data["cl"].queryset for tag in ("revenge", "no_stop", "carry_cost")
    }
    assert [len(rows) for rows in found.values()] == [1, 2, 0]
    assert found["revenge"][0].pk == (chased.case_id if name == "case" else chased.pk)


def test_ten_times_the_rows_cost_as_many_queries_as_written_down(desk: Desk, approver: User) -> None:
    def grow(cases: int) -> Lesson:
        for _ in range(cases):
            made = LessonFactory(desk=desk, tags=(NO_STOP, REVENGE))
            recalled(made, approver, timezone.now())
            CaseFactory(desk=desk, pnl=1)
        return made

    def measure(lesson: Lesson) -> dict[str, int]:
        client = client_of(approver)
        urls = {
            "case": reverse("admin:lessons_case_changelist"),
            "lesson": reverse("admin:lessons_lesson_changelist"),
            "lesson_page": page_of(lesson),
        }
        counts = {}
        for name, url in urls.items():
            client.get(url)
            cache.delete("desk:status")
            with CaptureQueriesContext(connection) as captured:
                assert client.get(url).status_code == 200
            counts[name] = len(captured)
        return counts

    lesson = grow(1)
    few = measure(lesson)
    grow(10)
    assert measure(lesson) == few
    assert few == json.loads(BASELINE.read_text(encoding="utf-8"))


def test_a_review_in_code_and_one_by_the_form_are_the_same_verb(lesson: Lesson, approver: User, now: datetime) -> None:
    reviews.review(lesson_id=lesson.pk, reviewer=approver, version=1, now=now, add_tags=[MistakeTag.CHOP])
    answer = client_of(approver).post(verb_of(lesson, "review"), {"version": 1, "cause": "x"}, follow=True)
    assert "has changed since you looked" in answer.content.decode()
