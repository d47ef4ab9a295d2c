"""Knowledge over the API: hand documents over, ask them."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from rest_framework.request import Request

from apps.accounts.authentication import principal_of
from apps.accounts.permissions import HasScope
from apps.accounts.services import idempotency
from apps.accounts.services.idempotency import Replay
from apps.accounts.types import Scope
from apps.common.api.bodies import parse_json
from apps.common.api.schema import IDEMPOTENCY_KEY, documented, key_header
from apps.common.api.views import ApiView, answer, answer_bytes, raw_body, read_body, to_json
from apps.common.decimals import decimal_text
from apps.common.errors import Invalid
from apps.lessons.api import knowledge_bodies as bodies
from apps.lessons.api import knowledge_shapes as shapes
from apps.lessons.recall_types import Viewer
from apps.lessons.selectors.knowledge import desks_for
from apps.lessons.services import knowledge_intake
from apps.lessons.services.knowledge import Ingested
from apps.lessons.services.knowledge_items import item_of
from apps.lessons.services.knowledge_queries import Answer, query_knowledge
from apps.lessons.types import IngestOutcome

TAG: Final = "Knowledge"
REPLAYED: Final = "Idempotent-Replayed"
_PLACES: Final = Decimal("0.0001")


class KnowledgeView(ApiView):
    """/api/v1/knowledge"""

    access = {"POST": HasScope(Scope.REPORT)}
    body_bytes_max = bodies.BODY_BYTES_MAX

    @documented(
        operation="knowledge_ingest",
        summary="Hand documents over",
        tag=TAG,
        body=bodies.KnowledgeBody,
        answers={200: shapes.Ingestion},
        problems=(404, 409, 422),
        parameters=(key_header(required=False),),
    )
    def post(self, request: Request) -> HttpResponse:
        """Text, Markdown, HTML or PDF, for the caller's desk. What is unchanged is skipped, what is changed becomes a
        new version, and what is refused says why and harms no other. It is found by words at once, and by meaning as
        soon as it is embedded. A text is data: nothing in it is executed or obeyed."""
        now, principal = timezone.now(), principal_of(request)
        raw = raw_body(request, most=self.body_bytes_max)
        values = bodies.KnowledgeBody.read(parse_json(raw) if raw else {})
        desk = knowledge_intake.desk_for(principal=principal, slug=values["desk"])
        key = request.headers.get(IDEMPOTENCY_KEY)
        begun = (
            None
            if key is None
            else idempotency.begin(
                principal_key=principal.reference, key=key, method="POST", path=request.path, body=raw
            )
        )
        answered = knowledge_intake.ingest_once(
            items=[item_of(**{**one, "media_type": one["media_type"] or ""}) for one in values["items"]],
            desk_id=desk.pk,
            principal=principal,
            begun=begun,
            word=lambda results: to_json(_ingestion(desk.slug, results)),
            now=now,
        )
        headers = {REPLAYED: "true"} if isinstance(answered, Replay) else {}
        return answer_bytes(answered.body, status=answered.status, headers=headers)


class KnowledgeQueryView(ApiView):
    """/api/v1/knowledge/query"""

    access = {"POST": HasScope(Scope.READ)}

    @documented(
        operation="knowledge_query",
        summary="Ask the documents",
        tag=TAG,
        body=bodies.KnowledgeQueryBody,
        answers={200: shapes.KnowledgeAnswers},
    )
    def post(self, request: Request) -> HttpResponse:
        """Passages of the documents of the caller's desks and of everybody, by meaning and by words, each with the
        place it can be checked at. The question and its answer are kept for a year, with who asked."""
        values, principal = read_body(request, bodies.KnowledgeQueryBody), principal_of(request)
        given = [values[name] for name in ("text", "question") if values[name] is not None]
        if len(given) != 1:
            raise Invalid(
                "FIELD_MISSING", "text is needed, once.", fix="Send text, or question in its place.", field="text"
            )
        found = query_knowledge(
            text=given[0],
            desk_ids=list(desks_for(principal).values_list("pk", flat=True)),
            viewer=Viewer.of(principal),
            limit=values["limit"],
            now=timezone.now(),
        )
        return answer(
            {
                "recall_id": str(found.id),
                "items": [_passage(one) for one in found.answers],
                "degraded": found.degraded,
                "provider": found.provider,
            }
        )


def _ingestion(desk: str, results: Sequence[Ingested]) -> dict[str, Any]:
    counts = {one.value.lower(): sum(item.outcome is one for item in results) for one in IngestOutcome}
    return {"desk": desk, "items": [_item(one) for one in results], **counts}


def _item(one: Ingested) -> dict[str, Any]:
    return {
        "id": one.id,
        "outcome": one.outcome.value,
        "document": str(one.document) if one.document else None,
        "title": one.title,
        "version": one.version or 0,
        "chunks": one.chunks,
        "code": one.code,
        "detail": one.message,
        "fix": one.fix,
    }


def _passage(one: Answer) -> dict[str, Any]:
    passage, document = one.passage, one.document
    return {
        "chunk": str(one.chunk.pk),
        "document": str(document.pk),
        "external_id": document.external_id,
        "title": document.title,
        "heading": one.chunk.heading,
        "text": one.text,
        "start": one.chunk.start,
        "end": one.chunk.end,
        "version": one.chunk.version.number,
        "score": _number(passage.score),
        "components": {
            "meaning": None if passage.meaning is None else _number(passage.meaning),
            "keywords": _number(passage.keywords),
            "coverage": _number(passage.coverage),
        },
        "page": f"{reverse('admin:lessons_knowledgedocument_change', args=[document.pk])}#c{one.chunk.ordinal}",
    }


def _number(value: float) -> str:
    """Four decimals, as a text in normal form."""
    return decimal_text(Decimal(value).quantize(_PLACES))
