"""What stands and what goes: positions, the trading state, and the brakes anybody may pull."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from apps.accounts.authentication import principal_of
from apps.accounts.permissions import HasScope
from apps.accounts.types import Scope
from apps.common.api.queries import Query, cursor_malformed, cursor_of, cursor_parts
from apps.common.api.schema import documented, paged, parameter
from apps.common.api.views import ApiView, answer, read_body
from apps.common.errors import NotFound
from apps.connectors.selectors import connections_for
from apps.policies.services import trading_state
from apps.trades.api import bodies, shapes
from apps.trades.selectors import standing
from apps.trades.selectors.records import instant

if TYPE_CHECKING:
    from apps.policies.models import TradingState

TRADING: Final = "Trading"


class PositionsView(ApiView):
    """/api/v1/positions"""

    access = {"GET": HasScope(Scope.READ)}

    @documented(
        operation="positions_list",
        summary="List positions",
        tag=TRADING,
        answers={200: shapes.PositionPage},
        parameters=(parameter("connection", "Only on the connection of this short name."), *paged()),
    )
    def get(self, request: Request) -> HttpResponse:
        """What Aika bought and holds on the connections of the caller, by instrument, marked at the middle of the last
        quote where one is kept. `unrealized_pnl` is null where that is stale, or where price or cost is not known."""
        query = Query(request.query_params, known=("connection", "limit", "cursor"))
        limit, parts = query.page_size(), cursor_parts(query.text("cursor"), 2)
        page = standing.positions(
            principal_of(request),
            connection=query.text("connection"),
            limit=limit,
            after=(parts[0], _uuid(parts[1])) if parts else None,
            now=timezone.now(),
        )
        return answer({"items": page.items, "next_cursor": cursor_of(*page.after) if page.after else None})


class TradingStateView(ApiView):
    """/api/v1/trading-state"""

    access = {"GET": HasScope(Scope.READ)}

    @documented(
        operation="trading_state_get", summary="What trades now", tag=TRADING, answers={200: shapes.TradingStates}
    )
    def get(self, request: Request) -> HttpResponse:
        """Per connection of the caller: the worst state in force, what has tripped by itself, and what would be denied
        right now whatever is asked, each with what would lift it."""
        Query(request.query_params, known=())
        return answer({"items": standing.trading_states(principal_of(request))})


class TightenView(ApiView):
    """What halting and reducing share. No rate holds either back, and neither asks the cache: a full bucket, or a
    cache that is down, must not stand between a program and the brake."""

    access = {"POST": HasScope(Scope.HALT)}
    throttle_classes = ()

    def tighten(self, request: Request, verb: Callable[..., "TradingState"]) -> HttpResponse:
        """Carry out the verb on what the body names, and answer with the state that now holds there."""
        values, principal = read_body(request, bodies.TightenBody), principal_of(request)
        slug: str | None = values["connection"]
        connection = connections_for(principal).filter(slug=slug).first() if slug is not None else None
        if slug is not None and connection is None:
            raise NotFound(
                "CONNECTION_UNKNOWN",
                "There is no connection of this name at your desks.",
                fix="GET /api/v1/connectors lists them; leave connection out to mean everything.",
                field="connection",
            )
        row = verb(
            connection_id=connection.pk if connection else None,
            actor=principal.actor(),
            reason=values["reason"],
            now=timezone.now(),
        )
        return answer(
            {
                "connection": slug,
                "state": row.state,
                "reason": row.reason,
                "changed_by": row.changed_by,
                "changed_at": instant(row.changed_at),
            }
        )


class HaltView(TightenView):
    """/api/v1/trading-state/halt"""

    @documented(
        operation="trading_state_halt",
        summary="Halt trading",
        tag=TRADING,
        body=bodies.TightenBody,
        answers={200: shapes.Tightened},
        problems=(404,),
    )
    def post(self, request: Request) -> HttpResponse:
        """At once: one connection, or everything where none is named. What is halted stays halted; halting it again
        changes nothing and is no error. Resuming takes two people, and is not in this API."""
        return self.tighten(request, trading_state.halt)


class ReduceView(TightenView):
    """/api/v1/trading-state/reduce"""

    @documented(
        operation="trading_state_reduce",
        summary="Only reduce",
        tag=TRADING,
        body=bodies.TightenBody,
        answers={200: shapes.Tightened},
        problems=(404,),
    )
    def post(self, request: Request) -> HttpResponse:
        """At once: from now on only orders pass that shrink a position. What is reducing or halted stays as it is, and
        that is no error. Loosening takes two people, and is not in this API."""
        return self.tighten(request, trading_state.reduce)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise cursor_malformed() from None
