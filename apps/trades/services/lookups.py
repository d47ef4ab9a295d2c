"""Finding out what became of an order whose fate is not known: the venue's list, searched again and again.

One worker at a time has the turn: a compare-and-swap of the fence, for a lease longer than every deadline. That an
order is absent from the list proves nothing, however often. What is found is compared field by field and attached;
what is not found may be sent again while its approval stands (`replays`); beyond a horizon a person must look.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.conf import settings

from apps.audit.services import alarms
from apps.common import fault_places as places
from apps.common import faults, tracing
from apps.common.errors import AikaError, NotFound
from apps.connectors.services import venue
from apps.connectors.types import Connector, VenueFill, VenueOrder
from apps.trades.models import Inquiry, Order
from apps.trades.selectors.proposals import locked_proposal
from apps.trades.selectors.reconciliation import named_by_venue, scans_of
from apps.trades.services import fills
from apps.trades.services.orders import LEASE
from apps.trades.types import InquiryAnswer, InquiryKind, OrderState

if TYPE_CHECKING:
    from apps.connectors.models import Connection

# From one scan to the next: at 0, 2, 5, 15 and 60 seconds, then every minute, and slowly once a person must look.
PAUSES_S: Final = (2, 3, 10, 45)
PAUSE_S: Final = 60
PAUSE_BEYOND_HORIZON_S: Final = 600

Clock = Callable[[], datetime]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """The right to ask about one order, until its lease ends. `fence` is the number under which it may be written."""

    order_id: UUID
    proposal_id: UUID
    client_order_id: UUID
    connection: "Connection"
    instrument: str
    fence: int
    sent_at: datetime

    @property
    def searched_from(self) -> datetime:
        return self.sent_at - timedelta(seconds=settings.VENUE_CLOCK_SKEW_S)


@dataclass(frozen=True, kw_only=True)
class Look:
    """One search: until when, and every order found under our name, or under the one the venue gave us for it."""

    until: datetime
    found: tuple[VenueOrder, ...]
    identified: bool = False


def is_beyond_horizon(order: Order, now: datetime) -> bool:
    """Whether the order has been unknown for so long that a person must look."""
    sent_at = order.submitted_at or order.created_at
    return now >= sent_at + timedelta(seconds=settings.UNKNOWN_HORIZON_S)


def take_turn(order_id: UUID, now: datetime, *, due_only: bool) -> Turn | None:
    """The turn to ask about an order, if it is unknown, nobody has the turn, and (with `due_only`) it is due."""
    with faults.commit(places.LOOKUP):
        order = Order.objects.select_related("connection__desk").filter(pk=order_id).first()
        if order is None or order.state != OrderState.UNKNOWN:
            return None
        tracing.bind(proposal_id=order.proposal_id)
        locked_proposal(order.proposal_id)
        if order.lease_until is not None and order.lease_until > now:
            return None
        if due_only and order.next_attempt_at is not None and order.next_attempt_at > now:
            return None
        moved = Order.objects.filter(
            pk=order_id, state=OrderState.UNKNOWN, fence=order.fence, lease_until=order.lease_until
        ).update(fence=order.fence + 1, lease_until=now + LEASE, next_attempt_at=now + LEASE)
        if moved != 1:
            return None
        return Turn(
            order_id=order_id,
            proposal_id=order.proposal_id,
            client_order_id=order.client_order_id,
            connection=order.connection,
            instrument=order.instrument,
            fence=order.fence + 1,
            sent_at=order.submitted_at or order.created_at,
        )


def look(turn: Turn, clock: Clock) -> Look:
    """Search the venue for the order, outside any transaction. Raises what the connector raises for reads."""
    connector = venue.connect(turn.connection)
    until = clock() + timedelta(seconds=settings.VENUE_CLOCK_SKEW_S)
    named = _read_named(connector, turn)
    if named:
        return Look(until=until, found=named, identified=True)
    with faults.call(places.SCAN):
        listed = connector.orders([turn.instrument], turn.searched_from, until)
    return Look(until=until, found=tuple(row for row in listed if row.client_order_id == str(turn.client_order_id)))


def _read_named(connector: Connector, turn: Turn) -> tuple[VenueOrder, ...]:
    """The order by the venue's own id, where an answer to a replay has told it."""
    venue_order_id = named_by_venue(turn.order_id)
    if not venue_order_id:
        return ()
    try:
        with faults.call(places.SCAN):
            return (connector.order(venue_order_id),)
    except NotFound:
        return ()


