"""One person's word on one proposal. Each verb is one transaction; the last approval sends the order on its way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.accounts.selectors import desks_read_by, holds, is_active_in_roles
from apps.accounts.services import step_up
from apps.accounts.services.people import actor_of
from apps.accounts.types import NO_PROOF, Proof, Shown
from apps.approvals.models import Vote
from apps.approvals.services import signed_quotes
from apps.approvals.services.written import check_comment, check_difference
from apps.approvals.types import Seen, SeenQuote, VoteResult, tier_text
from apps.audit.services import events
from apps.audit.types import Actor
from apps.common import canonical, faults
from apps.common import fault_places as places
from apps.common.errors import AikaError, Conflict, Denied, Forbidden, Invalid, Misconfigured, NotFound
from apps.connectors.types import Side
from apps.policies.errors import BudgetExhausted
from apps.policies.types import Gate, Tier, Verdict
from apps.trades.rules.drift import drift_bps
from apps.trades.selectors import desk_of_one
from apps.trades.selectors.proposals import locked_proposal, proposal_with_connection
from apps.trades.services import approval, endings, latches, market
from apps.trades.services.approval import Clock
from apps.trades.types import ProposalState

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.trades.models import Proposal


class Written(NamedTuple):
    """What somebody wrote with their vote."""

    comment: str
    difference: str = ""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A vote that was not counted, with what must be kept of it all the same."""

    error: AikaError


def approve(
    *,
    proposal_id: UUID,
    approver: "User",
    seen: Seen,
    comment: str,
    now: datetime,
    clock: Clock | None = None,
    proof: Proof = NO_PROOF,
    difference: str = "",
) -> VoteResult:
    """Count one approval; the one that completes the quorum writes the authority and the order.

    `clock` says how late it is once it is this vote's turn on the connection: what was learned of the market while it
    waited is not of the future. Without one it is still `now`.
    `difference` is what is different this time, where similar trades lost and the tier therefore asks for it: Invalid
    DIFFERENCE_REQUIRED without it. Raises Forbidden for who may not (SECOND_FACTOR_* where the tier asks for one, shown
    for this very digest), Conflict for what moved since the page was drawn (state, digest, policy version, tier,
    price), Denied where policy says no now, Unavailable where the venue does not answer.
    """
    check_comment(comment)
    check_difference(difference)
    proposal = found(proposal_id, approver)
    now = market.make_fresh(proposal.connection, [proposal.instrument], now=now)
    with faults.commit(places.VOTE):
        outcome = _approve(
            proposal_id, approver, seen, Written(comment, difference), proof, now, clock or (lambda: now)
        )
    if isinstance(outcome, Refused):
        raise outcome.error
    return outcome


def _approve(
    proposal_id: UUID, approver: "User", seen: Seen, written: Written, proof: Proof, now: datetime, clock: Clock
) -> VoteResult | Refused:
    proposal = _waiting(proposal_id, approver, now)
    _same_digest(proposal, seen.digest)
    quote = signed_quotes.read(seen.signed_quote, proposal_id=proposal.pk)
    judgement = approval.judge_held(proposal, now=now, clock=clock)
    tier, version = judgement.tier, judgement.version
    if judgement.evaluation.outcome is Verdict.DENY or tier is None or version is None:
        approval.keep_judgement(proposal, judgement, gate=Gate.APPROVAL)
        latches.keep_losses(proposal.connection_id, judgement.evaluation, judgement.at)
        return Refused(error=_denied(proposal, judgement))
    if str(version.version_id) != seen.policy_version:
        raise _moved("POLICY_CHANGED", "Another policy version has become active since this page was drawn.")
    if tier_text(tier) != seen.tier:
        raise _moved("TIER_CHANGED", "It needs other approvals now than this page said.")
    _may_vote(proposal, approver, tier)
    check_difference(written.difference, tier=tier)
    if drifted := _drifted(proposal, judgement, quote, tier, now):
        return drifted
    shown = _shown_for(proposal, approver, tier, proof, now)
    if isinstance(shown, Refused):
        return shown
    try:
        with transaction.atomic():
            return _count(proposal, approver, judgement, tier, quote, shown, written, now)
    except BudgetExhausted as exhausted:
        return _no_room(proposal, exhausted, now, clock)


