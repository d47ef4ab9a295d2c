"""Reads of proposals, and the one door to a locked one."""

from uuid import UUID

from apps.trades.models import Proposal


def locked_proposal(proposal_id: UUID) -> Proposal | None:
    """The proposal, locked against every other decision on it until the transaction ends."""
    return Proposal.objects.select_for_update(no_key=True).filter(pk=proposal_id).first()


def proposal_with_connection(proposal_id: UUID) -> Proposal | None:
    """The proposal as it is, with its connection, desk and decision; not locked."""
    return Proposal.objects.select_related("connection__desk", "decision", "proposer").filter(pk=proposal_id).first()
