"""Asking for an order to be canceled: written down first, then asked of the venue until it says how the order ended.

Having asked proves nothing. A cancel may lose to a fill, and its answer may be lost: the order ends as the venue tells
when it is read by its id, and what it binds stays bound until then. What is not known to be at the venue is not asked
for: the wish stands on the row, keeps the order from being sent again, and is carried out once the order is found.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from uuid import UUID

from apps.accounts.types import Principal
from apps.audit.selectors import events_of, facts_of, open_alarms
from apps.audit.services import alarms, events
from apps.audit.types import Actor
from apps.common import fault_places as places
from apps.common import faults, tracing
from apps.common.errors import AikaError, Conflict, Forbidden, Misconfigured, NotFound, OutcomeUnknown
from apps.common.tasks import publish
from apps.connectors.services import venue
from apps.connectors.types import CancelResult, VenueOrder, VenueOrderState
from apps.trades.models import Order, Proposal
from apps.trades.selectors.orders import may_cancel, order_for
from apps.trades.selectors.proposals import locked_proposal
from apps.trades.services import endings
from apps.trades.types import LIVE_ORDER_STATES, WORKING_STATES, CancelAnswer, OrderState

if TYPE_CHECKING:
    from apps.connectors.models import Connection

REASON_CHARS_MAX: Final = 500
# Longer than the connector's total deadline. Asking twice harms nobody, so a lost worker costs no more than this.
LEASE: Final = timedelta(seconds=12)
ASK_AGAIN: Final = timedelta(seconds=10)
RETRY_AFTER: Final = timedelta(seconds=2)
RETRY_AFTER_MAX: Final = timedelta(seconds=60)
CANCELING: Final = Actor.system("canceling")
TOLD: Final = "order.cancel_told"
_WORKS: Final = frozenset({VenueOrderState.PENDING, VenueOrderState.OPEN})

Clock = Callable[[], datetime]

logger = logging.getLogger(__name__)


class Told(StrEnum):
    """What came back from asking. None of it is an end: the order is read to know that.

    REFUSED is about the order, which may just have ended; BARRED is about us: over this key nothing can be canceled.
    """

    TAKEN = "TAKEN"
    READ_ORDER = "READ_ORDER"
    REFUSED = "REFUSED"
    BARRED = "BARRED"
    UNKNOWN = "UNKNOWN"
    NOT_ASKED = "NOT_ASKED"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAsked:
    """The order as it is after the request, and what the request has come to."""

    order: Order
    answer: CancelAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """The right to ask the venue about one order, until its lease ends."""

    order_id: UUID
    proposal_id: UUID
    venue_order_id: str
    attempt: int


def request_cancel_as(*, order_id: UUID, principal: Principal, reason: str, now: datetime) -> CancelAsked:
    """As `request_cancel`, by somebody who may: the proposer (also by a key), an approver, risk or an operator.

    Raises NotFound for an order this caller does not see, Forbidden MAY_NOT_CANCEL, and Conflict as `request_cancel`.
    """
    order = order_for(principal, order_id)
    if order is None:
        raise NotFound("ORDER_UNKNOWN", "There is no such order at your desk.")
    if not may_cancel(principal, order):
        raise Forbidden(
            "MAY_NOT_CANCEL",
            "Only who proposed it, an approver, risk or an operator may ask for this order to be canceled.",
            fix="Ask one of them; halting stops everything at once.",
        )
    return request_cancel(order_id=order_id, actor=principal.actor(), reason=reason, now=now)


def request_cancel(
    *, order_id: UUID, actor: Actor, reason: str, now: datetime, code: str = "CANCEL_REQUESTED", ask: bool = True
) -> CancelAsked:
    """Write down that an order is to be canceled, and publish the task that asks the venue. Repeating changes nothing.

    An order that has not left is canceled here, with its proposal VOIDED under `code`; without `ask` the caller asks
    the venue itself. Raises NotFound ORDER_UNKNOWN, and Conflict ORDER_ENDED where the order ended otherwise.
    """
    with faults.commit(places.CANCEL_REQUEST):
        proposal, order = _locked(order_id)
        return request_on(proposal, order, actor=actor, reason=reason, now=now, code=code, ask=ask)


def request_on(
    proposal: Proposal, order: Order, *, actor: Actor, reason: str, now: datetime, code: str, ask: bool = True
) -> CancelAsked:
    """As `request_cancel`, on rows that the caller's transaction holds locked."""
    reason = reason.strip()[:REASON_CHARS_MAX]
    if order.state == OrderState.CANCELED:
        return CancelAsked(order=order, answer=CancelAnswer.ALREADY_CANCELED)
    if order.state not in LIVE_ORDER_STATES:
        raise Conflict(
            "ORDER_ENDED",
            f"The order has ended as {order.get_state_display().lower()}: there is nothing left to cancel.",
            fix="Look at it again.",
            state=order.state,
        )
    if order.state == OrderState.INITIALIZED:
        endings.void(proposal, code=code, reason=reason or "Canceled before it left.", actor=actor, now=now)
        order.refresh_from_db()
        return CancelAsked(order=order, answer=CancelAnswer.NEVER_SENT)
    if order.cancel_requested_at is None:
        _write_down(order, actor, reason, now)
    if ask and order.state in WORKING_STATES:
        publish("trades.cancel_order", order_id=order.pk)
    works = order.state in WORKING_STATES
    return CancelAsked(order=order, answer=CancelAnswer.REQUESTED if works else CancelAnswer.REMEMBERED)


