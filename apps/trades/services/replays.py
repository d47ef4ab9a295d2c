"""Sending an order again whose fate is not known: the very same bytes under the very same id, while it is still wanted.

By contract the venue returns the order it has under that id, or makes it once; either is what was approved. It is done
only where everything that lets an order leave still holds, by the same claim: a turn, a lease, a fence. Only that the
order exists is learned from the answer. A refusal proves nothing here: the first request may still arrive.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings

from apps.audit.services import events
from apps.common import fault_places as places
from apps.common import faults
from apps.common.errors import AikaError, Misconfigured, OutcomeUnknown, Unavailable
from apps.connectors.errors import AlreadyExists, Mismatch, Rejected
from apps.connectors.services import venue
from apps.policies.selectors import trading_state as worst_state
from apps.policies.services import barrier
from apps.policies.types import Gate, State
from apps.trades.models import Order
from apps.trades.selectors.proposals import locked_proposal
from apps.trades.selectors.reconciliation import reconciled_since, replays_of
from apps.trades.services import grounds, latches, lookups, market
from apps.trades.services.approval import judge_held, keep_judgement
from apps.trades.services.differences import RECONCILIATION
from apps.trades.services.endings import stream_of
from apps.trades.services.lookups import Clock, Look, Turn
from apps.trades.services.orders import LEASE, keep_mismatch
from apps.trades.types import InquiryAnswer, InquiryKind, OrderState

if TYPE_CHECKING:
    from apps.connectors.models import Connection

REPLAYS_MAX: Final = 5
# The first answer said that the order exists: it is to be found, and asking again brings nothing.
_EXISTS_CODES: Final = frozenset({"VENUE_ORDER_EXISTS", "VENUE_ORDER_MISMATCH"})
_NEVER_AGAIN: Final = frozenset(
    {InquiryAnswer.REFUSED, InquiryAnswer.EXISTS, InquiryAnswer.ACCEPTED, InquiryAnswer.DIFFERS}
)

logger = logging.getLogger(__name__)


class Held(Exception):
    """Why an order is not sent again (now)."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Replay:
    """The right to send these bytes once more, until `lease_until`."""

    turn: Turn
    connection: "Connection"
    body: bytes
    lease_until: datetime


def attempt(turn: Turn, seen: Look, clock: Clock, reconciled_from: datetime | None) -> str:
    """Send the order again; its state afterwards. Raises Held, and leaves the turn taken, where it may not be sent."""
    return _send(_claim(turn, seen, clock, reconciled_from), clock)


def _claim(turn: Turn, seen: Look, clock: Clock, reconciled_from: datetime | None) -> Replay:
    """Everything that must hold for an order to leave, once more. Raises Held where anything does not."""
    now = clock()
    order = Order.objects.select_related("authority").get(pk=turn.order_id)
    _check_worth(order, turn, now, reconciled_from)
    try:
        now = market.make_fresh(turn.connection, [turn.instrument], now=now)
    except AikaError as error:
        raise Held(error.code, error.message) from error
    with faults.commit(places.REPLAY_CLAIM):
        return _claim_locked(turn, seen, now, clock)


def _check_worth(order: Order, turn: Turn, now: datetime, reconciled_from: datetime | None) -> None:
    """What needs no fresh facts and no lock."""
    if now < turn.sent_at + timedelta(seconds=settings.UNKNOWN_REPLAY_AFTER_S):
        raise Held("TOO_SOON", "The venue's list may not show it yet.")
    if now >= order.authority.valid_until:
        raise Held(
            "AUTHORITY_EXPIRED", "The approval has run out: sending it again would be an order nobody wants now."
        )
    earlier = replays_of(turn.order_id)
    if order.reason_code in _EXISTS_CODES or _NEVER_AGAIN & set(earlier):
        raise Held("REPLAY_SAYS_NOTHING", "The venue has answered: asking again by sending brings nothing new.")
    if earlier.count(InquiryAnswer.ASKED) >= REPLAYS_MAX:
        raise Held("REPLAYED_ENOUGH", f"It was sent again {REPLAYS_MAX} times without an answer.")
    if reconciled_from is not None and not reconciled_since(order.connection_id, reconciled_from):
        raise Held("RECONCILING", "Nothing leaves before the connection was compared with the venue.")


