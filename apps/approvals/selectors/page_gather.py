"""What a page about one proposal is computed from, read once: its rows, the votes, and what policy says of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from apps.accounts.selectors import desks_read_by
from apps.approvals.models import Vote
from apps.common import words
from apps.common.errors import NotFound
from apps.connectors.types import Quote
from apps.policies.rules import replay
from apps.policies.types import Evaluation, Facts, Tier
from apps.trades.rules.drift import drift_bps
from apps.trades.selectors.pages import PageRows, proposal_rows
from apps.trades.services.approval import judge_again
from apps.trades.types import ProposalState

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.trades.models import Proposal


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What policy says now, while it can be decided; else what it said when it was asked, from the frozen bytes."""

    evaluation: Evaluation
    tier: Tier | None
    facts: Facts
    quote: Quote | None
    version_id: str
    note: str


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Everything the page is computed from, read once."""

    rows: PageRows
    votes: Sequence[Vote]
    judgement: Standing
    viewer: "User"
    now: datetime

    @property
    def proposal(self) -> "Proposal":
        return self.rows.proposal

    @property
    def is_expired(self) -> bool:
        return self.now >= self.proposal.expires_at

    @property
    def is_open(self) -> bool:
        return self.proposal.state == ProposalState.AWAITING_APPROVAL and not self.is_expired

    @property
    def tier(self) -> Tier | None:
        return self.judgement.tier

    @property
    def needed(self) -> int:
        tier = self.tier
        return tier.needed if tier is not None and self.is_open else self.proposal.needed

    @property
    def standing(self) -> int:
        """Approvals that were not taken back, and had the second factor and the words that are asked for now."""
        needs_factor = self.is_open and self.tier is not None and self.tier.second_factor
        needs_words = self.is_open and self.tier is not None and self.tier.difference
        revoked = {vote.approver_id for vote in self.votes if vote.verb == Vote.Verb.REVOKE}
        return sum(
            vote.verb == Vote.Verb.APPROVE
            and vote.approver_id not in revoked
            and (not needs_factor or bool(vote.second_factor))
            and (not needs_words or bool(vote.difference))
            for vote in self.votes
        )

    @property
    def asked_mid(self) -> Decimal | None:
        bid, ask = self.proposal.reference_bid, self.proposal.reference_ask
        return (bid + ask) / 2 if bid is not None and ask is not None else None

    @property
    def drift(self) -> Decimal | None:
        quote, asked = self.judgement.quote, self.asked_mid
        return drift_bps(asked, quote.mid) if quote is not None and asked else None


def may_see(viewer: "User", rows: PageRows) -> bool:
    """Who sits at the desk of the connection, in a role that reads, sees its proposals."""
    return viewer.is_superuser or desks_read_by(viewer.pk).filter(pk=rows.proposal.connection.desk_id).exists()


def gather(*, proposal_id: UUID, viewer: "User", now: datetime) -> Gathered:
    """Read what a page about one proposal needs. Raises NotFound, also for another desk's."""
    rows = proposal_rows(proposal_id)
    if rows is None or not may_see(viewer, rows):
        raise NotFound("PROPOSAL_UNKNOWN", "There is no such proposal at your desk.")
    votes = list(Vote.objects.filter(proposal_id=proposal_id).select_related("approver").order_by("created_at"))
    is_open = rows.proposal.state == ProposalState.AWAITING_APPROVAL and now < rows.proposal.expires_at
    judgement = _judged_now(rows, now) if is_open else _judged_then(rows, now)
    return Gathered(rows=rows, votes=votes, judgement=judgement, viewer=viewer, now=now)


def _judged_now(rows: PageRows, now: datetime) -> Standing:
    judged = judge_again(rows.proposal, now=now)
    version = judged.version
    return Standing(
        evaluation=judged.evaluation,
        tier=judged.tier,
        facts=judged.facts,
        quote=judged.quote,
        version_id=str(version.version_id) if version else "",
        note=f"Version {version.number}, judged now and again at your vote." if version else "",
    )


def _judged_then(rows: PageRows, now: datetime) -> Standing:
    decision = rows.proposal.decision
    evaluation = replay(bytes(decision.inputs))
    return Standing(
        evaluation=evaluation,
        tier=evaluation.tier,
        facts={},
        quote=None,
        version_id="",
        note=f"As judged when it was asked, {words.moment(decision.decided_at, now)}.",
    )
