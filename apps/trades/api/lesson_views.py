"""The memory over the API: what happened before that is like this."""

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from apps.accounts.authentication import principal_of
from apps.accounts.permissions import HasScope
from apps.accounts.types import Scope
from apps.common.api.schema import documented
from apps.common.api.views import ApiView, answer, read_body
from apps.lessons.types import RecallPurpose
from apps.trades.api import lesson_bodies, lesson_shapes
from apps.trades.selectors.lesson_records import recall_record
from apps.trades.services import recalling

LESSONS = "Lessons"


class LessonsQueryView(ApiView):
    """/api/v1/trades/lessons/query"""

    access = {"POST": HasScope(Scope.READ)}

    @documented(
        operation="lessons_query",
        summary="Ask what happened before",
        tag=LESSONS,
        body=lesson_bodies.RecallBody,
        answers={200: lesson_shapes.RecallAnswer},
        problems=(404,),
    )
    def post(self, request: Request) -> HttpResponse:
        """Closed trades of the desk like a proposal, a text or facts: the losses by `score`, which ranks and counts
        nothing, then one that won. `evidence` is counted in the database and is what policy goes by. Nothing similar is
        an empty list. Where the vector index is away the answer is `degraded` and comes from the database alone."""
        values = read_body(request, lesson_bodies.RecallBody)
        found = recalling.ask(
            principal=principal_of(request),
            proposal_id=values["proposal_id"],
            connection=values["connection"],
            question=lesson_bodies.question_of(values),
            purpose=RecallPurpose.QUERY,
            now=timezone.now(),
            k=values["k"],
        )
        return answer(recall_record(found, explain=values["explain"]))