def _count(
    proposal: "Proposal",
    approver: "User",
    judgement: approval.Judgement,
    tier: Tier,
    quote: SeenQuote,
    shown: Shown | None,
    written: Written,
    now: datetime,
) -> VoteResult:
    """The vote, and what it completes. Raises BudgetExhausted; then neither has happened."""
    version_id = _version_id(judgement)
    _cast(proposal, approver, Vote.Verb.APPROVE, version_id, quote, written, now, shown)
    approvers = _standing(proposal, version_id, tier)
    if len(approvers) < tier.needed:
        return VoteResult(proposal_id=proposal.pk, state=proposal.state, approvals=len(approvers), needed=tier.needed)
    order = approval.approve(
        proposal,
        judgement=judgement,
        tier=tier,
        approvers=approvers,
        seen_price=quote.ask if proposal.side == Side.BUY.value else quote.bid,
        seen_at=quote.received_at,
        actor=actor_of(approver),
        now=now,
        reason=desk_of_one.IN_WORDS if proposal.proposer_id in approvers else "",
    )
    return VoteResult(
        proposal_id=proposal.pk,
        state=proposal.state,
        approvals=len(approvers),
        needed=tier.needed,
        order_id=order.pk,
    )


def _no_room(proposal: "Proposal", exhausted: BudgetExhausted, now: datetime, clock: Clock) -> Refused:
    """Somebody took the room since it was judged: what policy says now is kept, and the proposal goes on waiting."""
    judgement = approval.judge_held(proposal, now=now, clock=clock)
    if judgement.evaluation.outcome is not Verdict.DENY:
        raise _moved(exhausted.code, f"{exhausted.message} The policy has changed meanwhile.") from exhausted
    approval.keep_judgement(proposal, judgement, gate=Gate.APPROVAL)
    return Refused(error=_denied(proposal, judgement))


def decline(*, proposal_id: UUID, approver: "User", digest: str, comment: str, now: datetime) -> VoteResult:
    """One person's no ends it. A comment is required: the proposer should learn from it. Raises as `approve`."""
    if not comment.strip():
        raise Invalid(
            "COMMENT_NEEDED",
            "Declining needs a sentence.",
            fix="Say why, so that the next proposal is better.",
            field="comment",
        )
    check_comment(comment)
    found(proposal_id, approver)
    with faults.commit(places.VOTE):
        proposal = _waiting(proposal_id, approver, now)
        _same_digest(proposal, digest)
        version_id = proposal.decision.version_id
        if version_id is None:
            raise Misconfigured("DECISION_WITHOUT_POLICY", f"{proposal.label} waits without a policy.")
        _cast(proposal, approver, Vote.Verb.DECLINE, version_id, None, Written(comment), now)
        endings.end(
            proposal, ProposalState.DECLINED, code="DECLINED", reason=comment, actor=actor_of(approver), now=now
        )
    return VoteResult(proposal_id=proposal.pk, state=proposal.state, approvals=0, needed=proposal.needed)


def revoke(*, proposal_id: UUID, approver: "User", comment: str, now: datetime) -> VoteResult:
    """An approver takes back their approval, as long as the order has not left. Raises Conflict once it has: then
    nothing is written, because an order that may be at the venue cannot be un-approved."""
    check_comment(comment)
    with faults.commit(places.VOTE):
        proposal = locked_proposal(proposal_id)
        own = Vote.objects.filter(proposal_id=proposal_id, approver=approver, verb=Vote.Verb.APPROVE).last()
        if proposal is None or own is None:
            raise NotFound("VOTE_UNKNOWN", "You have not approved such a proposal.")
        actor = actor_of(approver)
        ended = endings.revoke(proposal, actor=actor, reason=comment or "Taken back by an approver.", now=now)
        _cast(ended, approver, Vote.Verb.REVOKE, own.policy_version_id, None, Written(comment), now)
    return VoteResult(proposal_id=proposal_id, state=ended.state, approvals=0, needed=ended.needed)


