"""Words of the desk. No Django here."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.policies.types import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenQuote:
    """The price that stood on the page, as the server signed it: quote currency per base unit."""

    proposal_id: UUID
    instrument: str
    bid: Decimal
    ask: Decimal
    received_at: datetime

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a voter's page showed, sent back with the vote: nothing of it is trusted, all of it is compared.

    `tier` is `tier_text` of the approvals asked for, `policy_version` the id of the version that was in force.
    """

    digest: str
    signed_quote: str
    policy_version: str
    tier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteResult:
    """What a vote did. `order_id` is set where it was the last one needed."""

    proposal_id: UUID
    state: str
    approvals: int
    needed: int
    order_id: UUID | None = None


def tier_text(tier: Tier) -> str:
    """A tier as one comparable text: `2:approver,risk`, with `+second_factor` where each must show one, and
    `+difference` where each must write what is different this time."""
    shown = "+second_factor" if tier.second_factor else ""
    written = "+difference" if tier.difference else ""
    return f"{tier.needed}:{','.join(sorted(tier.roles))}{shown}{written}"
