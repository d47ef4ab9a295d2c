"""Our rows as a comparison with a venue needs them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from apps.audit.selectors import open_alarms
from apps.connectors.types import VenueFill
from apps.trades.models import Difference, Fill, Order, ReconciliationRun
from apps.trades.types import (
    IN_FLIGHT_STATES,
    LIVE_ORDER_STATES,
    WORKING_STATES,
    DifferenceKind,
    OrderState,
    RunOutcome,
)

T = TypeVar("T")

# How many ids one query may name: SQLite takes no more variables than this.
IDS_PER_QUERY: Final = 500


def orders_named(
    *, client_order_ids: Sequence[UUID], venue_order_ids: Sequence[str], connection_id: UUID
) -> dict[str, Order]:
    """Orders by our name and by the venue's id, both as text. Names are looked for on every connection."""
    found: dict[str, Order] = {}
    rows = Order.objects.select_related("proposal", "connection")
    for names in _parts(client_order_ids):
        found |= {str(row.client_order_id): row for row in rows.filter(client_order_id__in=names)}
    here = rows.filter(connection_id=connection_id)
    for ids in _parts(venue_order_ids):
        found |= {row.venue_order_id: row for row in here.filter(venue_order_id__in=ids)}
    return found


def working_orders(connection_id: UUID) -> list[Order]:
    """What the venue took and has not ended, as far as our rows know; the one read longest ago first."""
    rows = Order.objects.filter(connection_id=connection_id, state__in=WORKING_STATES).select_related("proposal")
    return list(rows.order_by("polled_at", "pk"))


def order_at_venue(venue_order_id: str, account: Sequence[UUID]) -> Order | None:
    """The order under the venue's id, on any connection of the account."""
    rows = Order.objects.filter(connection_id__in=account, venue_order_id=venue_order_id)
    return rows.select_related("proposal").first()


def booked_fills(order_id: UUID) -> dict[str, Fill]:
    """The fills of an order that are in the books, by the venue's id."""
    return {row.venue_fill_id: row for row in Fill.objects.filter(order_id=order_id)}


def known_fills(venue_fill_ids: Sequence[str], account: Sequence[UUID]) -> set[str]:
    """Those of the fills that are in the books of any connection of the account."""
    found: set[str] = set()
    for part in _parts(venue_fill_ids):
        rows = Fill.objects.filter(connection_id__in=account, venue_fill_id__in=part)
        found |= set(rows.values_list("venue_fill_id", flat=True))
    return found


def doubted_fills() -> set[str]:
    """The ids, as text, of the orders whose fills did not add up when they were last booked."""
    subjects = open_alarms().filter(code="FILLS_DIFFER").values_list("subject", flat=True)
    return {subject.removeprefix("order:") for subject in subjects}


def has_in_flight(account: Sequence[UUID]) -> bool:
    """Whether the fate of an order of the account is open: it may have moved balances that no fill tells of yet."""
    return Order.objects.filter(connection_id__in=account, state__in=IN_FLIGHT_STATES).exists()


def unbooked(account: Sequence[UUID], fills: Sequence[VenueFill]) -> bool:
    """Whether a fill of an order of the account is at the venue and in nobody's books."""
    known = known_fills([row.venue_fill_id for row in fills], account)
    left = {row.venue_order_id for row in fills if row.venue_fill_id not in known}
    return any(
        Order.objects.filter(connection_id__in=account, venue_order_id__in=part).exists()
        for part in _parts(sorted(left))
    )


def has_live_orders(connection_id: UUID) -> bool:
    """Whether anything on the connection still binds money."""
    return Order.objects.filter(connection_id=connection_id, state__in=LIVE_ORDER_STATES).exists()


def last_balances(connection_id: UUID) -> ReconciliationRun | None:
    """The newest run that compared balances."""
    rows = ReconciliationRun.objects.filter(connection_id=connection_id, balances__isnull=False)
    return rows.exclude(outcome=RunOutcome.RUNNING).order_by("-started_at").first()


def fills_recorded(account: Sequence[UUID], *, since: datetime, overlap: timedelta) -> list[Fill]:
    """Fills that came into the books of the account since an instant, with room for commits that took long."""
    return list(Fill.objects.filter(connection_id__in=account, recorded_at__gte=since - overlap))


def explained(connection_id: UUID, kind: DifferenceKind, subject: str) -> bool:
    """Whether a person has said before what this very difference was."""
    rows = Difference.objects.filter(connection_id=connection_id, kind=kind, subject=subject)
    return rows.filter(settled_at__isnull=False).exists()


def held_back(connection_id: UUID) -> list[UUID]:
    """Approved orders that wait for a comparison."""
    rows = Order.objects.filter(connection_id=connection_id, state=OrderState.INITIALIZED, reason_code="RECONCILING")
    return list(rows.values_list("pk", flat=True))


def _parts(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[begin : begin + IDS_PER_QUERY] for begin in range(0, len(items), IDS_PER_QUERY)]