def found(proposal_id: UUID, approver: "User") -> "Proposal":
    """The proposal, for somebody who sits at its desk and may read; for others there is none."""
    proposal = proposal_with_connection(proposal_id)
    if proposal is None or not desks_read_by(approver.pk).filter(pk=proposal.connection.desk_id).exists():
        raise NotFound("PROPOSAL_UNKNOWN", "There is no such proposal at your desk.")
    return proposal


def _waiting(proposal_id: UUID, approver: "User", now: datetime) -> "Proposal":
    """The locked proposal, if it waits and this person may decide at all."""
    proposal = locked_proposal(proposal_id)
    if proposal is None:
        raise NotFound("PROPOSAL_UNKNOWN", "There is no such proposal.")
    require_voter(proposal, approver)
    endings.require_waiting(proposal, now)
    return proposal


def require_voter(proposal: "Proposal", approver: "User") -> None:
    """Raises Forbidden MAY_NOT_DECIDE for who decides nothing, OWN_PROPOSAL for who asked for this."""
    if not holds(approver, "decide_proposal"):
        raise Forbidden("MAY_NOT_DECIDE", "Your roles do not include deciding on proposals.")
    if approver.pk == proposal.proposer_id and not desk_of_one.is_decided_alone(proposal):
        raise Forbidden(
            "OWN_PROPOSAL",
            "You, or a key of yours, asked for this. Somebody else must decide.",
            fix="Ask another approver to look at it.",
        )


def _same_digest(proposal: "Proposal", digest: str) -> None:
    if not (digest == proposal.digest == canonical.digest(bytes(proposal.terms))):
        raise _moved("DIGEST_CHANGED", "What this vote names is not what is stored.")


def _may_vote(proposal: "Proposal", approver: "User", tier: Tier) -> None:
    if not is_active_in_roles(approver.pk, tier.roles):
        roles = " or ".join(tier.roles)
        raise Forbidden("ROLE_NEEDED", f"This needs somebody with the role {roles}.", fix="Ask one of them.")


def _shown_for(
    proposal: "Proposal", approver: "User", tier: Tier, proof: Proof, now: datetime
) -> Shown | None | Refused:
    """The second factor shown for this digest, where the tier asks for one. A wrong one is kept in the log."""
    if not tier.second_factor:
        return None
    try:
        return step_up.show(person=approver, subject=str(proposal.pk), digest=proposal.digest, proof=proof, now=now)
    except Forbidden as error:
        if proof.is_given:
            events.record(
                stream=endings.stream_of(proposal.pk),
                kind="vote.second_factor_refused",
                actor=actor_of(approver),
                subject=str(proposal.pk),
                payload={"digest": proposal.digest, "code": error.code},
                now=now,
            )
        return Refused(error=error)


def _drifted(
    proposal: "Proposal", judgement: approval.Judgement, quote: SeenQuote, tier: Tier, now: datetime
) -> Refused | None:
    """Compare the price seen with the one now, and the one now with the one it was proposed at."""
    live = judgement.quote
    if live is None or quote.instrument != proposal.instrument:
        raise _moved("QUOTE_MISSING", "There is no price to decide on.")
    age = (now - quote.received_at).total_seconds()
    if age > tier.quote_age_s or age < -1:
        raise _moved(
            "QUOTE_TOO_OLD", f"The price this vote carries is {age:.0f} s old, and at most {tier.quote_age_s} may pass."
        )
    if abs(drift_bps(quote.mid, live.mid)) > tier.drift_bps:
        raise _moved("PRICE_MOVED", "The price has moved too far since the one on your page.")
    if proposal.reference_bid is None or proposal.reference_ask is None:
        raise _moved("QUOTE_MISSING", "There is no price it was proposed at.")
    reference = (proposal.reference_bid + proposal.reference_ask) / 2
    drift = drift_bps(reference, live.mid)
    if abs(drift) <= tier.drift_bps:
        return None
    reason = f"The price moved {drift:+.1f} bps since it was proposed, and {tier.drift_bps} may pass."
    endings.void(proposal, code="DRIFTED", reason=reason, actor=Actor.system("approvals"), now=now)
    return Refused(
        error=Conflict(
            "DRIFTED", f"{reason} It is void.", fix="Propose it again at today's price.", drift_bps=f"{drift:.1f}"
        )
    )


