"""What the venue says became of an order: states, fills, positions and outcomes, each booked once."""

import logging
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.conf import settings

from apps.audit.services import alarms, events
from apps.audit.types import Actor
from apps.common import fault_places as places
from apps.common import faults, tracing
from apps.common.errors import NotFound
from apps.common.money import minor_up, product, total
from apps.connectors.selectors import instrument_of, locked_connection
from apps.connectors.services import venue
from apps.connectors.types import Side, TradeType, VenueFill, VenueOrder, VenueOrderState
from apps.trades.models import Fill, Order, Outcome, Position, ReconciliationRun
from apps.trades.rules import positions
from apps.trades.selectors.proposals import locked_proposal
from apps.trades.services import attaching, budgeting, cancels, remembering, run_leases
from apps.trades.services.endings import stream_of
from apps.trades.types import IN_FLIGHT_STATES, WORKING_STATES, Closing, Execution, Lot, OrderState

BOOKKEEPING: Final = Actor.system("bookkeeping")
ZERO: Final = Decimal(0)
_PRICE_PLACES: Final = Decimal(1).scaleb(-12)
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_CODE_CHARS_MAX: Final = 80

_ENDED: Final = {
    VenueOrderState.FILLED: OrderState.FILLED,
    VenueOrderState.CANCELED: OrderState.CANCELED,
    VenueOrderState.EXPIRED: OrderState.EXPIRED,
    VenueOrderState.REJECTED: OrderState.REJECTED,
}

logger = logging.getLogger(__name__)


def poll_order(*, order_id: UUID, now: datetime) -> str:
    """Ask the venue about one order it took, and book what it says. Returns the order's state afterwards.

    An ended order is asked about too: the venue may still correct its fills. Raises what the connector raises for
    reads; nothing is booked then. An order the venue does not know (yet) stays.
    """
    order = Order.objects.select_related("connection__desk").filter(pk=order_id).first()
    if order is None or not order.venue_order_id or order.state in IN_FLIGHT_STATES:
        return order.state if order else "MISSING"
    tracing.bind(proposal_id=order.proposal_id)
    connector = venue.connect(order.connection)
    try:
        with faults.call(places.READ_ORDER):
            told = connector.order(order.venue_order_id)
    except NotFound:
        return order.state
    fills: Sequence[VenueFill] = ()
    if told.filled_quantity or order.filled_quantity:
        with faults.call(places.READ_FILLS):
            fills = connector.fills(venue_order_id=order.venue_order_id)
    return book(order_id=order_id, told=told, fills=fills, now=now, asked_at=now)


def book(
    *,
    order_id: UUID,
    told: VenueOrder,
    fills: Sequence[VenueFill],
    now: datetime,
    asked_at: datetime | None = None,
    identified: bool = False,
    run: ReconciliationRun | None = None,
) -> str:
    """Book fills that are new, then the order's state, in one transaction. Calling it again changes nothing.

    The one door for what a venue says of an order, whoever heard it: an order that was not known to be at the venue is
    attached first (see `attaching`), by our name or, where the venue tells none, because people `identified` it. An
    order ends only once the fills booked add up to what the venue says was filled: the list of fills may lag. What the
    venue tells of another order than ours is not booked, and stops the connection. `asked_at`: when the venue was asked
    for this very order. `run`: the comparison that found it; raises Conflict RUN_TAKEN_OVER where that is over.
    """
    with faults.commit(places.BOOK):
        run_leases.renew(run, now=now)
        proposal_id, connection_id = Order.objects.values_list("proposal_id", "connection_id").get(pk=order_id)
        locked_proposal(proposal_id)
        locked_connection(connection_id)
        order = Order.objects.select_related("connection__desk", "proposal").get(pk=order_id)
        if found := attaching.differing(order, told):
            attaching.stop(order, found, told, now, run)
            return order.state
        before = order.state
        if not order.venue_order_id:
            if not (told.client_order_id or identified):
                return order.state
            attaching.attach(order, told, now, run)
        new = [fill for fill in fills if fill.venue_order_id == order.venue_order_id and _book_fill(order, fill, now)]
        if new:
            _book_positions(order, new, now)
        _book_state(order, told, now)
        if asked_at is not None and order.state == OrderState.CANCEL_REQUESTED:
            cancels.watch_refusal(order, told, asked_at=asked_at, now=now)
        if new or order.state != before:
            budgeting.follow(order_id=order.pk, now=now)
        return order.state


