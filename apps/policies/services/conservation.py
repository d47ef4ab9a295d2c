"""Whether the budgets add up: what is reserved is what reservations hold, what is used is what fills and positions say.

Reads only. What an order or a position is at is given by the caller, who owns them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, Sum
from django.db.models.functions import Coalesce

from apps.common.decimals import decimal_text
from apps.common.money import from_minor, minor_up, product
from apps.policies.models import Budget, Reservation
from apps.policies.rules.budgets import Dimension, ReservationState
from apps.policies.services.budgets import Holding, Progress, held_of, traded_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One thing that does not add up, and where. `where` names a budget or a source."""

    code: str
    connection_id: UUID
    where: str
    message: str


def broken_sums() -> list[Broken]:
    """Budgets whose reserved sum, used sum or effective limit is not what their parts give."""
    rows = Budget.objects.annotate(
        held=Coalesce(Sum("amounts__held_minor"), 0), traded=Coalesce(Sum("amounts__used_minor"), 0)
    ).order_by("pk")
    found = []
    positions: dict[tuple[UUID, str], int] = {}
    gross: list[Budget] = []
    for row in rows:
        if row.reserved_minor != row.held:
            found.append(_budget("RESERVED_DIFFERS", row, "reserved", row.reserved_minor, row.held))
        if row.dimension == Dimension.DAILY_NOTIONAL and row.used_minor != row.traded:
            found.append(_budget("USED_DIFFERS", row, "used", row.used_minor, row.traded))
        wanted = None if row.limit_minor is None else max(row.limit_minor, row.in_use_minor)
        if row.effective_limit_minor != wanted:
            found.append(_budget("LIMIT_DIFFERS", row, "effective limit", row.effective_limit_minor or 0, wanted or 0))
        if row.dimension == Dimension.POSITION:
            key = (row.connection_id, row.unit)
            positions[key] = positions.get(key, 0) + row.used_minor
        elif row.dimension == Dimension.GROSS_EXPOSURE:
            gross.append(row)
    for whole in gross:
        parts = positions.get((whole.connection_id, whole.unit), 0)
        if whole.used_minor != parts:
            found.append(_budget("USED_DIFFERS", whole, "used", whole.used_minor, parts))
    return found + _ended_and_holding()


def broken_reservations(expected: Mapping[str, tuple[UUID, Progress]]) -> list[Broken]:
    """Reservations that are not where their orders stand. `expected` maps a source to its connection and progress.

    A source without a reservation is broken only while it is alive: those that ended before budgets began have none.
    """
    rows = {
        row.source: row
        for row in Reservation.objects.filter(source__in=list(expected)).prefetch_related("amounts__budget")
    }
    found = []
    for source, (connection_id, progress) in expected.items():
        row = rows.get(source)
        if row is None:
            if not progress.reason:
                found.append(_source("RESERVATION_MISSING", connection_id, source, "It is alive and holds nothing."))
        elif (row.state == ReservationState.HELD) == bool(progress.reason):
            said = f"It is {row.state}, and what it is for {'has ended' if progress.reason else 'is alive'}."
            found.append(_source("RESERVATION_DIFFERS", connection_id, source, said))
        elif wrong := _wrong_amounts(row, progress):
            found.append(_source("RESERVATION_DIFFERS", connection_id, source, wrong))
    return found


def held_sources() -> dict[str, UUID]:
    """The source of every open reservation, and its connection."""
    rows = Reservation.objects.filter(state=ReservationState.HELD.value)
    return dict(rows.order_by().values_list("source", "connection_id"))


def orphaned(sources: Mapping[str, UUID]) -> list[Broken]:
    """Open reservations nothing lives for any more, as findings."""
    return [
        _source("RESERVATION_ORPHANED", connection_id, source, "It holds, and there is no living order for it.")
        for source, connection_id in sorted(sources.items())
    ]


def broken_holdings(expected: Mapping[tuple[UUID, str], Holding]) -> list[Broken]:
    """Budgets of positions that are not used by what the books hold. `expected` maps (connection, instrument) to it."""
    rows = Budget.objects.filter(dimension__in=[Dimension.POSITION.value, Dimension.POSITION_QUANTITY.value])
    found, seen = [], set()
    for row in rows.order_by("pk"):
        key = (row.connection_id, row.instrument)
        seen.add(key)
        holding = expected.get(key)
        if holding is None:
            wanted = 0
        elif row.dimension == Dimension.POSITION_QUANTITY:
            wanted = minor_up(holding.quantity)
        else:
            wanted = minor_up(product(holding.cost, row.rate)) if row.rate is not None else 0
        if row.used_minor != wanted:
            found.append(_budget("USED_DIFFERS", row, "used", row.used_minor, wanted))
    for (connection_id, instrument), holding in sorted(expected.items(), key=str):
        if holding.quantity and (connection_id, instrument) not in seen:
            found.append(_source("BUDGET_MISSING", connection_id, instrument, "It is held, and no budget counts it."))
    return found


def _ended_and_holding() -> list[Broken]:
    rows = Reservation.objects.filter(~Q(state=ReservationState.HELD.value), amounts__held_minor__gt=0).distinct()
    return [
        _source("ENDED_AND_HOLDING", row.connection_id, row.source, f"It is {row.state} and still holds something.")
        for row in rows
    ]


def _wrong_amounts(row: Reservation, progress: Progress) -> str:
    for amount in row.amounts.all():
        held = held_of(amount.amount_minor, progress)
        traded = traded_of(Dimension(amount.budget.dimension), progress, row.rate)
        if (amount.held_minor, amount.used_minor) != (held, traded):
            return (
                f"{amount.budget}: it holds {_shown(amount.held_minor)} and used {_shown(amount.used_minor)}, "
                f"and should hold {_shown(held)} and have used {_shown(traded)}."
            )
    return ""


def _budget(code: str, row: Budget, what: str, is_: int, should: int) -> Broken:
    return Broken(
        code=code,
        connection_id=row.connection_id,
        where=f"budget:{row.pk}",
        message=f"{row}: {what} is {_shown(is_)}, and its parts give {_shown(should)}.",
    )


def _source(code: str, connection_id: UUID, source: str, message: str) -> Broken:
    return Broken(code=code, connection_id=connection_id, where=source, message=message)


def _shown(minor: int) -> str:
    return decimal_text(from_minor(minor))
