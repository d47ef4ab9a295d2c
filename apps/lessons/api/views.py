"""Lessons over the API: look at one, review it, say whether it was useful."""

from collections.abc import Iterable
from typing import Final

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from apps.accounts.authentication import person_of, principal_of
from apps.accounts.permissions import HasScope, PersonOnly
from apps.accounts.types import Scope
from apps.common.api.queries import Query, row_id
from apps.common.api.schema import documented, id_in_path
from apps.common.api.views import ApiView, answer, read_body
from apps.common.errors import Invalid, NotFound
from apps.connectors.selectors import connections_for
from apps.lessons.api import bodies, shapes
from apps.lessons.selectors.recalled import lesson_at
from apps.lessons.selectors.records import feedback_record, lesson_record
from apps.lessons.services import feedback, reviews
from apps.lessons.types import MistakeTag

LESSONS: Final = "Lessons"
_ID: Final = (id_in_path("lesson_id", "The id of a lesson."),)


class LessonView(ApiView):
    """/api/v1/lessons/{id}"""

    access = {"GET": HasScope(Scope.READ)}

    @documented(
        operation="lessons_get",
        summary="Look at a lesson",
        tag=LESSONS,
        answers={200: shapes.Lesson},
        problems=(404,),
        parameters=_ID,
    )
    def get(self, request: Request, lesson_id: str) -> HttpResponse:
        """With the trade it is of: what was meant, what was known, what it cost, what people make of it."""
        Query(request.query_params, known=())
        desks = connections_for(principal_of(request)).order_by().values_list("desk_id", flat=True)
        lesson = lesson_at(row_id(lesson_id), list(desks))
        if lesson is None:
            raise NotFound("LESSON_UNKNOWN", "There is no such lesson at your desks.")
        return answer(lesson_record(lesson, now=timezone.now()))


class ReviewView(ApiView):
    """/api/v1/lessons/{id}/review"""

    access = {"POST": PersonOnly}

    @documented(
        operation="lessons_review",
        summary="Review a lesson",
        tag=LESSONS,
        body=bodies.ReviewBody,
        answers={200: shapes.Lesson},
        problems=(404, 409),
        parameters=_ID,
    )
    def post(self, request: Request, lesson_id: str) -> HttpResponse:
        """By an approver or risk who did not ask for the trade, and whom it was not held against. What adds to the
        evidence holds at once. That a tag which counts is no mistake, and a verdict that may count for less, waits in
        `proposed` for a second reviewer. 409 where it changed since it was looked at."""
        values = read_body(request, bodies.ReviewBody)
        lesson = reviews.review(
            lesson_id=row_id(lesson_id),
            reviewer=person_of(request),
            version=values["version"],
            confirm_tags=_tags(values["confirm_tags"], "confirm_tags"),
            dispute_tags=_tags(values["dispute_tags"], "dispute_tags"),
            add_tags=_tags(values["add_tags"], "add_tags"),
            cause=values["cause"],
            next_time=values["next_time"],
            verdict=values["verdict"],
            note=values["note"],
            now=timezone.now(),
        )
        return answer(lesson_record(lesson, now=timezone.now()))


class FeedbackView(ApiView):
    """/api/v1/lessons/{id}/feedback"""

    access = {"POST": PersonOnly}

    @documented(
        operation="lessons_feedback",
        summary="Say whether a lesson was useful",
        tag=LESSONS,
        body=bodies.FeedbackBody,
        answers={200: shapes.Feedback},
        problems=(404,),
        parameters=_ID,
    )
    def post(self, request: Request, lesson_id: str) -> HttpResponse:
        """USEFUL or NOT_SIMILAR, about the lesson as one answer recalled it. The last word of each person stands. 403
        `LESSON_OWN` for NOT_SIMILAR of what one's own trade taught, or what policy held against one."""
        values = read_body(request, bodies.FeedbackBody)
        said = feedback.say_of_lesson(
            lesson_id=row_id(lesson_id),
            recall_id=values["recall_id"],
            person=person_of(request),
            verdict=values["verdict"],
            reason=values["reason"],
            now=timezone.now(),
        )
        return answer(feedback_record(said))


def _tags(names: Iterable[str], field: str) -> list[MistakeTag]:
    known = {tag.value: tag for tag in MistakeTag}
    if any(name not in known for name in names):
        raise Invalid(
            "TAG_UNKNOWN",
            f"{field} names a mistake that is not of the list.",
            fix=f"Known: {', '.join(known)}.",
            field=field,
        )
    return [known[name] for name in names]