def book_found(turn: Turn, seen: Look, clock: Clock) -> str:
    """Attach the order that was found, and book what the venue says of it. Returns the order's state afterwards.

    More than one under our name is the venue's own breach: the first is booked, the next differs and stops it all.
    """
    state = OrderState.UNKNOWN.value
    for told in seen.found:
        state = _book_one(turn, told, seen, clock)
    return state


def _book_one(turn: Turn, told: VenueOrder, seen: Look, clock: Clock) -> str:
    told_fills = _fills_of(turn, told)
    now = clock()
    with faults.commit(places.LOOKUP_ANSWER):
        state = fills.book(order_id=turn.order_id, told=told, fills=told_fills, now=now, identified=seen.identified)
        differs = state == OrderState.UNKNOWN
        answer = InquiryAnswer.DIFFERS if differs else InquiryAnswer.FOUND
        write_inquiry(turn, InquiryKind.SCAN, answer, now, until=seen.until, detail=told.venue_order_id)
        if differs:
            _give_back(turn, now, pause_s=PAUSE_S)
    return state


def _fills_of(turn: Turn, told: VenueOrder) -> tuple[VenueFill, ...]:
    """Its fills, if there are any to read now; polling books the rest."""
    if not told.filled_quantity:
        return ()
    try:
        connector = venue.connect(turn.connection)
        with faults.call(places.READ_FILLS):
            return connector.fills(venue_order_id=told.venue_order_id)
    except AikaError as error:
        logger.warning("The fills of order %s could not be read yet: %s", turn.order_id, error.code)
        return ()


def write_unfound(
    turn: Turn, answer: InquiryAnswer, now: datetime, *, until: datetime, code: str = "", detail: str = ""
) -> str:
    """Write down that this look said nothing, and when to look again. Beyond the horizon, call a person."""
    with faults.commit(places.LOOKUP_ANSWER):
        locked_proposal(turn.proposal_id)
        write_inquiry(turn, InquiryKind.SCAN, answer, now, until=until, code=code, detail=detail)
        release(turn, now)
        return Order.objects.values_list("state", flat=True).get(pk=turn.order_id)


def release(turn: Turn, now: datetime, *, soon: bool = False) -> None:
    """Give the turn back, with the time of the next one. Inside the caller's transaction."""
    order = Order.objects.get(pk=turn.order_id)
    beyond = is_beyond_horizon(order, now)
    scans = scans_of(turn.order_id)
    pause_s = PAUSES_S[scans - 1] if 0 < scans <= len(PAUSES_S) else PAUSE_S
    if soon:
        pause_s = PAUSES_S[0]
    _give_back(turn, now, pause_s=PAUSE_BEYOND_HORIZON_S if beyond and not soon else pause_s)
    if beyond and order.state == OrderState.UNKNOWN:
        alarms.raise_alarm(
            code="ORDER_NEEDS_PERSON",
            subject=f"order:{turn.order_id}",
            message=(
                f"The venue was asked {scans} times and shows no order under this name. Two people must say what became"
                " of it; until then what it binds stays bound."
            ),
            now=now,
        )


def _give_back(turn: Turn, now: datetime, *, pause_s: int) -> None:
    Order.objects.filter(pk=turn.order_id, state=OrderState.UNKNOWN, fence=turn.fence).update(
        lease_until=None, next_attempt_at=now + timedelta(seconds=pause_s)
    )


def write_inquiry(
    turn: Turn,
    kind: InquiryKind,
    answer: InquiryAnswer,
    now: datetime,
    *,
    until: datetime | None = None,
    code: str = "",
    detail: str = "",
) -> None:
    """One line of what was asked. Inside the caller's transaction."""
    Inquiry.objects.create(
        order_id=turn.order_id,
        kind=kind,
        answer=answer,
        fence=turn.fence,
        asked_at=now,
        since=turn.searched_from if until is not None else None,
        until=until,
        code=code[:80],
        detail=detail,
    )
