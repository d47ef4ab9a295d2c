"""The decision page of one proposal: what its frozen bytes say, what policy says of them now, who said what."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

from apps.accounts.selectors import desks_of, holds, roles_of
from apps.approvals.models import Vote
from apps.approvals.selectors import page_follow, page_money, page_rules, page_words
from apps.approvals.selectors.page_values import (
    Ballot,
    Callout,
    DecisionPage,
    Off,
    Price,
    Sheet,
    Statement,
    SumLine,
    VoteLine,
)
from apps.approvals.types import tier_text
from apps.common import words
from apps.common.errors import NotFound
from apps.connectors.types import Quote
from apps.policies.rules import replay
from apps.policies.types import Evaluation, Facts, LineVerdict, ReasonCode, RuleKind, RuleLine, Tier, Verdict
from apps.trades.rules.drift import drift_bps
from apps.trades.selectors.pages import PageRows, ProposerRecord, proposal_rows, record_of
from apps.trades.services.approval import judge_again
from apps.trades.types import ProposalState

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.trades.models import Proposal

RECORD_DAYS: Final = 30
FEW_TRADES: Final = 30
Sign = Callable[[Quote], str]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What policy says now, while it can be decided; else what it said when it was asked, from the frozen bytes."""

    evaluation: Evaluation
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
        return self.judgement.evaluation.tier

    @property
    def needed(self) -> int:
        tier = self.tier
        return tier.needed if tier is not None and self.is_open else self.proposal.needed

    @property
    def standing(self) -> int:
        """Approvals that were not taken back."""
        revoked = {vote.approver_id for vote in self.votes if vote.verb == Vote.Verb.REVOKE}
        return sum(vote.verb == Vote.Verb.APPROVE and vote.approver_id not in revoked for vote in self.votes)

    @property
    def asked_mid(self) -> Decimal | None:
        bid, ask = self.proposal.reference_bid, self.proposal.reference_ask
        return (bid + ask) / 2 if bid is not None and ask is not None else None

    @property
    def drift(self) -> Decimal | None:
        quote, asked = self.judgement.quote, self.asked_mid
        return drift_bps(asked, quote.mid) if quote is not None and asked else None


def may_see(viewer: "User", rows: PageRows) -> bool:
    """Who sits at the desk of the connection sees its proposals."""
    return viewer.is_superuser or desks_of(viewer.pk).filter(pk=rows.proposal.connection.desk_id).exists()


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
    judged = judge_again(rows.proposal, now=now, lock=False)
    version = judged.version
    return Standing(
        evaluation=judged.evaluation,
        facts=judged.facts,
        quote=judged.quote,
        version_id=str(version.version_id) if version else "",
        note=f"Version {version.number}, judged now and again at your vote." if version else "",
    )


def _judged_then(rows: PageRows, now: datetime) -> Standing:
    decision = rows.proposal.decision
    return Standing(
        evaluation=replay(bytes(decision.inputs)),
        facts={},
        quote=None,
        version_id="",
        note=f"As judged when it was asked, {words.moment(decision.decided_at, now)}.",
    )


