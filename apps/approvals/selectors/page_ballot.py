"""The vote on the page: who said what, what this person's click would do, and why it may be off."""

from apps.accounts.selectors import holds, page_roles_of, second_factors_of
from apps.approvals.models import Vote
from apps.approvals.selectors import page_follow, page_money, page_words
from apps.approvals.selectors.page_gather import Gathered
from apps.approvals.selectors.page_values import Ballot, Callout, Off, Price, VoteLine
from apps.common import words
from apps.policies.types import Evaluation, LineVerdict, ReasonCode, RuleKind, RuleLine, Verdict
from apps.trades.selectors import desk_of_one
from apps.trades.types import OrderState, ProposalState


def ballot_of(known: Gathered, price: Price, *, is_intact: bool) -> Ballot:
    viewer, votes = known.viewer, known.votes
    own = {vote.verb for vote in votes if vote.approver_id == viewer.pk}
    has_voted, has_approved = bool(own), Vote.Verb.APPROVE in own and Vote.Verb.REVOKE not in own
    may_decide = holds(viewer, "decide_proposal")
    is_own = viewer.pk == known.proposal.proposer_id
    why_not = ""
    is_alone = known.is_open and is_own and desk_of_one.is_decided_alone(known.proposal)
    if known.is_open and is_own and not is_alone:
        why_not = "You, or a key of yours, asked for this. Others decide."
    elif known.is_open and not may_decide:
        why_not = "Your roles do not include deciding. You can watch it here."
    elif known.is_open and has_voted:
        why_not = (
            "Your vote is counted. It can be taken back until the order leaves."
            if has_approved
            else "You took your approval back. Others decide now."
        )
    order = known.rows.order
    before_claim = order is None or order.state == OrderState.INITIALIZED
    lives = known.is_open or known.proposal.state == ProposalState.APPROVED
    missing = max(known.needed - known.standing - 1, 0)
    may_vote = known.is_open and not why_not
    factors = second_factors_of(viewer) if may_vote and known.tier is not None and known.tier.second_factor else None
    off = _off(known, price, factors, is_intact=is_intact) if may_vote else None
    lead, rest = page_money.consequence(
        known.rows.terms, known.judgement.quote, is_last=missing == 0, still_needed=missing
    )
    return Ballot(
        have=known.standing,
        needed=known.needed,
        votes=_vote_lines(known, may_vote=may_vote),
        is_open=known.is_open,
        is_alone=is_alone and not why_not,
        second_factors=factors,
        why_different=_why_different(known) if may_vote else "",
        waiver=order.authority.waiver if order is not None else "",
        may_vote=may_vote,
        off=off,
        why_no_vote=why_not,
        may_revoke=has_approved and lives and before_claim,
        consequence_lead=lead if off is None else "",
        consequence=rest if off is None else "The server refuses an approval now, too.",
    )


def _why_different(known: Gathered) -> str:
    """Why each writes what is different this time: what the rule says that asks for it."""
    if known.tier is None or not known.tier.difference:
        return ""
    lines = known.judgement.evaluation.lines
    asking = [line for line in lines if line.code == ReasonCode.SIMILAR_LOSSES and line.verdict is LineVerdict.REQUIRE]
    return asking[0].message if asking else ReasonCode.SIMILAR_LOSSES.sentence


def _vote_lines(known: Gathered, *, may_vote: bool) -> tuple[VoteLine, ...]:
    said = {
        Vote.Verb.APPROVE: ("approved", "ok"),
        Vote.Verb.DECLINE: ("declined", "x"),
        Vote.Verb.REVOKE: ("took the approval back", "x"),
    }
    lines = [
        VoteLine(
            who="You" if vote.approver_id == known.viewer.pk else vote.approver.shown_name,
            words=said[Vote.Verb(vote.verb)][0] + (", alone: a desk of one" if vote.desk_of_one else ""),
            icon=said[Vote.Verb(vote.verb)][1],
            ago=words.ago(vote.created_at, known.now),
            comment=vote.comment,
            difference=vote.difference,
        )
        for vote in known.votes
    ]
    if may_vote:
        lines.append(VoteLine(who="You", words="have not voted", icon="person"))
    elif not lines and known.proposal.needed:
        lines.append(VoteLine(who="Nobody", words="has voted", icon="person"))
    return tuple(lines)


