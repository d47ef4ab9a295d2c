"""Sending one order, once: claim, call, write down what came back.

The three steps are apart on purpose. The claim commits before the call, so that whatever happens after it is known to
have been possible; the call is made outside any transaction; and what comes back is written under the claim's fence.
An answer that proves nothing leaves the order UNKNOWN, with everything it binds still bound.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from apps.audit.services import alarms, events
from apps.audit.types import Actor
from apps.common import fault_places as places
from apps.common import faults, tracing
from apps.common.decimals import instant_text
from apps.common.errors import AikaError, Misconfigured, OutcomeUnknown, Unavailable
from apps.common.tasks import publish
from apps.connectors.errors import Mismatch, Rejected
from apps.connectors.services import venue
from apps.connectors.types import Placement
from apps.policies.services import barrier
from apps.policies.types import FactKind, FactSpec, Gate
from apps.trades.models import Order
from apps.trades.selectors.proposals import locked_proposal
from apps.trades.selectors.reconciliation import reconciled_since
from apps.trades.services import budgeting, differences, endings, grounds, latches, market
from apps.trades.services.approval import judge_held, keep_judgement
from apps.trades.types import DifferenceKind, OrderState

if TYPE_CHECKING:
    from apps.connectors.models import Connection

# Longer than twice the connector's total deadline: a claim whose lease ran out is not being sent any more.
LEASE: Final = timedelta(seconds=30)
RETRY_AFTER: Final = timedelta(seconds=5)
RECONCILING: Final = "RECONCILING"
EXECUTION: Final = Actor.system("execution")

Clock = Callable[[], datetime]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to make one call, until `lease_until`. `fence` is the number under which the answer may be written.

    `judged_in` is the trading state the order was let pass in: it may not leave in a tighter one.
    """

    order_id: UUID
    fence: int
    connection: "Connection"
    body: bytes
    lease_until: datetime
    judged_in: str


def execute(*, order_id: UUID, clock: Clock, reconciled_from: datetime | None = None) -> str:
    """Claim an approved order, send it once, record the answer. Returns the order's state afterwards.

    Safe to call any number of times, from any number of workers: whoever does not get the claim does nothing. `clock`
    gives the time at each step: the call between claim and answer may take seconds. With `reconciled_from` (when the
    worker's process began) nothing leaves before the connection was compared with its venue since then.
    """
    now = clock()
    order = Order.objects.select_related("connection__desk", "authority").filter(pk=order_id).first()
    if order is None or order.state != OrderState.INITIALIZED:
        return order.state if order else "MISSING"
    tracing.bind(proposal_id=order.proposal_id)
    # Past its time, or taken back, it needs no facts: a venue that does not answer must not keep it alive.
    if now < order.authority.valid_until and order.cancel_requested_at is None:
        if reconciled_from is not None and not reconciled_since(order.connection_id, reconciled_from):
            return _await_comparison(order, reconciled_from, now)
        try:
            now = market.make_fresh(order.connection, [order.instrument], now=now)
        except AikaError as error:
            return _postpone(order, error, now)
    claim = _claim(order.pk, now, clock)
    if claim is None:
        return Order.objects.values_list("state", flat=True).get(pk=order.pk)
    return _send(claim, clock)


def _postpone(order: Order, error: AikaError, now: datetime) -> str:
    """Nothing is known well enough to send now: leave the order to the sweep, until its authority runs out."""
    logger.warning("Order %s waits: what it is judged on could not be read (%s).", order.pk, error.code)
    with faults.commit(places.POSTPONE):
        _put_off(order, now, code=error.code, reason=_told(error))
    return OrderState.INITIALIZED


def _told(error: AikaError) -> str:
    """Why it waits, and what a person must do where waiting alone changes nothing."""
    return f"{error.message} {error.fix}".strip() if isinstance(error, Misconfigured) else error.message