def _book_fill(order: Order, fill: VenueFill, now: datetime) -> bool:
    sign = -1 if fill.trade_type is TradeType.REVERSAL else 1
    _, created = Fill.objects.get_or_create(
        connection_id=order.connection_id,
        venue_fill_id=fill.venue_fill_id,
        defaults={
            "order": order,
            "trade_id": fill.trade_id,
            "trade_type": fill.trade_type.value,
            "instrument": order.instrument,
            "side": order.side,
            "quantity": sign * fill.quantity,
            "price": fill.price,
            "fee": sign * fill.fee,
            "fee_currency": fill.fee_currency,
            "liquidity": fill.liquidity.value,
            "occurred_at": fill.occurred_at,
            "received_at": now,
            "recorded_at": now,
        },
    )
    if created:
        events.record(
            stream=stream_of(order.proposal_id),
            kind="order.fill",
            actor=BOOKKEEPING,
            subject=str(order.pk),
            payload={
                "venue_fill_id": fill.venue_fill_id,
                "trade_type": fill.trade_type.value,
                "side": order.side,
                "quantity": sign * fill.quantity,
                "price": fill.price,
                "fee": sign * fill.fee,
                "fee_currency": fill.fee_currency,
                "occurred_at": fill.occurred_at,
            },
            now=now,
        )
    return created


def _book_positions(order: Order, new: Sequence[VenueFill], now: datetime) -> None:
    position, _ = Position.objects.get_or_create(
        connection_id=order.connection_id,
        instrument=order.instrument,
        defaults={**_currencies(order), "updated_at": now},
    )
    changed: list[UUID] = []
    if all(fill.trade_type is TradeType.FILL for fill in new):
        executions = [_execution(order.pk, Side(order.side), fill) for fill in new]
        lot, closings = _continue(position, executions)
    else:
        # A correction changes history, so history is added up again: what was booked stays, and nets out.
        lot, closings = positions.fold(_history(order))
        undone = Outcome.objects.filter(connection_id=order.connection_id, instrument=order.instrument).exclude(
            order_id__in=closings
        )
        changed += undone.values_list("pk", flat=True)
        undone.update(quantity=ZERO, pnl=ZERO, fees=ZERO, loss_minor=0, closed_at=now)
    realized = total(closing.pnl for closing in closings.values() if closing.pnl is not None)
    corrected = any(fill.trade_type is not TradeType.FILL for fill in new)
    position.quantity, position.average_entry_price, position.open_fees = lot.quantity, lot.average_price, lot.fees
    position.realized_pnl = realized if corrected else position.realized_pnl + realized
    position.opened_at, position.updated_at = lot.opened_at, now
    position.save()
    changed += [_book_outcome(order, closing, replace=corrected) for closing in closings.values()]
    remembering.hand_over(outcome_ids=changed, now=now)


def _continue(position: Position, executions: Iterable[Execution]) -> tuple[Lot, dict[UUID, Closing]]:
    lot = Lot(
        quantity=position.quantity,
        average_price=position.average_entry_price,
        fees=position.open_fees,
        opened_at=position.opened_at,
    )
    closings: dict[UUID, Closing] = {}
    for execution in executions:
        lot, closing = positions.apply(lot, execution)
        if closing is not None:
            earlier = closings.get(closing.order_id)
            closings[closing.order_id] = positions.merge(earlier, closing) if earlier else closing
    return lot, closings


def _execution(order_id: UUID, side: Side, fill: VenueFill) -> Execution:
    return Execution(
        order_id=order_id,
        side=side,
        quantity=fill.quantity,
        price=fill.price,
        fee=fill.fee,
        occurred_at=fill.occurred_at,
    )


def _history(order: Order) -> list[Execution]:
    """Every execution of the instrument that still holds, oldest first: rows of one trade net each other out."""
    rows = Fill.objects.filter(connection_id=order.connection_id, instrument=order.instrument).order_by(
        "occurred_at", "venue_fill_id"
    )
    by_trade: dict[str, list[Fill]] = {}
    for row in rows:
        by_trade.setdefault(row.trade_id or row.venue_fill_id, []).append(row)
    executions = []
    for trade in by_trade.values():
        quantity = total(row.quantity for row in trade)
        if quantity > 0:
            first = trade[0]
            value = total(product(row.quantity, row.price) for row in trade)
            executions.append(
                Execution(
                    order_id=first.order_id,
                    side=Side(first.side),
                    quantity=quantity,
                    # What is left after a reversal and a correction has the corrected price, whatever their order.
                    price=(value / quantity).quantize(_PRICE_PLACES),
                    fee=total(row.fee for row in trade),
                    occurred_at=first.occurred_at,
                )
            )
    return sorted(executions, key=lambda execution: execution.occurred_at)


def _currencies(order: Order) -> dict[str, str]:
    instrument = instrument_of(order.connection_id, order.instrument)
    if instrument is None:
        base, _, quote = order.instrument.partition("-")
        return {"base_currency": base, "quote_currency": quote}
    return {"base_currency": instrument.base_currency, "quote_currency": instrument.quote_currency}


