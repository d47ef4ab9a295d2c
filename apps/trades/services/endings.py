"""Every way a proposal ends without an order at the venue. Each change and its event are one transaction."""

from datetime import datetime
from uuid import UUID

from apps.audit.services import events
from apps.audit.types import Actor
from apps.common import fault_places as places
from apps.common import faults
from apps.common.errors import Conflict
from apps.trades.models import Order, Proposal
from apps.trades.selectors.proposals import locked_proposal
from apps.trades.services import budgeting
from apps.trades.types import OrderState, ProposalState


def stream_of(proposal_id: UUID) -> str:
    """The audit stream of a proposal and everything that follows from it."""
    return f"proposal:{proposal_id}"


def require_waiting(proposal: Proposal, now: datetime) -> None:
    """Raise Conflict unless the proposal still waits; its deadline counts by the clock, whatever the row says."""
    if proposal.state != ProposalState.AWAITING_APPROVAL:
        raise Conflict(
            "PROPOSAL_NOT_WAITING",
            f"{proposal.label} is {proposal.get_state_display().lower()} and no longer waits.",
            fix="Look at it again.",
            state=proposal.state,
        )
    if now >= proposal.expires_at:
        raise Conflict(
            "PROPOSAL_EXPIRED",
            f"The time to decide on {proposal.label} ran out at {proposal.expires_at:%H:%M:%S} UTC.",
            fix="Propose it again.",
            state=ProposalState.EXPIRED.value,
        )


def end(proposal: Proposal, state: ProposalState, *, code: str, reason: str, actor: Actor, now: datetime) -> Proposal:
    """Move a locked proposal to an end, with its event. Inside the caller's transaction."""
    moved = Proposal.objects.filter(pk=proposal.pk, state=proposal.state).update(
        state=state, ended_at=now, end_code=code, end_reason=reason
    )
    if moved != 1:
        raise Conflict("PROPOSAL_MOVED", f"Somebody was faster on {proposal.label}.", fix="Look at it again.")
    proposal.state, proposal.ended_at, proposal.end_code, proposal.end_reason = state, now, code, reason
    events.record(
        stream=stream_of(proposal.pk),
        kind=f"proposal.{state.value.lower()}",
        actor=actor,
        subject=str(proposal.pk),
        payload={"state": state.value, "code": code, "reason": reason, "digest": proposal.digest},
        now=now,
    )
    return proposal


def expire(*, proposal_id: UUID, now: datetime) -> bool:
    """Write down that the time ran out. True where it did and nobody had decided."""
    with faults.commit(places.EXPIRE):
        proposal = locked_proposal(proposal_id)
        if proposal is None or proposal.state != ProposalState.AWAITING_APPROVAL or now < proposal.expires_at:
            return False
        end(
            proposal,
            ProposalState.EXPIRED,
            code="EXPIRED",
            reason="Nobody completed the decision in time.",
            actor=Actor.system("expiry"),
            now=now,
        )
        return True


def void(proposal: Proposal, *, code: str, reason: str, actor: Actor, now: datetime) -> Proposal:
    """End an approved or waiting proposal that lost its ground, and the order that was not claimed yet.

    Inside the caller's transaction, on a locked proposal. Raises Conflict once the order has been claimed.
    """
    canceled = _cancel_unclaimed(proposal, code=code, reason=reason, actor=actor, now=now)
    if proposal.state == ProposalState.APPROVED and not canceled:
        raise Conflict(
            "ORDER_ALREADY_CLAIMED",
            f"The order of {proposal.label} has already left.",
            fix="Ask the venue to cancel it.",
        )
    return end(proposal, ProposalState.VOIDED, code=code, reason=reason, actor=actor, now=now)


def _cancel_unclaimed(proposal: Proposal, *, code: str, reason: str, actor: Actor, now: datetime) -> bool:
    order = Order.objects.initialized().filter(proposal=proposal).first()
    if order is None:
        return False
    moved = Order.objects.initialized().filter(pk=order.pk)
    if moved.update(state=OrderState.CANCELED, closed_at=now, reason_code=code, reason=reason) != 1:
        return False
    events.record(
        stream=stream_of(proposal.pk),
        kind="order.canceled",
        actor=actor,
        subject=str(order.pk),
        payload={"state": OrderState.CANCELED.value, "fence": order.fence, "code": code, "reason": reason},
        now=now,
    )
    budgeting.follow(order_id=order.pk, now=now)
    return True


def revoke(proposal: Proposal, *, actor: Actor, reason: str, now: datetime) -> Proposal:
    """What a person who takes an approval back ends: an approved proposal is void, one that waits goes on waiting.

    Inside the caller's transaction, on a locked proposal. Raises Conflict where the proposal has ended, or the order
    has been claimed: then it can only be canceled.
    """
    if proposal.state == ProposalState.APPROVED:
        return void(proposal, code="REVOKED", reason=reason, actor=actor, now=now)
    require_waiting(proposal, now)
    return proposal
