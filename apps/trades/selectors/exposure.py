"""What a connection holds and may still do, read from our own rows: the raw material of facts.

Everything here is a question that is asked of every proposal: `facts` puts all of them to the database at once.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db.models import Count, QuerySet, Sum, Value

from apps.common.money import from_minor
from apps.common.statements import Figure, Param, Question, Select
from apps.connectors.types import Side
from apps.trades.models import Fill, Order, Outcome, Position, Proposal
from apps.trades.rules.reservations import OpenOrder
from apps.trades.types import LIVE_ORDER_STATES, WORKING_STATES, ProposalState, Reservation

# The venue's clock and ours may differ by this much when we ask whether a balance already shows a fill or a hold.
SNAPSHOT_SKEW: Final = timedelta(seconds=2)


class OpenRow(NamedTuple):
    """An order that still binds money."""

    proposal_id: UUID
    instrument: str
    side: str
    state: str
    quantity: Decimal
    filled_quantity: Decimal
    worst_price: Decimal
    reserved_currency: str
    reserved_amount: Decimal
    accepted_at: datetime | None


class RecentFill(NamedTuple):
    """An execution: `quantity` in base, `price` and `fee` in quote currency; negative where it takes back."""

    instrument: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal


class Lot(NamedTuple):
    """A position that is not flat, at average cost in quote currency where that is known."""

    instrument: str
    quote_currency: str
    quantity: Decimal
    average_entry_price: Decimal | None


def _one(value: Any) -> Any:
    return value


def _alone(rows: "QuerySet[Any, Any]", **aggregate: Any) -> "QuerySet[Any, Any]":
    """One figure over all rows."""
    (name,) = aggregate
    found: QuerySet[Any, Any] = rows.order_by().annotate(all=Value(1)).values("all").annotate(**aggregate)
    return found.values_list(name)


_OPEN: Final[Select[OpenRow]] = Select(
    lambda connection: (
        Order.objects.filter(connection_id=connection, state__in=sorted(LIVE_ORDER_STATES))
        .order_by()
        .values_list(*OpenRow._fields)
    ),
    OpenRow,
    connection=UUID,
)
_FILLS: Final[Select[RecentFill]] = Select(
    lambda connection, since: (
        Fill.objects.filter(connection_id=connection, occurred_at__gt=since).order_by().values_list(*RecentFill._fields)
    ),
    RecentFill,
    connection=UUID,
    since=datetime,
)


_LOST: Final[Select[tuple[str, int]]] = Select(
    lambda connection, since: (
        Outcome.objects.filter(connection_id=connection, closed_at__gte=since)
        .order_by()
        .values_list("quote_currency")
        .annotate(total=Sum("loss_minor"))
    ),
    lambda currency, minor: (currency, minor),
    connection=UUID,
    since=datetime,
)
_LOTS: Final[Select[Lot]] = Select(
    lambda connection: (
        Position.objects.filter(connection_id=connection).exclude(quantity=Decimal(0)).values_list(*Lot._fields)
    ),
    Lot,
    connection=UUID,
)
_ASKED_BY: Final[Figure[int]] = Figure(
    lambda proposer, since, until: _alone(
        Proposal.objects.filter(proposer_id=proposer, created_at__gte=since, created_at__lt=until), found=Count("pk")
    ),
    _one,
    proposer=UUID,
    since=datetime,
    until=datetime,
)
_ASKED_ON: Final[Figure[int]] = Figure(
    lambda connection, since, until: _alone(
        Proposal.objects.filter(connection_id=connection, created_at__gte=since, created_at__lt=until),
        found=Count("pk"),
    ),
    _one,
    connection=UUID,
    since=datetime,
    until=datetime,
)


@cache
def _alike(numbers: tuple[str, ...], missing: tuple[str, ...]) -> Figure[int]:
    """Proposals like one that has these numbers and lacks those."""

    def rows(
        connection: UUID, proposer: UUID, since: datetime, until: datetime, instrument: str, **terms: Param
    ) -> "QuerySet[Any, Any]":
        found: QuerySet[Any, Any] = Proposal.objects.filter(
            connection_id=connection,
            proposer_id=proposer,
            created_at__gte=since,
            created_at__lt=until,
            instrument=instrument,
            **terms,
            **{f"{name}__isnull": True for name in missing},
        )
        return _alone(found.exclude(state=ProposalState.DENIED), found=Count("pk"))

    return Figure(
        rows,
        _one,
        connection=UUID,
        proposer=UUID,
        since=datetime,
        until=datetime,
        instrument=str,
        side=str,
        order_type=str,
        **dict.fromkeys(numbers, Decimal),
    )


def open_rows(connection_id: UUID) -> Question[OpenRow]:
    """Orders that still bind money."""
    return _OPEN(connection=connection_id)


def open_orders(rows: Iterable[OpenRow], *, balances_at: datetime | None, without: UUID | None) -> list[OpenOrder]:
    """Those orders as bookkeeping sees them, except those of proposal `without`. An order accepted before the balances
    were read (with room for skewed clocks) is held back by the venue itself."""
    return [
        OpenOrder(
            instrument=row.instrument,
            side=Side(row.side),
            quantity=row.quantity,
            filled_quantity=row.filled_quantity,
            worst_price=row.worst_price,
            reserved=Reservation(currency=row.reserved_currency, amount=row.reserved_amount),
            seen_by_venue=(
                row.state in WORKING_STATES
                and row.accepted_at is not None
                and balances_at is not None
                and row.accepted_at + SNAPSHOT_SKEW <= balances_at
            ),
        )
        for row in rows
        if row.proposal_id != without
    ]


def fills_after(connection_id: UUID, instant: datetime) -> Question[RecentFill]:
    """Fills that balances read at `instant` may not show yet."""
    return _FILLS(connection=connection_id, since=instant - SNAPSHOT_SKEW)


def realized_loss_since(connection_id: UUID, day_start: datetime) -> Question[tuple[str, int]]:
    """Minus the realised P&L since `day_start` by quote currency, in its minor units (negative when the day won)."""
    return _LOST(connection=connection_id, since=day_start)


def amounts(minor: Iterable[tuple[str, int]]) -> dict[str, Decimal]:
    """Minor units by currency as amounts."""
    return {currency: from_minor(units) for currency, units in minor}


def lots(connection_id: UUID) -> Question[Lot]:
    """Positions of known cost that are not flat."""
    return _LOTS(connection=connection_id)


def asked_by(proposer_id: UUID, *, since: datetime, until: datetime) -> Question[int]:
    """How many proposals a person made in [since, until), keys included."""
    return _ASKED_BY(proposer=proposer_id, since=since, until=until)


def asked_on(connection_id: UUID, *, since: datetime, until: datetime) -> Question[int]:
    """How many proposals were made on a connection in [since, until)."""
    return _ASKED_ON(connection=connection_id, since=since, until=until)


def asked_alike(
    *,
    connection_id: UUID,
    proposer_id: UUID,
    since: datetime,
    until: datetime,
    instrument: str,
    side: str,
    order_type: str,
    **numbers: Decimal | None,
) -> Question[int]:
    """How many proposals in [since, until) asked for the very same and were not denied. None: without that number."""
    given = {name: value for name, value in numbers.items() if value is not None}
    select = _alike(tuple(given), tuple(name for name, value in numbers.items() if value is None))
    return select(
        connection=connection_id,
        proposer=proposer_id,
        since=since,
        until=until,
        instrument=instrument,
        side=side,
        order_type=order_type,
        **given,
    )