def decision_page(*, proposal_id: UUID, viewer: "User", now: datetime, sign: Sign) -> DecisionPage:
    """The page for one person at `now`; `sign` makes the token of the quote shown. Raises NotFound."""
    known = gather(proposal_id=proposal_id, viewer=viewer, now=now)
    proposal, terms, judgement = known.proposal, known.rows.terms, known.judgement
    evaluation, quote, tier = judgement.evaluation, judgement.quote, known.tier
    worst = page_money.worst_of(terms, evaluation, judgement.facts)
    price = page_money.price_now(
        terms,
        quote,
        bound_s=page_money.age_bound_s(evaluation, tier),
        signed=sign(quote) if quote is not None and known.is_open else "",
        now=now,
    )
    sent = page_words.sent(
        terms,
        raw=bytes(proposal.terms),
        digest=proposal.digest,
        request=bytes(proposal.request_body),
        request_digest=proposal.request_digest,
    )
    changes = page_rules.changes(evaluation, terms, judgement.facts, quantity=worst.quantity, is_stale=price.is_stale)
    drift_bound = tier.drift_bps if tier is not None else None
    drift = page_money.drift_tile(terms, drift=known.drift, bound=drift_bound, price=price, asked_mid=known.asked_mid)
    loss = page_money.loss_tile(terms, worst, quote, is_stale=price.is_stale)
    tight = page_rules.tight_tile(evaluation, terms, changes, is_stale=price.is_stale)
    ballot = _ballot(known, price, is_intact=sent.is_intact)
    seconds_left = int(max(words.seconds_between(now, proposal.expires_at), Decimal(0)))
    return DecisionPage(
        id=proposal.pk,
        label=proposal.label,
        state=proposal.state,
        environment=terms.environment.value,
        now=now,
        sentence=page_words.sentence(terms, worst_price=worst.price, fee=worst.fee),
        asked_by=_asker(proposal),
        asked_for=proposal.proposer.shown_name if proposal.api_key_id else "",
        asked_at=proposal.created_at,
        asked_ago=words.ago(proposal.created_at, now),
        expires_at=proposal.expires_at,
        seconds_left=seconds_left,
        lasts_s=int(words.seconds_between(proposal.created_at, proposal.expires_at)),
        left=words.span(seconds_left) if seconds_left else "none",
        runs_out=f"Runs out at {_until(proposal.expires_at, now)}. Then nothing is sent.",
        price=price,
        ballot=ballot,
        tiles=(drift, loss, tight, page_money.memory_tile()) if known.is_open else (),
        changes=changes if known.is_open else (),
        rules=page_rules.rules(
            evaluation,
            terms,
            note=judgement.note,
            is_now=known.is_open,
            is_stale=known.is_open and price.is_stale,
        ),
        costs=page_money.costs(terms, worst) if known.is_open else None,
        record=_record(proposal, now),
        sent=sent,
        statement=_statement(proposal),
        version=_version(known, price),
        policy_version=judgement.version_id,
        tier=tier_text(tier.needed, tier.roles) if tier is not None else "",
        callout=_callout(known, price, is_intact=sent.is_intact),
        follow=page_follow.follow(known.rows),
        gobar=f"price {price.age} old"
        if price.is_stale and price.age
        else f"drift {drift.answer} {drift.unit.removesuffix(' bps')}",
    )


def _until(instant: datetime, now: datetime) -> str:
    return words.clock(instant) if instant - now < timedelta(hours=12) else words.moment(instant, now)


def _asker(proposal: "Proposal") -> str:
    return proposal.api_key.name if proposal.api_key is not None else proposal.proposer.shown_name


def _version(known: Gathered, price: Price) -> str:
    """Names everything a click could have moved: when it differs, the page is drawn again."""
    order, tier = known.rows.order, known.tier
    parts = [known.proposal.state, str(known.is_open), str(len(known.votes)), str(price.is_stale and known.is_open)]
    parts += [order.state, str(order.filled_quantity), str(order.average_fill_price)] if order is not None else []
    parts += [known.judgement.version_id, tier_text(tier.needed, tier.roles) if tier else ""]
    parts += [line.rule + line.verdict for line in known.judgement.evaluation.lines if _stands_still(line.kind)]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def _stands_still(kind: str) -> bool:
    return kind != RuleKind.STALE_QUOTE


def _statement(proposal: "Proposal") -> Statement:
    confidence = "" if proposal.confidence is None else f"{words.grouped(proposal.confidence * 100)} %"
    return Statement(
        author=_asker(proposal), text=proposal.rationale, confidence=confidence, tags=tuple(map(str, proposal.tags))
    )


def _record(proposal: "Proposal", now: datetime) -> Sheet:
    since = now - timedelta(days=RECORD_DAYS)
    known = record_of(proposer_id=proposal.proposer_id, api_key_id=proposal.api_key_id, since=since)
    closed = known.won + known.lost
    result = words.result(known.result) if known.result is not None else "not known"
    tone = "" if not known.result else "gain" if known.result > 0 else "loss"
    lines = (
        SumLine(label="Asked, this one included", value=str(known.asked)),
        SumLine(label="Approved, declined, denied", value=f"{known.approved}, {known.declined}, {known.denied}"),
        SumLine(label="Closed: won, lost", value=f"{known.won}, {known.lost}" if closed else "none"),
        SumLine(label="Result after fees", value=f"{result} {known.currency}".strip(), tone=tone),
    )
    return Sheet(
        title=f"{_asker(proposal)}\u2019s record", aside=f"{RECORD_DAYS} days", lines=lines, note=_record_note(known)
    )


