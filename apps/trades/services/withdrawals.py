"""A proposer takes a proposal back: while it waits, before its order leaves, or, after that, only as a request."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from apps.accounts.types import Principal
from apps.common import fault_places as places
from apps.common import faults
from apps.common.errors import NotFound
from apps.trades.models import Order, Proposal
from apps.trades.selectors.proposals import locked_proposal, order_of
from apps.trades.services import cancels, endings
from apps.trades.types import CancelAnswer, ProposalState, WithdrawAnswer

_ANSWERS: Final = {
    CancelAnswer.NEVER_SENT: WithdrawAnswer.VOIDED,
    CancelAnswer.ALREADY_CANCELED: WithdrawAnswer.VOIDED,
    CancelAnswer.REQUESTED: WithdrawAnswer.ASKED_TO_CANCEL,
    CancelAnswer.REMEMBERED: WithdrawAnswer.ASKED_TO_CANCEL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """The proposal and its order as they are afterwards, and what the wish came to."""

    proposal: Proposal
    order: Order | None
    answer: WithdrawAnswer


def withdraw(*, proposal_id: UUID, principal: Principal, reason: str, now: datetime) -> Withdrawal:
    """The proposer takes a proposal back.

    Raises NotFound for somebody else's, and Conflict where it has ended: PROPOSAL_NOT_WAITING or PROPOSAL_EXPIRED
    without an order, ORDER_ENDED where the order was faster.
    """
    with faults.commit(places.WITHDRAW):
        proposal = locked_proposal(proposal_id)
        if proposal is None or proposal.proposer_id != principal.user_id:
            raise NotFound("PROPOSAL_UNKNOWN", "There is no such proposal of yours.")
        order = order_of(proposal_id) if proposal.state == ProposalState.APPROVED else None
        if order is None:
            endings.require_waiting(proposal, now)
            actor = principal.actor()
            endings.end(proposal, ProposalState.WITHDRAWN, code="WITHDRAWN", reason=reason, actor=actor, now=now)
            return Withdrawal(proposal=proposal, order=None, answer=WithdrawAnswer.WITHDRAWN)
        asked = cancels.request_on(proposal, order, actor=principal.actor(), reason=reason, now=now, code="WITHDRAWN")
        return Withdrawal(proposal=proposal, order=asked.order, answer=_ANSWERS[asked.answer])
