"""After a halt: everything of ours that is open is canceled at the venue, until nothing is, twice in a row.

The halt itself stops what has not left. What had left is asked to be canceled, and the venue is asked what is open, by
passes that a sweep starts again and again: believing a flag, or an answer, would leave an order behind. What is found
under one of our names is ours, whatever our row says of it. Orders of others are counted and left alone.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.conf import settings

from apps.audit.services import alarms, events
from apps.audit.types import Actor
from apps.common import fault_places as places
from apps.common import faults
from apps.common.errors import AikaError, Conflict
from apps.common.tasks import publish
from apps.connectors.selectors import all_connections, locked_connection
from apps.connectors.services import venue
from apps.connectors.types import VenueOrder
from apps.policies.selectors import halted_since
from apps.trades.models import HaltClearing, Order
from apps.trades.services import cancels, fills
from apps.trades.types import IN_FLIGHT_STATES, LIVE_ORDER_STATES, WORKING_STATES, ClearingOutcome, OrderState

if TYPE_CHECKING:
    from apps.connectors.models import Connection

# A pass that takes longer is taken over; two at once harm nobody, since each order has one turn.
LEASE: Final = timedelta(seconds=20)
BETWEEN_PASSES: Final = timedelta(seconds=1)
# While only orders of unknown fate are left, which may take hours.
BETWEEN_LOOKS_MAX: Final = timedelta(seconds=30)
EMPTY_LISTS_NEEDED: Final = 2
ORDERS_PER_PASS: Final = 500
GLOBAL: Final = "global"
HALTING: Final = Actor.system("halt")
FOREIGN: Final = "FOREIGN_ORDERS_OPEN"

Clock = Callable[[], datetime]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Pass:
    """The turn of one pass."""

    clearing_id: UUID
    number: int
    connection: "Connection"
    reason: str


@dataclass(kw_only=True)
class _Seen:
    """What a pass found at the venue, and how many orders it asked to cancel."""

    ours: list[VenueOrder] = field(default_factory=list)
    foreign: list[VenueOrder] = field(default_factory=list)
    asked: int = 0


def publish_passes(*, now: datetime, scope: str | None = None) -> int:
    """Publish a pass for every halted connection that is due; with `scope`, only of that halt. Returns how many."""
    if not settings.HALT_CANCELS_ORDERS:
        return 0
    ids = [row.pk for row in all_connections() if scope in {None, GLOBAL, str(row.pk)} and _is_due(row.pk, now)]
    for connection_id in ids:
        publish("trades.clear_halted", connection_id=connection_id)
    return len(ids)


def _is_due(connection_id: UUID, now: datetime) -> bool:
    halt = halted_since(connection_id)
    running = HaltClearing.objects.filter(connection_id=connection_id, outcome=ClearingOutcome.RUNNING).first()
    if halt is None:
        return running is not None
    if running is None or running.halted_at != halt[0]:
        return not HaltClearing.objects.filter(connection_id=connection_id, halted_at=halt[0]).exists()
    return running.next_at <= now


def clear(*, connection_id: UUID, clock: Clock) -> str:
    """One pass over a halted connection. Returns where its canceling stands; "" where nothing was due.

    Never inside a transaction. Works on a connection that is switched off, and with a rate budget that is used up.
    """
    turn = _take_turn(connection_id, clock())
    if turn is None:
        return ""
    asked = _want(turn, clock)
    try:
        seen = _sweep_venue(turn, clock)
    except AikaError as error:
        return _not_listed(turn, error, asked, clock())
    seen.asked += asked
    return _write(turn, seen, clock())


def _take_turn(connection_id: UUID, now: datetime) -> _Pass | None:
    with faults.commit(places.CLEAR_CLAIM):
        connection = locked_connection(connection_id)
        halt = halted_since(connection_id) if settings.HALT_CANCELS_ORDERS else None
        running = HaltClearing.objects.filter(connection_id=connection_id, outcome=ClearingOutcome.RUNNING).first()
        if running is not None and (halt is None or running.halted_at != halt[0]):
            _end(running, ClearingOutcome.STOPPED, now)
            running = None
        if halt is None:
            return None
        halted_at, reason = halt
        if running is None:
            running = _begin(connection_id, halted_at, now)
        if running is None or running.next_at > now:
            return None
        running.passes, running.next_at = running.passes + 1, now + LEASE
        running.save(update_fields=["passes", "next_at"])
        return _Pass(clearing_id=running.pk, number=running.passes, connection=connection, reason=reason)


def _begin(connection_id: UUID, halted_at: datetime, now: datetime) -> HaltClearing | None:
    if HaltClearing.objects.filter(connection_id=connection_id, halted_at=halted_at).exists():
        return None
    running = HaltClearing.objects.create(
        connection_id=connection_id,
        halted_at=halted_at,
        outcome=ClearingOutcome.RUNNING,
        started_at=now,
        next_at=now,
    )
    _record(running, "halt.clearing", {"halted_at": halted_at}, now)
    return running


def _want(turn: _Pass, clock: Clock) -> int:
    """Write down for every live order that it is to be canceled; what has not left is canceled by that."""
    rows = Order.objects.filter(connection_id=turn.connection.pk, state__in=LIVE_ORDER_STATES, cancel_requested_at=None)
    wanted = 0
    for order_id in rows.order_by("created_at").values_list("pk", flat=True)[:ORDERS_PER_PASS]:
        try:
            cancels.request_cancel(
                order_id=order_id,
                actor=HALTING,
                reason=f"Trading was halted: {turn.reason}",
                now=clock(),
                code="TRADING_HALTED",
                ask=False,
            )
        except Conflict as error:
            logger.info("Order %s moved while it was to be canceled: %s", order_id, error.code)
        else:
            wanted += 1
    return wanted


def _sweep_venue(turn: _Pass, clock: Clock) -> _Seen:
    """Cancel what our rows know to be there, list what is open, and cancel what the list knows and our rows did not.

    Raises what the connector raises for reads."""
    connection = turn.connection
    _send(connection, _to_cancel(connection.pk), clock)
    connector = venue.connect(connection)
    with faults.call(places.CLEAR_LIST):
        open_now = connector.open_orders()
    rows = _rows_of(connection.pk, open_now)
    seen = _Seen()
    strays: list[str] = []
    for told in open_now:
        order = rows.get(told.client_order_id)
        if order is None:
            seen.foreign.append(told)
            continue
        seen.ours.append(told)
        if order.state not in WORKING_STATES and not _attach(order, told, clock()):
            strays.append(told.venue_order_id)
    _send(connection, _to_cancel(connection.pk), clock)
    if strays:
        _cancel_strays(turn, strays, clock())
    return seen


def _attach(order: Order, told: VenueOrder, now: datetime) -> bool:
    """Whether the order, which our row did not know to be at the venue, can be canceled by its row from here on."""
    if order.state not in IN_FLIGHT_STATES:
        return False
    if fills.book(order_id=order.pk, told=told, fills=(), now=now) not in WORKING_STATES:
        return False
    try:
        cancels.request_cancel(
            order_id=order.pk, actor=HALTING, reason="Trading was halted.", now=now, code="TRADING_HALTED", ask=False
        )
    except Conflict as error:
        logger.info("Order %s ended while it was to be canceled: %s", order.pk, error.code)
    return True


def _cancel_strays(turn: _Pass, venue_order_ids: Sequence[str], now: datetime) -> None:
    """Open under one of our names although our row is closed, or is another order than the one approved: nobody wants
    them to trade. There is no row to carry the wish, so they are asked for again with every pass."""
    try:
        connector = venue.connect(turn.connection)
        with faults.call(places.CANCEL):
            connector.cancel_orders(venue_order_ids)
    except AikaError as error:
        logger.warning("Strays on %s were not canceled: %s", turn.connection.slug, error.code)
    with faults.commit(places.CLEAR_ANSWER):
        clearing = HaltClearing.objects.get(pk=turn.clearing_id)
        _record(clearing, "halt.strays_canceled", {"venue_order_ids": list(venue_order_ids)[:ORDERS_PER_PASS]}, now)


def _rows_of(connection_id: UUID, open_now: Sequence[VenueOrder]) -> dict[str, Order]:
    """Our orders among them, by the name we gave them. A name that is no UUID is none of ours."""
    names = [name for told in open_now if (name := _uuid(told.client_order_id)) is not None]
    return {str(row.client_order_id): row for row in Order.objects.filter(client_order_id__in=names)}


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _to_cancel(connection_id: UUID) -> list[UUID]:
    rows = Order.objects.working().filter(connection_id=connection_id, cancel_requested_at__isnull=False)
    return list(rows.order_by("created_at").values_list("pk", flat=True)[:ORDERS_PER_PASS])


def _send(connection: "Connection", order_ids: Sequence[UUID], clock: Clock) -> None:
    cancels.send_cancels(connection=connection, order_ids=order_ids, clock=clock)


def _not_listed(turn: _Pass, error: AikaError, asked: int, now: datetime) -> str:
    """What is open is not known: nothing is concluded, and the next pass asks again."""
    logger.warning("What is open on %s could not be listed: %s", turn.connection.slug, error.code)
    with faults.commit(places.CLEAR_ANSWER):
        locked_connection(turn.connection.pk)
        clearing = HaltClearing.objects.get(pk=turn.clearing_id)
        if clearing.outcome == ClearingOutcome.RUNNING:
            clearing.empty_lists = 0
            clearing.asked_orders += asked
            clearing.reason_code, clearing.reason = error.code[:80], error.message
            clearing.next_at = now + BETWEEN_PASSES * 2
            clearing.save()
        return clearing.outcome


def _write(turn: _Pass, seen: _Seen, now: datetime) -> str:
    with faults.commit(places.CLEAR_ANSWER):
        locked_connection(turn.connection.pk)
        clearing = HaltClearing.objects.get(pk=turn.clearing_id)
        if clearing.outcome != ClearingOutcome.RUNNING or clearing.passes != turn.number:
            return clearing.outcome
        rows = Order.objects.filter(connection_id=turn.connection.pk)
        in_flight = rows.filter(state__in=IN_FLIGHT_STATES).count()
        at_work = rows.filter(state__in=[*WORKING_STATES, OrderState.INITIALIZED]).exists()
        empty = not seen.ours and not in_flight and not at_work
        clearing.listed_at = now
        clearing.open_orders, clearing.foreign_orders = len(seen.ours), len(seen.foreign)
        clearing.in_flight_orders = in_flight
        clearing.asked_orders += seen.asked
        clearing.empty_lists = clearing.empty_lists + 1 if empty else 0
        clearing.reason_code = clearing.reason = ""
        only_unknown = in_flight and not seen.ours and not at_work
        wait = min(BETWEEN_PASSES * min(turn.number, 60), BETWEEN_LOOKS_MAX) if only_unknown else BETWEEN_PASSES
        clearing.next_at = now + wait
        clearing.save()
        _say_foreign(turn.connection, seen.foreign, now)
        if clearing.empty_lists >= EMPTY_LISTS_NEEDED:
            _end(clearing, ClearingOutcome.DONE, now)
        return clearing.outcome


def _end(clearing: HaltClearing, outcome: ClearingOutcome, now: datetime) -> None:
    clearing.outcome, clearing.finished_at = outcome, now
    clearing.save(update_fields=["outcome", "finished_at"])
    facts: dict[str, object] = {"passes": clearing.passes, "asked_orders": clearing.asked_orders}
    kind = "halt.cleared" if outcome is ClearingOutcome.DONE else "halt.clearing_stopped"
    _record(clearing, kind, facts, now)


def _say_foreign(connection: "Connection", foreign: Sequence[VenueOrder], now: datetime) -> None:
    subject = f"connection:{connection.pk}"
    if not foreign:
        alarms.clear_alarm(code=FOREIGN, subject=subject, now=now)
        return
    shown = ", ".join(f"{told.side.value} {told.instrument} {told.venue_order_id}" for told in foreign[:5])
    alarms.raise_alarm(
        code=FOREIGN,
        subject=subject,
        message=f"{connection.name} is halted and has {len(foreign)} open orders that are not ours; they were left"
        f" alone: {shown}.",
        now=now,
    )


def _record(clearing: HaltClearing, kind: str, facts: dict[str, object], now: datetime) -> None:
    events.record(
        stream=f"halt:{clearing.connection_id}",
        kind=kind,
        actor=HALTING,
        subject=f"connection:{clearing.connection_id}",
        payload={"clearing": clearing.pk, "outcome": clearing.outcome, **facts},
        now=now,
    )