def _record_note(known: ProposerRecord) -> str:
    closed = known.won + known.lost
    unknown = f" {known.unknown} more closed at a cost nobody knows." if known.unknown else ""
    if not closed:
        return f"No closed trade yet: that says nothing, good or bad.{unknown}"
    if closed < FEW_TRADES:
        trades = "closed trade is" if closed == 1 else "closed trades are"
        return f"{closed} {trades} too few to tell skill from luck.{unknown}"
    return unknown.strip()


def _ballot(known: Gathered, price: Price, *, is_intact: bool) -> Ballot:
    viewer, votes = known.viewer, known.votes
    has_voted = any(vote.approver_id == viewer.pk and vote.verb != Vote.Verb.REVOKE for vote in votes)
    may_decide = holds(viewer, "decide_proposal")
    is_own = viewer.pk == known.proposal.proposer_id
    why_not = ""
    if known.is_open and is_own:
        why_not = "You, or a key of yours, asked for this. Others decide."
    elif known.is_open and not may_decide:
        why_not = "Your roles do not include deciding. You can watch it here."
    elif known.is_open and has_voted:
        why_not = "Your vote is counted. It can be taken back until the order leaves."
    missing = max(known.needed - known.standing - 1, 0)
    may_vote = known.is_open and not why_not
    lead, rest = page_money.consequence(
        known.rows.terms, known.judgement.quote, is_last=missing == 0, still_needed=missing, is_stale=price.is_stale
    )
    return Ballot(
        have=known.standing,
        needed=known.needed,
        votes=_vote_lines(known, may_vote=may_vote),
        is_open=known.is_open,
        may_vote=may_vote,
        off=_off(known, price, is_intact=is_intact) if may_vote else None,
        why_no_vote=why_not,
        consequence_lead=lead,
        consequence=rest,
    )


def _vote_lines(known: Gathered, *, may_vote: bool) -> tuple[VoteLine, ...]:
    said = {
        Vote.Verb.APPROVE: ("approved", "ok"),
        Vote.Verb.DECLINE: ("declined", "x"),
        Vote.Verb.REVOKE: ("took the approval back", "x"),
    }
    lines = [
        VoteLine(
            who="You" if vote.approver_id == known.viewer.pk else vote.approver.shown_name,
            words=said[Vote.Verb(vote.verb)][0],
            icon=said[Vote.Verb(vote.verb)][1],
            ago=words.ago(vote.created_at, known.now),
            comment=vote.comment,
        )
        for vote in known.votes
    ]
    if may_vote:
        lines.append(VoteLine(who="You", words="have not voted", icon="person"))
    elif not lines:
        lines.append(VoteLine(who="Nobody", words="has voted", icon="person"))
    return tuple(lines)


def _off(known: Gathered, price: Price, *, is_intact: bool) -> Off | None:
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
    if not roles_of(known.viewer) & set(tier.roles):
        roles = words.listed(list(tier.roles), word="or")
        return Off(code="ROLE_NEEDED", sentence=f"Approve is off: this needs somebody with the role {roles}.", help="")
    drift = known.drift
    if drift is None or abs(drift) > tier.drift_bps:
        moved = "not known" if drift is None else f"{words.signed(drift)} bps, and at most {tier.drift_bps:f} may pass"
        help_ = "It comes back by itself if the price does. An approval now would void the proposal."
        return Off(code="DRIFTED", sentence=f"Approve is off: the price has moved {moved}.", help=help_)
    return None


def _failing(evaluation: Evaluation) -> list[RuleLine]:
    return [line for line in evaluation.lines if line.verdict in {LineVerdict.FAIL, LineVerdict.ERROR}]


def _is_about_age(line: RuleLine) -> bool:
    """An old or missing price makes rules doubt that have nothing else against the order."""
    return line.verdict is LineVerdict.ERROR and line.code in {ReasonCode.FACT_STALE, ReasonCode.FACT_MISSING}


def _callout(known: Gathered, price: Price, *, is_intact: bool) -> Callout | None:
    if not is_intact:
        lead = "The stored bytes do not match their digest."
        return Callout(
            kind="stop", icon="stop", lead=lead, text="Somebody or something changed them. Nothing of it is sent."
        )
    decliner = next((vote.approver.shown_name for vote in known.votes if vote.verb == Vote.Verb.DECLINE), "")
    has_voted = any(vote.approver_id == known.viewer.pk and vote.verb == Vote.Verb.APPROVE for vote in known.votes)
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
