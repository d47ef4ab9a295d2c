"""An order that the venue has, and that our row did not know it has: the venue wins, and the difference is kept.

Whoever hears of it comes through here: the scan, the replay, a comparison, a person, the venue's own messages.
"""

from datetime import datetime
from typing import Final

from apps.audit.services import alarms, events
from apps.common.decimals import decimal_text
from apps.common.errors import AikaError
from apps.common.tasks import publish
from apps.connectors.types import VenueOrder
from apps.trades.models import Order, ReconciliationRun
from apps.trades.rules import comparison
from apps.trades.rules.comparison import Differing
from apps.trades.rules.terms import order_request, read_terms
from apps.trades.services import differences
from apps.trades.services.differences import RECONCILIATION
from apps.trades.services.endings import stream_of
from apps.trades.types import IN_FLIGHT_STATES, DifferenceKind, OrderState

# What is said aloud while an order's fate is not known.
UNKNOWN_ALARMS: Final = ("ORDER_UNKNOWN", "ORDER_NEEDS_PERSON")


def differing(order: Order, told: VenueOrder) -> Differing:
    """The fields in which the venue's order is not the one that was approved and sent, from the frozen terms."""
    try:
        asked = order_request(read_terms(bytes(order.proposal.terms)), order.client_order_id)
    except (AikaError, ValueError, KeyError):
        return {"terms": ("bytes that cannot be read", told.venue_order_id)}
    found = comparison.differences(asked, told)
    if order.venue_order_id and order.venue_order_id != told.venue_order_id:
        found["venue_order_id"] = (order.venue_order_id, told.venue_order_id)
    return found


def stop(order: Order, found: Differing, told: VenueOrder, now: datetime, run: ReconciliationRun | None = None) -> None:
    """Another order than ours stands under our name: nothing of it is booked, and the connection stops.

    Inside the caller's transaction.
    """
    differences.keep(
        connection_id=order.connection_id,
        order_id=order.pk,
        run=run,
        kind=DifferenceKind.ORDER_DIFFERS,
        subject=str(order.client_order_id),
        ours=f"{order.get_state_display()}, as approved.",
        theirs=f"{in_words(told)} is not the one that was sent: {comparison.in_words(found)}.",
        done="Nothing of it was booked. Trading on the connection is halted.",
        now=now,
    )


def attach(order: Order, told: VenueOrder, now: datetime, run: ReconciliationRun | None = None) -> None:
    """Give the order the venue's id, after all fields were compared. Inside the caller's transaction, under its locks.

    One that may have been sent is ACCEPTED from now on. One that was never sent, or that had ended without the venue,
    keeps what it says; then a person must look, and trading on the connection is halted.
    """
    if order.state in IN_FLIGHT_STATES:
        _accept(order, told, now, run)
    elif order.state == OrderState.INITIALIZED:
        _catch_up(order, told, now, run)
        _accept(order, told, now, run)
    else:
        _attach_late(order, told, now, run)
    order.refresh_from_db()


def in_words(told: VenueOrder) -> str:
    """What the venue says of an order, in one line."""
    size = told.quantity or told.quote_quantity
    shown = decimal_text(size) if size is not None else "an unknown quantity of"
    filled = f", {decimal_text(told.filled_quantity)} filled" if told.filled_quantity else ""
    return f"{told.side.value} {shown} {told.instrument}, {told.venue_state or told.state.value}{filled}"


def _accept(order: Order, told: VenueOrder, now: datetime, run: ReconciliationRun | None) -> None:
    before = order.get_state_display()
    was_unknown = order.state == OrderState.UNKNOWN
    fence = order.fence + 1
    Order.objects.filter(pk=order.pk, state=order.state).update(
        state=OrderState.ACCEPTED,
        venue_order_id=told.venue_order_id,
        accepted_at=now,
        fence=fence,
        lease_until=None,
        next_attempt_at=None,
        reason_code="",
        reason="",
    )
    _record(order, "order.accepted", OrderState.ACCEPTED, fence, told, now)
    for code in UNKNOWN_ALARMS:
        alarms.clear_alarm(code=code, subject=f"order:{order.pk}", now=now)
    if was_unknown:
        differences.keep(
            connection_id=order.connection_id,
            order_id=order.pk,
            run=run,
            kind=DifferenceKind.ORDER_FOUND,
            subject=told.venue_order_id,
            ours=f"{before}.",
            theirs=f"{in_words(told)}.",
            done="It is the order that was sent; it is followed from here on.",
            now=now,
        )
    publish("trades.poll_order", order_id=order.pk)
    if order.cancel_requested_at is not None:
        publish("trades.cancel_order", order_id=order.pk)


def _catch_up(order: Order, told: VenueOrder, now: datetime, run: ReconciliationRun | None) -> None:
    """The venue has what our row says has never left: the row is older than what happened."""
    fence = order.fence + 1
    sent_at = told.created_at or now
    Order.objects.filter(pk=order.pk, state=OrderState.INITIALIZED).update(
        state=OrderState.SUBMITTED, fence=fence, submitted_at=sent_at
    )
    _record(order, "order.submitted", OrderState.SUBMITTED, fence, told, now)
    differences.keep(
        connection_id=order.connection_id,
        order_id=order.pk,
        run=run,
        kind=DifferenceKind.DATABASE_BEHIND,
        subject=told.venue_order_id,
        ours="Approved, and not sent.",
        theirs=f"{in_words(told)}.",
        done="The row was brought up to it. Trading on the connection is halted: other rows may be missing.",
        now=now,
    )
    order.refresh_from_db()


def _attach_late(order: Order, told: VenueOrder, now: datetime, run: ReconciliationRun | None) -> None:
    Order.objects.filter(pk=order.pk, venue_order_id="").update(venue_order_id=told.venue_order_id)
    _record(order, "order.found_late", OrderState(order.state), order.fence, told, now)
    differences.keep(
        connection_id=order.connection_id,
        order_id=order.pk,
        run=run,
        kind=DifferenceKind.ORDER_LATE,
        subject=told.venue_order_id,
        ours=f"{order.get_state_display()}: it bound nothing any more.",
        theirs=f"{in_words(told)}.",
        done="Its fills are booked. Trading on the connection is halted; cancel the order at the venue if it works.",
        now=now,
    )


def _record(order: Order, kind: str, state: OrderState, fence: int, told: VenueOrder, now: datetime) -> None:
    events.record(
        stream=stream_of(order.proposal_id),
        kind=kind,
        actor=RECONCILIATION,
        subject=str(order.pk),
        payload={
            "state": state.value,
            "fence": fence,
            "code": "FOUND_AT_VENUE",
            "venue_order_id": told.venue_order_id,
            "venue_state": told.venue_state,
        },
        now=now,
    )
