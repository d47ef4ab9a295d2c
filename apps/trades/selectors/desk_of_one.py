"""A desk of one: its only person may decide on what their own key asks, on paper, where the installation says so."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from django.conf import settings

from apps.accounts.selectors import desks_alone
from apps.connectors.types import Environment
from apps.trades.models import Proposal

IN_WORDS: Final = "Desk of one: no second person looked at this. Their own key asked for it, on paper."


def is_on() -> bool:
    """POLICY_DESK_OF_ONE, and never in production, whatever that says there."""
    return bool(settings.POLICY_DESK_OF_ONE) and settings.ENVIRONMENT != "production"


def desks_of_one(user_id: UUID) -> frozenset[UUID]:
    """The desks where this person decides alone; none where it is off."""
    return desks_alone(user_id) if is_on() else frozenset()


def is_own_to_decide(proposal: Proposal, desks: Collection[UUID]) -> bool:
    """Whether its proposer, alone at these desks, may decide on it: a key of theirs asked, and it is paper."""
    if proposal.api_key_id is None or not desks:
        return False
    connection = proposal.connection
    return connection.environment == Environment.PAPER and connection.desk_id in desks


def is_decided_alone(proposal: Proposal) -> bool:
    """The same, of the desks of its proposer now."""
    return is_own_to_decide(proposal, desks_of_one(proposal.proposer_id))