def _cast(
    proposal: "Proposal",
    approver: "User",
    verb: Vote.Verb,
    policy_version: str | UUID,
    quote: SeenQuote | None,
    written: Written,
    now: datetime,
    shown: Shown | None = None,
) -> None:
    is_alone = approver.pk == proposal.proposer_id and verb != Vote.Verb.DECLINE
    try:
        with transaction.atomic():
            vote = Vote.objects.create(
                proposal=proposal,
                approver=approver,
                proposer_id=proposal.proposer_id,
                verb=verb,
                environment=proposal.connection.environment,
                desk_of_one=is_alone,
                digest=proposal.digest,
                policy_version_id=policy_version,
                quote=_quote_fields(quote) if quote else {},
                comment=written.comment,
                difference=written.difference,
                second_factor=str(shown or ""),
                created_at=now,
            )
    except IntegrityError as error:
        raise Conflict(
            "ALREADY_VOTED", "Your vote on this is counted already.", fix="Look at it as it is now."
        ) from error
    events.record(
        stream=endings.stream_of(proposal.pk),
        kind=f"vote.{verb.value.lower()}",
        actor=actor_of(approver),
        subject=str(proposal.pk),
        payload={
            "vote": vote.pk,
            "digest": vote.digest,
            "policy_version": str(policy_version),
            "quote": vote.quote,
            "comment": written.comment,
            **({"difference": written.difference} if written.difference else {}),
            **({"desk_of_one": desk_of_one.IN_WORDS} if is_alone else {}),
            **({"second_factor": {"method": shown.method, "credential": shown.credential}} if shown else {}),
        },
        now=now,
    )


def _quote_fields(quote: SeenQuote) -> dict[str, str]:
    decoded = canonical.decode(
        canonical.encode(
            "aika.seen-quote/1",
            {"instrument": quote.instrument, "bid": quote.bid, "ask": quote.ask, "received_at": quote.received_at},
        )
    )
    return {name: str(value) for name, value in decoded.items() if name != "schema"}


def _standing(proposal: "Proposal", policy_version: str, tier: Tier) -> Sequence[UUID]:
    """Whose approvals count: cast under the policy in force, not taken back, by others than the proposer (who counts
    at a desk of one) who are active and in the role now; with a second factor and a word on what is different, where
    this tier asks for them: a vote may be of a time at which another did not."""
    votes = Vote.objects.filter(proposal=proposal, policy_version=UUID(policy_version))
    revoked = set(votes.filter(verb=Vote.Verb.REVOKE).values_list("approver_id", flat=True))
    cast = votes.filter(verb=Vote.Verb.APPROVE)
    if not desk_of_one.is_decided_alone(proposal):
        cast = cast.exclude(approver_id=proposal.proposer_id)
    if tier.second_factor:
        cast = cast.exclude(second_factor="")
    if tier.difference:
        cast = cast.exclude(difference="")
    approved = cast.order_by("created_at").values_list("approver_id", flat=True)
    return [person for person in approved if person not in revoked and is_active_in_roles(person, tier.roles)]


def _denied(proposal: "Proposal", judgement: approval.Judgement) -> Denied:
    codes = judgement.evaluation.codes
    # Two lines may deny for the same thing in the same words, which are said once.
    failing = [*dict.fromkeys(line.message for line in judgement.evaluation.lines if line.code in codes)]
    return Denied(
        codes[0] if codes else "POLICY_DENIES",
        f"Policy denies it now. {' '.join(failing[:3])}".strip(),
        fix="It waits until its time runs out; try again when this has changed, or decline it.",
        codes=", ".join(codes),
    )


def _version_id(judgement: approval.Judgement) -> str:
    if judgement.version is None:
        raise Misconfigured("APPROVED_ON_NOTHING", "An approval needs an active policy.")
    return judgement.version.version_id


def _moved(code: str, message: str) -> Conflict:
    return Conflict(code, message, fix="Look at the page as it is now, and decide again.")