def _await_comparison(order: Order, reconciled_from: datetime, now: datetime) -> str:
    """The worker has just begun, and what it would judge on may be older than what happened: compare first."""
    with faults.commit(places.POSTPONE):
        _put_off(order, now, code=RECONCILING, reason="Waits until the connection was compared with its venue.")
        publish("trades.reconcile", connection_id=order.connection_id, needed_from=instant_text(reconciled_from))
    return OrderState.INITIALIZED


def _put_off(order: Order, now: datetime, *, code: str, reason: str) -> None:
    Order.objects.initialized().filter(pk=order.pk).update(
        next_attempt_at=now + RETRY_AFTER, reason_code=code, reason=reason
    )


def _claim(order_id: UUID, now: datetime, clock: Clock) -> Claim | None:
    with faults.commit(places.CLAIM):
        proposal_id = Order.objects.values_list("proposal_id", flat=True).get(pk=order_id)
        proposal = locked_proposal(proposal_id)
        order = Order.objects.select_related("authority").get(pk=order_id)
        if proposal is None or order.state != OrderState.INITIALIZED:
            return None
        try:
            grounds.check_rows(proposal, order, order.authority, now=now)
            judgement = judge_held(proposal, now=now, clock=clock, order_id=order_id)
            now = judgement.at
            keep_judgement(proposal, judgement, gate=Gate.CLAIM)
            latches.keep_losses(judgement.connection.pk, judgement.evaluation, now)
            grounds.check_judgement(order.authority, judgement)
        except grounds.Unfounded as reason:
            endings.void(proposal, code=reason.code, reason=reason.reason, actor=EXECUTION, now=now)
            return None
        lease_until = now + LEASE
        claimed = Order.objects.filter(pk=order_id, state=OrderState.INITIALIZED, fence=order.fence).update(
            state=OrderState.SUBMITTED, fence=order.fence + 1, submitted_at=now, lease_until=lease_until
        )
        if claimed != 1:
            return None
        events.record(
            stream=endings.stream_of(proposal.pk),
            kind="order.submitted",
            actor=EXECUTION,
            subject=str(order_id),
            payload={
                "state": OrderState.SUBMITTED.value,
                "fence": order.fence + 1,
                "client_order_id": order.client_order_id,
                "request_digest": order.request_digest,
            },
            now=now,
        )
        return Claim(
            order_id=order_id,
            fence=order.fence + 1,
            connection=judgement.connection,
            body=bytes(order.request_body),
            lease_until=lease_until,
            judged_in=judgement.facts[FactSpec(FactKind.TRADING_STATE, judgement.ask.connection).key].values["state"],
        )


def _send(claim: Claim, clock: Clock) -> str:
    if clock() >= claim.lease_until:
        # This worker slept on its claim. Others may hold it for dead by now, so it must not send.
        return _give_back(claim, clock(), code="CLAIM_TOO_OLD", reason="The worker was held up before the call.")
    try:
        connector = venue.connect(claim.connection)
        with faults.call(places.PLACE):
            placement = connector.place_order(
                claim.body, gate=barrier.passing(claim.connection.pk, judged=claim.judged_in)
            )
    except Rejected as rejected:
        return _record(claim, OrderState.REJECTED, clock(), code=rejected.reason, reason=rejected.message)
    except Mismatch as mismatch:
        return _mismatched(claim, mismatch, clock())
    except OutcomeUnknown as unknown:
        return _record(claim, OrderState.UNKNOWN, clock(), code=unknown.code, reason=unknown.message)
    except (Unavailable, Misconfigured) as unsent:
        return _give_back(claim, clock(), code=unsent.code, reason=_told(unsent))
    except Exception as error:
        # Whatever broke after the call began: the order may have left. It is looked for, and never sent again.
        logger.exception("Order %s: the call ended in an error of ours.", claim.order_id)
        return _record(claim, OrderState.UNKNOWN, clock(), code="CALL_BROKE", reason=type(error).__name__)
    return _record(claim, OrderState.ACCEPTED, clock(), placement=placement)


