"""Reads of proposals, and the one door to a locked one."""

from uuid import UUID

from apps.trades.models import Order, Proposal
from apps.trades.types import ProposalState


def locked_proposal(proposal_id: UUID) -> Proposal | None:
    """The proposal, locked against every other decision on it until the transaction ends."""
    return Proposal.objects.select_for_update(no_key=True).filter(pk=proposal_id).first()


def proposal_with_connection(proposal_id: UUID) -> Proposal | None:
    """The proposal as it is, with its connection, desk and decision; not locked."""
    return Proposal.objects.select_related("connection__desk", "decision", "proposer").filter(pk=proposal_id).first()


def waiting_of(connection_id: UUID) -> list[Proposal]:
    """Proposals of a connection that wait for people, oldest first."""
    rows = Proposal.objects.filter(connection_id=connection_id, state=ProposalState.AWAITING_APPROVAL)
    return list(rows.order_by("created_at"))


def first_of(connection_id: UUID, *, limit: int) -> list[Proposal]:
    """The first proposals ever made on a connection, oldest first."""
    return list(Proposal.objects.filter(connection_id=connection_id).order_by("created_at")[:limit])


def order_of(proposal_id: UUID) -> Order | None:
    """The newest order of a proposal; None before it was approved."""
    return Order.objects.filter(proposal_id=proposal_id).order_by("-attempt").first()
