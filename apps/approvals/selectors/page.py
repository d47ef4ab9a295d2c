"""The decision page of one proposal: what its frozen bytes say, what policy says of them now, who said what."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

from apps.approvals.selectors import page_follow, page_lessons, page_money, page_rules, page_words
from apps.approvals.selectors.page_ballot import ballot_of, callout_of
from apps.approvals.selectors.page_gather import Gathered, gather
from apps.approvals.selectors.page_values import (
    Change,
    DecisionPage,
    Lessons,
    Price,
    Rules,
    Sentence,
    Sheet,
    Statement,
    SumLine,
    Tile,
)
from apps.approvals.types import tier_text
from apps.common import words
from apps.connectors.types import Quote
from apps.policies.types import RuleKind
from apps.trades.selectors.orders import offers_cancel
from apps.trades.selectors.pages import ProposerRecord, record_of

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.trades.models import Proposal

RECORD_DAYS: Final = 30
FEW_TRADES: Final = 30
Sign = Callable[[Quote], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a person weighs: the sentence, the four answers, limits, rules and costs."""

    sentence: Sentence
    tiles: tuple[Tile, ...]
    changes: tuple[Change, ...]
    rules: Rules
    costs: Sheet | None
    gobar: str


def decision_page(
    *, proposal_id: UUID, viewer: "User", now: datetime, sign: Sign, recall: page_lessons.Recall | None = None
) -> DecisionPage:
    """The page for one person at `now`; `sign` makes the token of the quote shown, `recall` asks the memory. Without it
    the page has no lessons and no record of the proposer: its live numbers need neither. Raises NotFound."""
    known = gather(proposal_id=proposal_id, viewer=viewer, now=now)
    proposal, terms, tier = known.proposal, known.rows.terms, known.tier
    price = _price(known, sign)
    sent = page_words.sent(
        terms,
        raw=bytes(proposal.terms),
        digest=proposal.digest,
        request=bytes(proposal.request_body),
        request_digest=proposal.request_digest,
    )
    lessons = page_lessons.lessons_of(known, recall) if recall is not None else None
    evidence = _evidence(known, price, lessons)
    seconds_left = int(max(words.seconds_between(now, proposal.expires_at), Decimal(0)))
    return DecisionPage(
        id=proposal.pk,
        label=proposal.label,
        state=proposal.state,
        environment=terms.environment.value,
        now=now,
        sentence=evidence.sentence,
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
        ballot=ballot_of(known, price, is_intact=sent.is_intact),
        tiles=evidence.tiles,
        changes=evidence.changes,
        rules=evidence.rules,
        costs=evidence.costs,
        record=_record(proposal, now) if recall is not None else None,
        sent=sent,
        statement=_statement(proposal),
        version=_version(known, price),
        policy_version=known.judgement.version_id,
        tier=tier_text(tier) if tier is not None else "",
        callout=callout_of(known, price, is_intact=sent.is_intact),
        follow=page_follow.follow(known.rows, may_cancel=offers_cancel(known.viewer, known.rows.order)),
        lessons=lessons,
        gobar=evidence.gobar,
    )


def _price(known: Gathered, sign: Sign) -> Price:
    quote = known.judgement.quote
    return page_money.price_now(
        known.rows.terms,
        quote,
        bound_s=page_money.age_bound_s(known.judgement.evaluation, known.tier),
        signed=sign(quote) if quote is not None and known.is_open else "",
        now=known.now,
    )


def _evidence(known: Gathered, price: Price, lessons: Lessons | None) -> Evidence:
    terms, judged = known.rows.terms, known.judgement
    evaluation, is_stale = judged.evaluation, known.is_open and price.is_stale
    worst = page_money.worst_of(terms, evaluation, judged.facts)
    changes = page_rules.changes(evaluation, terms, judged.facts, quantity=worst.quantity, is_stale=is_stale)
    drift = page_money.drift_tile(
        terms,
        drift=known.drift,
        bound=known.tier.drift_bps if known.tier is not None else None,
        price=price,
        asked_mid=known.asked_mid,
    )
    tiles = (
        drift,
        page_money.loss_tile(terms, worst, judged.quote, is_stale=is_stale),
        page_rules.tight_tile(evaluation, terms, changes, is_stale=is_stale),
        *([lessons.tile] if lessons is not None else ()),
    )
    drifted = f"drift {drift.answer} {drift.unit.removesuffix(' bps')}"
    return Evidence(
        sentence=page_words.sentence(terms, worst_price=worst.price, fee=worst.fee),
        tiles=tiles if known.is_open else (),
        changes=changes if known.is_open else (),
        rules=page_rules.rules(evaluation, terms, note=judged.note, is_now=known.is_open, is_stale=is_stale),
        costs=page_money.costs(terms, worst) if known.is_open else None,
        gobar=f"price {price.age} old" if price.is_stale and price.age else drifted,
    )


def _until(instant: datetime, now: datetime) -> str:
    return words.clock(instant) if instant - now < timedelta(hours=12) else words.moment(instant, now)


def _asker(proposal: "Proposal") -> str:
    return proposal.api_key.name if proposal.api_key is not None else proposal.proposer.shown_name


def _version(known: Gathered, price: Price) -> str:
    """Names everything a click could have moved: when it differs, the page is drawn again."""
    order, tier = known.rows.order, known.tier
    parts = [known.proposal.state, str(known.is_open), str(len(known.votes)), str(price.is_stale and known.is_open)]
    if order is not None:
        parts += [order.state, str(order.filled_quantity), str(order.average_fill_price)]
        parts += [str(order.cancel_requested_at), order.reason_code]
    parts += [known.judgement.version_id, tier_text(tier) if tier else ""]
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