def _claim_locked(turn: Turn, seen: Look, now: datetime, clock: Clock) -> Replay:
    proposal = locked_proposal(turn.proposal_id)
    order = Order.objects.select_related("authority").get(pk=turn.order_id)
    mine = order.state == OrderState.UNKNOWN and order.fence == turn.fence
    if proposal is None or not mine or order.lease_until is None or now >= order.lease_until:
        raise Held("TURN_LOST", "Somebody else asks about this order now.")
    try:
        grounds.check_rows(proposal, order, order.authority, now=now)
        judgement = judge_held(proposal, now=now, clock=clock, order_id=turn.order_id)
        now = judgement.at
        keep_judgement(proposal, judgement, gate=Gate.CLAIM)
        latches.keep_losses(judgement.connection.pk, judgement.evaluation, now)
        grounds.check_judgement(order.authority, judgement)
    except grounds.Unfounded as reason:
        # Kept as it is: what may have been sent cannot be taken back by us, only looked for.
        raise Held(reason.code, reason.reason) from reason
    if worst_state(order.connection_id) != State.ACTIVE:
        raise Held("TRADING_NOT_ACTIVE", "Trading is not active: nothing leaves that need not.")
    lease_until = now + LEASE
    Order.objects.filter(pk=turn.order_id, state=OrderState.UNKNOWN, fence=turn.fence).update(
        lease_until=lease_until, next_attempt_at=lease_until
    )
    lookups.write_inquiry(turn, InquiryKind.SCAN, InquiryAnswer.NOT_FOUND, now, until=seen.until)
    lookups.write_inquiry(turn, InquiryKind.REPLAY, InquiryAnswer.ASKED, now)
    events.record(
        stream=stream_of(turn.proposal_id),
        kind="order.replayed",
        actor=RECONCILIATION,
        subject=str(turn.order_id),
        payload={
            "state": OrderState.UNKNOWN.value,
            "fence": turn.fence,
            "client_order_id": order.client_order_id,
            "request_digest": order.request_digest,
        },
        now=now,
    )
    return Replay(turn=turn, connection=judgement.connection, body=bytes(order.request_body), lease_until=lease_until)


def _send(replay: Replay, clock: Clock) -> str:
    if clock() >= replay.lease_until:
        return _answered(replay, InquiryAnswer.NOT_SENT, clock(), code="CLAIM_TOO_OLD")
    try:
        connector = venue.connect(replay.connection)
        with faults.call(places.REPLAY):
            gate = barrier.passing(replay.connection.pk, judged=State.ACTIVE)
            placement = connector.place_order(replay.body, gate=gate)
    except Rejected as refused:
        return _answered(replay, InquiryAnswer.REFUSED, clock(), code=refused.reason, detail=refused.message)
    except AlreadyExists as exists:
        return _answered(replay, InquiryAnswer.EXISTS, clock(), code=exists.code, soon=True)
    except Mismatch as mismatch:
        return _differs(replay, mismatch, clock())
    except OutcomeUnknown as unknown:
        return _answered(replay, InquiryAnswer.UNCLEAR, clock(), code=unknown.code, detail=unknown.message)
    except (Unavailable, Misconfigured) as unsent:
        return _answered(replay, InquiryAnswer.NOT_SENT, clock(), code=unsent.code, detail=unsent.message)
    except Exception as error:
        # Whatever broke after the call began: the order may have left. It is looked for further.
        logger.exception("Order %s: the replay ended in an error of ours.", replay.turn.order_id)
        return _answered(replay, InquiryAnswer.UNCLEAR, clock(), code="CALL_BROKE", detail=type(error).__name__)
    _answered(replay, InquiryAnswer.ACCEPTED, clock(), code="ACCEPTED", detail=placement.venue_order_id, keep_turn=True)
    return _read_accepted(replay.turn, clock)


def _read_accepted(turn: Turn, clock: Clock) -> str:
    """Read the order the venue named, and compare all of it before it counts. If it cannot be read yet, soon again."""
    try:
        seen = lookups.look(turn, clock)
    except AikaError as error:
        logger.warning("Order %s was taken and cannot be read yet: %s", turn.order_id, error.code)
        seen = Look(until=clock(), found=())
    if seen.found:
        return lookups.book_found(turn, seen, clock)
    with faults.commit(places.LOOKUP_ANSWER):
        locked_proposal(turn.proposal_id)
        lookups.release(turn, clock(), soon=True)
    return OrderState.UNKNOWN


def _answered(
    replay: Replay,
    answer: InquiryAnswer,
    now: datetime,
    *,
    code: str,
    detail: str = "",
    soon: bool = False,
    keep_turn: bool = False,
) -> str:
    """Write down what came back. Whatever it is, the order stays unknown until it has been read at the venue."""
    turn = replay.turn
    with faults.commit(places.REPLAY_ANSWER):
        locked_proposal(turn.proposal_id)
        lookups.write_inquiry(turn, InquiryKind.REPLAY, answer, now, code=code, detail=detail)
        if not keep_turn:
            lookups.release(turn, now, soon=soon)
        return Order.objects.values_list("state", flat=True).get(pk=turn.order_id)


def _differs(replay: Replay, mismatch: Mismatch, now: datetime) -> str:
    with faults.commit(places.REPLAY_ANSWER):
        locked_proposal(replay.turn.proposal_id)
        keep_mismatch(replay.turn.order_id, mismatch, now)
        detail = mismatch.placement.venue_order_id
        return _answered(replay, InquiryAnswer.DIFFERS, now, code=mismatch.code, detail=detail)
