"""Two workers hand over one outcome, two people review one lesson: one case, one review."""

from functools import partial

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.common.errors import Conflict
from apps.lessons.models import Case, Lesson
from apps.lessons.services import cases, reviews, taking_out
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.lessons import LessonFactory, closed_trade, remembered
from tests.races.conftest import meet_after, together

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

RACERS = 4


def test_one_outcome_handed_over_by_many_is_one_case(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """They meet when each has seen that there is no case yet."""
    trade = closed_trade(desk=DeskFactory())
    meet_after(monkeypatch, cases, "locked_case", RACERS)
    made = together([partial(remembered, trade) for _ in range(RACERS)])
    case = Case.objects.get()
    assert [one.pk for one in made] == [case.pk] * RACERS
    assert (Lesson.objects.count(), case.tags.count(), case.violations.count()) == (1, 1, 1)


def test_of_reviews_at_once_the_first_counts(transactional_db: None) -> None:
    desk = DeskFactory()
    people = [UserFactory(role="approver", desk=desk) for _ in range(RACERS)]
    lesson, now = LessonFactory(desk=desk), timezone.now()

    def say(person: User) -> Lesson:
        return reviews.review(lesson_id=lesson.pk, reviewer=person, version=1, cause=person.username, now=now)

    said = together([partial(say, person) for person in people])
    first = [one for one in said if isinstance(one, Lesson)]
    assert len(first) == 1
    assert all(isinstance(one, Conflict) and one.code == "LESSON_MOVED" for one in said if one not in first)
    lesson.refresh_from_db()
    assert (lesson.version, lesson.cause) == (2, first[0].cause)


def test_merges_in_a_circle_end_with_one_that_stands(transactional_db: None) -> None:
    desk = DeskFactory()
    person, now = UserFactory(role="approver", desk=desk), timezone.now()
    colleague = UserFactory(role="risk", desk=desk)
    one, other = LessonFactory(desk=desk), LessonFactory(desk=desk)
    for lesson, into in ((one, other), (other, one)):
        reviews.merge(lesson_id=lesson.pk, into_lesson_id=into.pk, reviewer=person, version=1, note="Same.", now=now)

    def merge(lesson: Lesson) -> Lesson:
        return taking_out.confirm(lesson_id=lesson.pk, reviewer=colleague, version=1, now=now)

    said = together([partial(merge, one), partial(merge, other)])
    assert sorted(isinstance(answer, Conflict) for answer in said) == [False, True]
    assert sorted(Lesson.objects.values_list("state", flat=True)) == ["REVIEWED", "SUPERSEDED"]