def _off(known: Gathered, price: Price, factors: frozenset[str] | None, *, is_intact: bool) -> Off | None:
    """Why Approve is off for this person now. The services refuse for the same reasons."""
    evaluation, tier = known.judgement.evaluation, known.tier
    if not is_intact:
        help_ = "These are not the bytes that were judged. Decline it, and tell an operator."
        return Off(
            code="DIGEST_CHANGED", sentence="Approve is off: the stored bytes do not match their digest.", help=help_
        )
    others = [line for line in _failing(evaluation) if line.kind != RuleKind.STALE_QUOTE and not _is_about_age(line)]
    if price.is_stale and not others:
        late = f"the price is {price.age} old" if price.age else "no price is known"
        help_ = "It comes back by itself with the next price. You may decline now."
        return Off(code="QUOTE_STALE", sentence=f"Approve is off: {late}.", help=help_, passes=True)
    if evaluation.outcome is Verdict.DENY or tier is None:
        why = others[0].message if others else "No active policy covers this."
        help_ = "It comes back by itself if this changes. You may decline now."
        return Off(code="POLICY_DENIES", sentence="Approve is off: policy denies this now.", help=f"{why} {help_}")
    if not page_roles_of(known.viewer) & set(tier.roles):
        roles = words.listed(list(tier.roles), word="or")
        return Off(code="ROLE_NEEDED", sentence=f"Approve is off: this needs somebody with the role {roles}.", help="")
    drift = known.drift
    if drift is None or abs(drift) > tier.drift_bps:
        moved = "not known" if drift is None else f"{words.signed(drift)} bps, and at most {tier.drift_bps:f} may pass"
        help_ = "It comes back by itself if the price does. An approval now would void the proposal."
        return Off(code="DRIFTED", sentence=f"Approve is off: the price has moved {moved}.", help=help_)
    if factors is not None and not factors:
        help_ = "Your name at the top of the page leads to Second factors: add an app or a key. You may decline now."
        return Off(code="SECOND_FACTOR_MISSING", sentence="Approve is off: you have no second factor.", help=help_)
    return None


def _failing(evaluation: Evaluation) -> list[RuleLine]:
    return [line for line in evaluation.lines if line.verdict in {LineVerdict.FAIL, LineVerdict.ERROR}]


def _is_about_age(line: RuleLine) -> bool:
    """An old or missing price makes rules doubt that have nothing else against the order."""
    return line.verdict is LineVerdict.ERROR and line.code in {ReasonCode.FACT_STALE, ReasonCode.FACT_MISSING}


def callout_of(known: Gathered, price: Price, *, is_intact: bool) -> Callout | None:
    if not is_intact:
        lead = "The stored bytes do not match their digest."
        return Callout(
            kind="stop", icon="stop", lead=lead, text="Somebody or something changed them. Nothing of it is sent."
        )
    decliner = next((vote.approver.shown_name for vote in known.votes if vote.verb == Vote.Verb.DECLINE), "")
    own = {vote.verb for vote in known.votes if vote.approver_id == known.viewer.pk}
    has_voted = Vote.Verb.APPROVE in own and Vote.Verb.REVOKE not in own
    evaluation = known.judgement.evaluation
    ended = page_follow.ending(
        known.rows,
        is_expired=known.is_expired,
        decliner=decliner,
        has_voted=has_voted,
        denial=" ".join(line.message for line in evaluation.lines if line.verdict is LineVerdict.FAIL),
        remedy=evaluation.remedy.sentence if evaluation.remedy else "",
    )
    if ended is not None or not known.is_open:
        return ended
    if any(line.code in {ReasonCode.TRADING_HALTED, ReasonCode.ONLY_REDUCING} for line in _failing(evaluation)):
        lead = "Trading is halted, so this cannot be approved."
        if not any(line.code == ReasonCode.TRADING_HALTED for line in _failing(evaluation)):
            lead = "Only orders that shrink a position may leave now, and this one does not."
        return Callout(kind="stop", icon="halt", lead=lead, text="Resuming takes two people. You may decline now.")
    if price.is_stale:
        silent = f"has sent no price for {price.age}" if price.age else "has sent no price yet"
        lead = f"{page_words.venue_name(known.rows.terms)} {silent}, so this cannot be approved."
        return Callout(kind="warn", icon="warn", lead=lead, text="What is shown is the last that is known, and marked.")
    return None
