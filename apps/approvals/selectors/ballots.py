"""What a program needs to show a person a decision, and to send it back: the queue, one ballot, the whole story."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from apps.accounts.selectors import desks_of, holds, roles_of
from apps.approvals.models import Vote
from apps.approvals.selectors import page_gather
from apps.approvals.types import tier_text
from apps.common.decimals import instant_text
from apps.common.errors import NotFound
from apps.policies.types import Verdict
from apps.quotes.selectors.records import quote_record
from apps.trades.selectors import desk_of_one, listing, records
from apps.trades.selectors.lesson_records import recall_record
from apps.trades.selectors.pages import rows_of
from apps.trades.services import recalling

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.accounts.types import Principal
    from apps.connectors.types import Quote

WAITING_MAX: Final = 200
Record = dict[str, Any]


def decidable(*, viewer: "User", now: datetime) -> list[Record]:
    """The waiting proposals this person may decide now: at their desks, asked by somebody else (or at a desk of one),
    in a role that counts, without a vote of theirs (one taken back cannot be cast again). The soonest deadline first,
    at most 200."""
    if not holds(viewer, "decide_proposal"):
        return []
    desks = list(desks_of(viewer.pk).values_list("pk", flat=True))
    alone_at = desk_of_one.desks_of_one(viewer.pk)
    rows = listing.waiting_for(desks, not_by=viewer.pk, now=now, limit=WAITING_MAX, alone_at=alone_at)
    votes = list(Vote.objects.filter(proposal__in=[row.pk for row in rows]))
    roles = roles_of(viewer)
    voted = {vote.proposal_id for vote in votes if vote.approver_id == viewer.pk}
    approvals = _standing(votes)
    return [
        {
            **records.proposal_record(row, now=now),
            "asked_by": row.proposer.shown_name,
            "approvals": len(approvals.get(row.pk, ())),
            "needed": row.needed,
            "roles": row.roles,
        }
        for row in rows
        if row.pk not in voted and (not row.roles or roles & set(row.roles))
    ]


def _standing(votes: Iterable[Vote]) -> dict[UUID, set[UUID]]:
    """Who approved each proposal and has not taken it back."""
    votes = list(votes)
    taken_back = {(vote.proposal_id, vote.approver_id) for vote in votes if vote.verb == Vote.Verb.REVOKE}
    approvals: dict[UUID, set[UUID]] = defaultdict(set)
    for vote in votes:
        if vote.verb == Vote.Verb.APPROVE and (vote.proposal_id, vote.approver_id) not in taken_back:
            approvals[vote.proposal_id].add(vote.approver_id)
    return approvals


def ballot(*, proposal_id: UUID, viewer: "User", now: datetime, sign: Callable[["Quote"], str]) -> Record:
    """One proposal judged now, with what a vote must carry back. Raises NotFound, also for another desk's.

    `vote` is null where there is nothing to approve: it has ended, policy denies it now, or no price is known.
    """
    known = page_gather.gather(proposal_id=proposal_id, viewer=viewer, now=now)
    judgement, proposal = known.judgement, known.proposal
    tier, version_id, quote = known.tier, judgement.version_id, judgement.quote
    vote = None
    denied = judgement.evaluation.outcome is Verdict.DENY
    if known.is_open and not denied and tier is not None and version_id and quote is not None:
        vote = {
            "digest": proposal.digest,
            "signed_quote": sign(quote),
            "policy_version": version_id,
            "tier": tier_text(tier),
        }
    return {
        "proposal": records.proposal_record(proposal, now=now),
        "asked_by": proposal.proposer.shown_name,
        "now": records.evaluation_record(judgement.evaluation, version_id=version_id or None),
        "quote": None if quote is None else quote_record(quote, now=now),
        "drift_bps": None if known.drift is None else records.rounded_text(known.drift),
        "approvals": known.standing,
        "needed": known.needed,
        "votes": [vote_record(vote) for vote in known.votes],
        "may_vote": (
            known.is_open
            and (viewer.pk != proposal.proposer_id or desk_of_one.is_decided_alone(proposal))
            and all(vote.approver_id != viewer.pk for vote in known.votes)
            and holds(viewer, "decide_proposal")
        ),
        "vote": vote,
    }


def vote_record(vote: Vote) -> Record:
    """Who said what; loads `vote.approver`."""
    return {
        "verb": vote.verb,
        "approver": vote.approver.shown_name,
        "comment": vote.comment,
        "difference": vote.difference,
        "policy_version": str(vote.policy_version_id),
        "created_at": instant_text(vote.created_at),
    }


def story(*, proposal_id: UUID, principal: "Principal", now: datetime) -> Record:
    """A proposal with all that followed from it, in one read each. Raises NotFound for what is not the caller's."""
    proposal = listing.proposal_for(principal, proposal_id)
    if proposal is None:
        raise NotFound("PROPOSAL_UNKNOWN", "There is no such proposal for you.", fix="GET /api/v1/trades/proposals.")
    votes = Vote.objects.filter(proposal=proposal).select_related("approver").order_by("created_at")
    order, fills, outcome = rows_of(proposal)
    recalled = recalling.as_answered(proposal_id=proposal.pk, now=now)
    return {
        **records.proposal_record(proposal, now=now),
        "votes": [vote_record(vote) for vote in votes],
        "order": None if order is None else records.order_record(order),
        "fills": records.fill_records(fills),
        "outcome": None if outcome is None else records.outcome_record(outcome),
        "lessons": None if recalled is None else recall_record(recalled),
    }