def _record(
    claim: Claim,
    state: OrderState,
    now: datetime,
    *,
    code: str = "",
    reason: str = "",
    placement: Placement | None = None,
) -> str:
    """Write the answer down, if nobody has resolved the order under a later fence meanwhile."""
    accepted = state is OrderState.ACCEPTED
    with faults.commit(places.ANSWER):
        proposal_id = Order.objects.values_list("proposal_id", flat=True).get(pk=claim.order_id)
        locked_proposal(proposal_id)
        written = Order.objects.filter(pk=claim.order_id, state=OrderState.SUBMITTED, fence=claim.fence).update(
            state=state,
            venue_order_id=placement.venue_order_id if placement else "",
            accepted_at=now if accepted else None,
            closed_at=now if state is OrderState.REJECTED else None,
            next_attempt_at=now + RETRY_AFTER if state is OrderState.INITIALIZED else None,
            lease_until=None,
            reason_code=code,
            reason=reason,
        )
        if written != 1:
            logger.warning("Order %s was resolved by somebody else before its answer came.", claim.order_id)
            return Order.objects.values_list("state", flat=True).get(pk=claim.order_id)
        events.record(
            stream=endings.stream_of(proposal_id),
            kind="order.not_sent" if state is OrderState.INITIALIZED else f"order.{state.value.lower()}",
            actor=EXECUTION,
            subject=str(claim.order_id),
            payload={
                "state": state.value,
                "fence": claim.fence,
                "code": code,
                "reason": reason,
                "venue_order_id": placement.venue_order_id if placement else "",
            },
            now=now,
        )
        if state is OrderState.REJECTED:
            latches.trip_on_rejects(claim.connection.pk, now)
        if state is OrderState.UNKNOWN:
            raise_unknown(claim.order_id, reason, now)
        if state is OrderState.REJECTED:
            budgeting.follow(order_id=claim.order_id, now=now)
        if accepted:
            publish("trades.poll_order", order_id=claim.order_id)
            if Order.objects.filter(pk=claim.order_id, cancel_requested_at__isnull=False).exists():
                publish("trades.cancel_order", order_id=claim.order_id)
    return state


def raise_unknown(order_id: UUID, reason: str, now: datetime) -> None:
    """An order whose fate is not known is never silent, and is looked for at once. In a transaction."""
    alarms.raise_alarm(
        code="ORDER_UNKNOWN",
        subject=f"order:{order_id}",
        message=f"The venue has not said what became of an order. It may exist; what it binds stays bound. {reason}",
        now=now,
    )
    publish("trades.resolve_order", order_id=order_id)


def _give_back(claim: Claim, now: datetime, *, code: str, reason: str) -> str:
    """Nothing was sent, and that is certain: the order waits for the sweep, as long as its authority stands."""
    return _record(claim, OrderState.INITIALIZED, now, code=code, reason=reason)


def _mismatched(claim: Claim, mismatch: Mismatch, now: datetime) -> str:
    """There is an order at the venue that nobody approved: the connection stops with the same commit."""
    with faults.commit(places.ANSWER):
        state = _record(claim, OrderState.UNKNOWN, now, code=mismatch.code, reason=mismatch.message)
        keep_mismatch(claim.order_id, mismatch, now)
    return state


def keep_mismatch(order_id: UUID, mismatch: Mismatch, now: datetime) -> None:
    """Another order came of our request: kept as a difference, which halts the connection. In a transaction."""
    order = Order.objects.get(pk=order_id)
    differences.keep(
        connection_id=order.connection_id,
        order_id=order.pk,
        kind=DifferenceKind.ORDER_DIFFERS,
        subject=str(order.client_order_id),
        ours="Sent as approved.",
        theirs=mismatch.message,
        done="Nothing of it was booked. Trading on the connection is halted.",
        now=now,
    )