def _book_outcome(order: Order, closing: Closing, *, replace: bool) -> UUID:
    row = Outcome.objects.filter(order_id=closing.order_id).first()
    if row is not None and not replace:
        closing = positions.merge(
            Closing(
                order_id=row.order_id,
                quantity=row.quantity,
                entry_price=row.entry_price,
                exit_price=row.exit_price,
                pnl=row.pnl,
                fees=row.fees,
                opened_at=row.opened_at,
                closed_at=row.closed_at,
            ),
            closing,
        )
    # Unknown cost counts as the loss of its fees: a daily limit must not be blind to it, nor invent a loss.
    loss = -closing.pnl if closing.pnl is not None else closing.fees
    outcome, _ = Outcome.objects.update_or_create(
        order_id=closing.order_id,
        defaults={
            "connection_id": order.connection_id,
            "instrument": order.instrument,
            "quote_currency": _currencies(order)["quote_currency"],
            "quantity": closing.quantity,
            "entry_price": closing.entry_price,
            "exit_price": closing.exit_price,
            "pnl": closing.pnl,
            "loss_minor": minor_up(loss),
            "fees": closing.fees,
            "opened_at": closing.opened_at,
            "closed_at": closing.closed_at,
        },
    )
    return outcome.pk


def _book_state(order: Order, told: VenueOrder, now: datetime) -> None:
    booked = list(Fill.objects.filter(order_id=order.pk))
    filled = total(row.quantity for row in booked)
    order.polled_at = now
    order.filled_quantity = filled
    order.fees = total(row.fee for row in booked)
    order.fee_currency = booked[0].fee_currency if booked else ""
    spent = total(product(row.quantity, row.price) for row in booked)
    order.average_fill_price = (spent / filled).quantize(_PRICE_PLACES) if filled else None
    before = order.state
    order.state = _state_told(order, told, filled, was_filled=bool(booked))
    if order.state not in WORKING_STATES and before in WORKING_STATES:
        order.closed_at = now
        order.reason_code, order.reason = _end_words(order, told)
        alarms.clear_alarm(code="CANCEL_REFUSED", subject=f"order:{order.pk}", now=now)
    order.save()
    _watch_difference(order, told, filled, now)
    if order.state != before:
        events.record(
            stream=stream_of(order.proposal_id),
            kind=f"order.{order.state.lower()}",
            actor=BOOKKEEPING,
            subject=str(order.pk),
            payload={
                "state": str(order.state),
                "filled_quantity": filled,
                "average_fill_price": order.average_fill_price,
                "fees": order.fees,
                "venue_state": told.venue_state,
            },
            now=now,
        )


def _end_words(order: Order, told: VenueOrder) -> tuple[str, str]:
    """Code and sentence of an end: the venue's word where it is one, its text, or who asked for it."""
    said = told.reject_reason
    is_code = len(said) <= _CODE_CHARS_MAX and _CODE.fullmatch(said) is not None
    if order.state == OrderState.CANCELED and order.cancel_requested_at is not None:
        asked = f"{order.cancel_requested_by} asked to cancel it. {order.cancel_reason}".strip()
        return (said if is_code else "CANCEL_REQUESTED"), asked
    return (said, "") if is_code or not said else (str(order.state), said)


def _state_told(order: Order, told: VenueOrder, filled: Decimal, *, was_filled: bool) -> str:
    if order.state not in WORKING_STATES:
        return order.state
    ended = _ENDED.get(told.state)
    if ended is not None and filled >= told.filled_quantity:
        # Refused after it was taken: the venue's word REJECTED goes with no execution at all, not even a reversed one.
        return OrderState.CANCELED if ended is OrderState.REJECTED and was_filled else ended
    if filled and order.state == OrderState.ACCEPTED:
        return OrderState.PARTIALLY_FILLED
    return order.state


def _watch_difference(order: Order, told: VenueOrder, filled: Decimal, now: datetime) -> None:
    """An alarm while the fills of an order that ended at the venue do not add up, once they had time to."""
    subject = f"order:{order.pk}"
    if told.state not in _ENDED or filled == told.filled_quantity:
        alarms.clear_alarm(code="FILLS_DIFFER", subject=subject, now=now)
    elif filled > told.filled_quantity or now - (told.updated_at or order.created_at) > _fills_late_after():
        alarms.raise_alarm(
            code="FILLS_DIFFER",
            subject=subject,
            message=f"Fills booked add up to {filled}, the venue says {told.filled_quantity} was filled.",
            now=now,
        )


def _fills_late_after() -> timedelta:
    """How far the venue's list of fills may lag behind its orders before somebody should look."""
    return timedelta(seconds=settings.ALARM_FILLS_LATE_S)
