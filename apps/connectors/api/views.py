"""Connections over the API: which ones the caller may use. They are set up in the admin."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.http import HttpResponse
from rest_framework.request import Request

from apps.accounts.authentication import principal_of
from apps.accounts.permissions import HasScope
from apps.accounts.types import Scope
from apps.common.api.queries import Query
from apps.common.api.schema import documented
from apps.common.api.views import ApiView, answer
from apps.common.decimals import decimal_text, instant_text
from apps.connectors.api import shapes
from apps.connectors.models import Connection
from apps.connectors.selectors import connections_for
from apps.connectors.services.venue import capabilities_of

CONNECTIONS_MAX: Final = 100
CLAIMS: Final = ("places_orders", "previews", "candles", "fee_rates", "market_by_quote_quantity")


class ConnectorsView(ApiView):
    """/api/v1/connectors"""

    access = {"GET": HasScope(Scope.READ)}

    @documented(
        operation="connectors_list", summary="List connections", tag="Trading", answers={200: shapes.Connectors}
    )
    def get(self, request: Request) -> HttpResponse:
        """The connections this key is granted, or those of the person's desks; at most 100."""
        Query(request.query_params, known=())
        rows = connections_for(principal_of(request)).order_by("slug")[:CONNECTIONS_MAX]
        return answer({"items": [_record(row) for row in rows]})


def _record(row: Connection) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "connection": row.slug,
        "name": row.name,
        "desk": row.desk.name,
        "reporting_currency": row.desk.reporting_currency,
        "venue": row.venue,
        "environment": row.environment,
        "environment_words": row.environment_words,
        "is_active": row.is_active,
        "trading": row.places_orders,
        "trading_words": row.trading_words,
        "capabilities": _capabilities(row.venue),
        "fee_taker": _number(row.fee_taker),
        "fee_maker": _number(row.fee_maker),
        "fees_as_of": _instant(row.fees_as_of),
        "instruments_as_of": _instant(row.instruments_as_of),
        "balances_as_of": _instant(row.balances_as_of),
    }


def _capabilities(venue: str) -> dict[str, Any]:
    claims = capabilities_of(venue)
    terms = sorted(f"{order_type} {time_in_force}" for order_type, time_in_force in claims.order_terms)
    return {**{name: getattr(claims, name) for name in CLAIMS}, "order_terms": terms}


def _number(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def _instant(value: datetime | None) -> str | None:
    return None if value is None else instant_text(value)
