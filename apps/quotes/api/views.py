"""The market over the API."""

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from apps.accounts.authentication import principal_of
from apps.accounts.permissions import HasScope
from apps.accounts.types import Scope
from apps.common.api.queries import Query, cursor_of, cursor_parts
from apps.common.api.schema import documented, paged, parameter
from apps.common.api.views import ApiView, answer
from apps.common.errors import Invalid
from apps.quotes.api import shapes
from apps.quotes.selectors.records import instrument_record
from apps.quotes.services.board import board


class QuotesView(ApiView):
    """/api/v1/quotes"""

    access = {"GET": HasScope(Scope.READ)}

    @documented(
        operation="quotes_list",
        summary="Instruments and their prices",
        tag="Market",
        answers={200: shapes.QuotePage},
        problems=(404,),
        parameters=(
            parameter("connection", "The short name GET /connectors lists.", required=True),
            parameter(
                "instrument",
                "Only these; their prices are asked for anew where they are older than 2 s.",
                {"type": "array", "maxItems": 50, "items": {"type": "string", "minLength": 1, "maxLength": 40}},
            ),
            *paged(),
        ),
    )
    def get(self, request: Request) -> HttpResponse:
        """What a connection lists, by code, with the last price kept and its age."""
        query = Query(
            request.query_params,
            known=("connection", "instrument", "limit", "cursor"),
            repeatable=("instrument",),
        )
        limit, parts, slug = query.page_size(), cursor_parts(query.text("cursor"), 1), query.text("connection")
        if slug is None:
            raise Invalid(
                "PARAMETER_MISSING",
                "The parameter connection is needed.",
                fix="GET /api/v1/connectors lists the short names.",
                field="connection",
            )
        found = board(
            principal=principal_of(request),
            connection=slug,
            codes=query.texts("instrument"),
            after=parts[0] if parts else None,
            limit=limit,
            now=timezone.now(),
        )
        now = timezone.now()
        return answer(
            {
                "connection": slug,
                "items": [instrument_record(row, found.quotes.get(row.code), now=now) for row in found.instruments],
                "next_cursor": cursor_of(found.instruments[-1].code) if found.more else None,
            }
        )