def _write_down(order: Order, actor: Actor, reason: str, now: datetime) -> None:
    works = order.state in WORKING_STATES
    state = OrderState.CANCEL_REQUESTED if works else OrderState(order.state)
    moved = Order.objects.filter(pk=order.pk, state=order.state, cancel_requested_at=None).update(
        state=state,
        cancel_requested_at=now,
        cancel_requested_by=actor.name,
        cancel_reason=reason,
        cancel_next_at=now,
    )
    if moved != 1:
        raise Conflict("ORDER_MOVED", "The order moved in this moment.", fix="Look at it again.")
    order.refresh_from_db()
    events.record(
        stream=endings.stream_of(order.proposal_id),
        kind="order.cancel_requested" if works else "order.cancel_remembered",
        actor=actor,
        subject=str(order.pk),
        payload={"state": state.value, "reason": reason, "filled_quantity": order.filled_quantity},
        now=now,
    )


def send_cancel(*, order_id: UUID, clock: Clock) -> str:
    """Ask the venue to cancel one order that is to be canceled and due. Returns the order's state afterwards."""
    order = Order.objects.select_related("connection__desk").filter(pk=order_id).first()
    if order is None:
        return "MISSING"
    tracing.bind(proposal_id=order.proposal_id)
    send_cancels(connection=order.connection, order_ids=[order_id], clock=clock)
    return Order.objects.values_list("state", flat=True).get(pk=order_id)


def send_cancels(*, connection: "Connection", order_ids: Sequence[UUID], clock: Clock) -> int:
    """Ask the venue, in as few calls as it takes, to cancel those of the orders that are due. Returns how many.

    Outside any transaction. Safe from any number of workers: each order is asked for by one at a time. A connection
    that is switched off cancels too.
    """
    turns = [turn for order_id in order_ids if (turn := _take_turn(order_id, clock())) is not None]
    if turns:
        told = _ask(connection, [turn.venue_order_id for turn in turns])
        for turn in turns:
            _record(turn, told[turn.venue_order_id], clock())
    return len(turns)


def _take_turn(order_id: UUID, now: datetime) -> _Turn | None:
    with faults.commit(places.CANCEL_CLAIM):
        _, order = _locked(order_id)
        if not Order.objects.to_cancel(now).filter(pk=order_id).exists() or not order.venue_order_id:
            return None
        attempt = order.cancel_attempts + 1
        moved = Order.objects.filter(
            pk=order_id, state=order.state, cancel_attempts=order.cancel_attempts, cancel_next_at__lte=now
        ).update(state=OrderState.CANCEL_REQUESTED, cancel_attempts=attempt, cancel_next_at=now + LEASE)
        if moved != 1:
            return None
        if order.state != OrderState.CANCEL_REQUESTED:
            # Found at the venue after the wish was written down.
            events.record(
                stream=endings.stream_of(order.proposal_id),
                kind="order.cancel_requested",
                actor=CANCELING,
                subject=str(order_id),
                payload={"state": OrderState.CANCEL_REQUESTED.value, "reason": order.cancel_reason},
                now=now,
            )
        return _Turn(
            order_id=order_id, proposal_id=order.proposal_id, venue_order_id=order.venue_order_id, attempt=attempt
        )


