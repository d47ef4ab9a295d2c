"""The reservations of all orders against the orders, their fills and positions: does everything add up?"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.audit.services import alarms
from apps.audit.types import Actor
from apps.common.snapshots import one_moment
from apps.connectors.selectors import all_connections
from apps.policies.services import budgets, trading_state
from apps.policies.services.budgets import Holding
from apps.policies.services.conservation import (
    Broken,
    broken_holdings,
    broken_reservations,
    broken_sums,
    held_sources,
    orphaned,
)
from apps.trades.models import Fill, Order, Position
from apps.trades.services.budgeting import holding_of, progress_of
from apps.trades.types import LIVE_ORDER_STATES

ALARM: Final = "RESERVATIONS_BROKEN"
# Fills of an order may be corrected for two days after its end; what is older has been checked before.
WATCHED: Final = timedelta(days=3)
ORDERS_PER_READ: Final = 500
WATCH: Final = Actor.system("conservation")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How many orders were compared, and everything that does not add up."""

    orders: int
    broken: tuple[Broken, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON: identifiers as text."""
        broken = [{**asdict(row), "connection_id": str(row.connection_id)} for row in self.broken]
        return {"orders": self.orders, "broken": broken}


def check(*, since: datetime | None, progress: Progress) -> Report:
    """Compare, as of one moment, budgets with reservations, those with orders and fills, holdings with positions.

    With `since` only orders alive then or later are read; the sums are always whole. `progress` is told how many of how
    many orders are done. Changes nothing.
    """
    with one_moment():
        rows = _orders(since)
        total, done = rows.count(), 0
        broken = broken_sums()
        for orders in _batches(rows):
            broken += broken_reservations(_expected(orders))
            done += len(orders)
            progress(done, total)
        broken += orphaned(_lifeless())
        broken += broken_holdings(_held())
    return Report(orders=done, broken=tuple(broken))


def watch(*, now: datetime) -> Report:
    """Check what can still change. Where something is broken its connection is halted and an alarm says what; where all
    is well the alarm is cleared. Limits that a policy set while a budget was being made are written too."""
    connections = [connection.pk for connection in all_connections()]
    budgets.apply_limits(connection_ids=connections, now=now)
    report = check(since=now - WATCHED, progress=lambda done, total: None)
    by_connection: dict[UUID, list[Broken]] = {}
    for row in report.broken:
        by_connection.setdefault(row.connection_id, []).append(row)
    for connection_id in connections:
        subject = f"connection:{connection_id}"
        if found := by_connection.get(connection_id):
            message = f"{found[0].message} In all {len(found)}: run manage.py check_reservations."
            alarms.raise_alarm(code=ALARM, subject=subject, message=message, now=now)
            trading_state.halt(
                connection_id=connection_id, actor=WATCH, reason=f"Reservations do not add up. {message}", now=now
            )
        else:
            alarms.clear_alarm(code=ALARM, subject=subject, now=now)
    return report


def _orders(since: datetime | None) -> QuerySet[Order]:
    rows = Order.objects.order_by("created_at", "pk")
    if since is None:
        return rows
    return rows.filter(Q(state__in=LIVE_ORDER_STATES) | Q(created_at__gte=since) | Q(closed_at__gte=since))


def _batches(rows: QuerySet[Order]) -> Iterator[list[Order]]:
    found = rows.select_related("proposal").iterator(chunk_size=ORDERS_PER_READ)
    while batch := list(islice(found, ORDERS_PER_READ)):
        yield batch


def _expected(orders: list[Order]) -> dict[str, tuple[UUID, budgets.Progress]]:
    fills: dict[UUID, list[Fill]] = {}
    for fill in Fill.objects.filter(order__in=orders):
        fills.setdefault(fill.order_id, []).append(fill)
    return {
        str(order.pk): (order.connection_id, progress_of(order, fills.get(order.pk, []), holding=None))
        for order in orders
    }


def _lifeless() -> dict[str, UUID]:
    """Open reservations without a living order."""
    held = held_sources()
    alive = {str(pk) for pk in Order.objects.filter(state__in=LIVE_ORDER_STATES).values_list("pk", flat=True)}
    return {source: connection_id for source, connection_id in held.items() if source not in alive}


def _held() -> dict[tuple[UUID, str], Holding]:
    return {(row.connection_id, row.instrument): holding_of(row) for row in Position.objects.all()}