def _ask(connection: "Connection", venue_order_ids: Sequence[str]) -> dict[str, tuple[Told, str]]:
    """What the venue said of each id. Never raises for what a venue may do."""

    def all_of(told: Told, reason: str) -> dict[str, tuple[Told, str]]:
        return dict.fromkeys(venue_order_ids, (told, reason))

    try:
        connector = venue.connect(connection)
        with faults.call(places.CANCEL):
            results = connector.cancel_orders(venue_order_ids)
    except OutcomeUnknown as unknown:
        return all_of(Told.UNKNOWN, unknown.code)
    except Misconfigured as barred:
        return all_of(Told.BARRED, f"{barred.code}: {barred.message}")
    except AikaError as unsent:
        return all_of(Told.NOT_ASKED, unsent.code)
    except Exception as error:
        # Whatever broke after the call began: the venue may have been told, so it is read and not believed undone.
        logger.exception("Canceling on %s ended in an error of ours.", connection.slug)
        return all_of(Told.UNKNOWN, f"CALL_BROKE {type(error).__name__}")
    return all_of(Told.UNKNOWN, "NO_ANSWER") | {result.venue_order_id: _told(result) for result in results}


def _told(result: CancelResult) -> tuple[Told, str]:
    if result.requested:
        return Told.TAKEN, ""
    return (Told.READ_ORDER if result.read_order else Told.REFUSED), result.reason


def _record(turn: _Turn, told: tuple[Told, str], now: datetime) -> None:
    """Write down what came back, ask for the order to be read, and say when to ask again."""
    answer, reason = told
    with faults.commit(places.CANCEL_ANSWER):
        locked_proposal(turn.proposal_id)
        mine = Order.objects.working().filter(pk=turn.order_id, cancel_attempts=turn.attempt)
        if not mine.update(cancel_next_at=now + _pause(answer, turn.attempt)):
            return  # it ended meanwhile, or somebody else has the turn
        if answer is not Told.NOT_ASKED:
            events.record(
                stream=endings.stream_of(turn.proposal_id),
                kind=TOLD,
                actor=CANCELING,
                subject=str(turn.order_id),
                payload={
                    "state": OrderState.CANCEL_REQUESTED.value,
                    "answer": answer.value,
                    "reason": reason[:REASON_CHARS_MAX],
                    "attempt": turn.attempt,
                },
                now=now,
            )
            publish("trades.poll_order", order_id=turn.order_id)
        if answer is Told.BARRED:
            _alarm(turn.order_id, f"An order is to be canceled, and the venue cannot be asked: {reason}", now)


def watch_refusal(order: Order, told: VenueOrder, *, asked_at: datetime, now: datetime) -> None:
    """An alarm where the venue, asked about an order at `asked_at`, says that it works, and had refused to cancel it
    before that. In the transaction that books what it said, on an order that is to be canceled.

    A refusal alone says nothing: what has just been filled cannot be canceled either.
    """
    if told.state not in _WORKS or told.cancel_pending:
        return
    last = events_of(str(order.pk)).filter(kind=TOLD).last()
    said = facts_of(last)["payload"] if last is not None and last.recorded_at < asked_at else None
    if isinstance(said, dict) and said["answer"] == Told.REFUSED:
        _alarm(order.pk, f"The venue refuses to cancel an order, which goes on working there: {said['reason']}", now)


def _alarm(order_id: UUID, message: str, now: datetime) -> None:
    subject = f"order:{order_id}"
    # Looked for first: every further reading and every further refusal would else be an insert that fails.
    if not open_alarms().filter(code="CANCEL_REFUSED", subject=subject).exists():
        alarms.raise_alarm(code="CANCEL_REFUSED", subject=subject, message=message, now=now)


def _pause(answer: Told, attempt: int) -> timedelta:
    if answer in {Told.TAKEN, Told.READ_ORDER}:
        return ASK_AGAIN
    if answer in {Told.REFUSED, Told.BARRED}:
        return min(RETRY_AFTER * (1 << min(attempt, 10)), RETRY_AFTER_MAX)
    return RETRY_AFTER


def _locked(order_id: UUID) -> tuple[Proposal, Order]:
    proposal_id = Order.objects.filter(pk=order_id).values_list("proposal_id", flat=True).first()
    proposal = locked_proposal(proposal_id) if proposal_id is not None else None
    if proposal is None:
        raise NotFound("ORDER_UNKNOWN", "There is no such order.")
    return proposal, Order.objects.get(pk=order_id)
