"""One proposal from cause to effect: why, numbers, verdict, votes, order, fills, outcome, audit. Oldest first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from apps.approvals.models import Vote
from apps.approvals.selectors import page_follow, page_words
from apps.approvals.selectors.page_gather import may_see
from apps.approvals.selectors.page_values import Statement, SumLine
from apps.audit.selectors import events_of
from apps.common import canonical, words
from apps.common.decimals import parse_decimal
from apps.common.errors import AikaError, NotFound
from apps.connectors.types import Side
from apps.lessons.selectors.recent import remembered_as
from apps.lessons.types import CaseSource
from apps.trades.selectors.orders import offers_cancel
from apps.trades.selectors.pages import PageRows, proposal_rows
from apps.trades.types import OrderState, ProposalState, Terms

if TYPE_CHECKING:
    from apps.accounts.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class FillLine:
    """One execution at the venue."""

    at: str
    quantity: str
    price: str
    fee: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened: when, how long after the one before, what, and what it rested on."""

    at: datetime
    after: str
    dot: str
    icon: str
    title: str
    text: str = ""
    note: str = ""
    quote: str = ""
    lines: tuple[SumLine, ...] = ()
    fills: tuple[FillLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """One audit event."""

    id: int
    at: datetime
    kind: str
    seq: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryPage:
    """The whole story, and the ids of what it touched."""

    id: UUID
    label: str
    state: str
    order_state: str
    environment: str
    side: str
    headline: str
    then: str
    who: str
    figures: tuple[SumLine, ...]
    steps: tuple[Step, ...]
    events: tuple[EventLine, ...]
    statement: Statement
    order_id: UUID | None
    decision_id: UUID | None
    outcome_id: UUID | None
    case_id: UUID | None
    lesson_id: UUID | None
    digest: str
    is_open: bool
    may_cancel: bool


def story_page(*, proposal_id: UUID, viewer: "User", now: datetime) -> StoryPage:
    """Raises NotFound, also for another desk's proposal."""
    rows = proposal_rows(proposal_id)
    if rows is None or not may_see(viewer, rows):
        raise NotFound("PROPOSAL_UNKNOWN", "There is no such proposal at your desk.")
    proposal, terms, order = rows.proposal, rows.terms, rows.order
    outcome_id = rows.outcome.pk if rows.outcome is not None else None
    case_id, lesson_id = (None, None) if outcome_id is None else remembered_as(CaseSource.OUTCOME, str(outcome_id))
    votes = list(Vote.objects.filter(proposal_id=proposal_id).select_related("approver").order_by("created_at"))
    asker = proposal.api_key.name if proposal.api_key is not None else proposal.proposer.shown_name
    whose = f" (key of {proposal.proposer.shown_name})" if proposal.api_key_id else ""
    return StoryPage(
        id=proposal.pk,
        label=proposal.label,
        state=proposal.state,
        order_state=order.state if order is not None else "",
        environment=terms.environment.value,
        side=terms.side.value,
        headline=_headline(rows),
        then=_then(rows, now),
        who=f"{proposal.label}, asked by {asker}{whose} {words.ago(proposal.created_at, now)}",
        figures=_figures(rows),
        steps=_steps(rows, votes, asker, whose),
        events=tuple(
            EventLine(id=event.pk, at=event.recorded_at, kind=event.kind, seq=event.seq, hash=event.hash)
            for event in events_of(str(proposal.pk))
        ),
        statement=Statement(author=asker, text=proposal.rationale, tags=tuple(map(str, proposal.tags))),
        order_id=order.pk if order is not None else None,
        decision_id=proposal.decision_id,
        outcome_id=outcome_id,
        case_id=case_id,
        lesson_id=lesson_id,
        digest=proposal.digest,
        is_open=proposal.state == ProposalState.AWAITING_APPROVAL and now < proposal.expires_at,
        may_cancel=offers_cancel(viewer, order),
    )


def _headline(rows: PageRows) -> str:
    """What follows the side: `0.06 BTC at 66,204.50`, or what was asked."""
    order, terms = rows.order, rows.terms
    if order is not None and order.filled_quantity and order.average_fill_price is not None:
        filled = f"{words.grouped(order.filled_quantity)} {terms.base_currency}"
        return f"{filled} at {words.price(order.average_fill_price)} {terms.quote_currency}"
    return page_words.line(terms)


def _then(rows: PageRows, now: datetime) -> str:
    expired = now >= rows.proposal.expires_at
    ended = page_follow.ending(rows, is_expired=expired, decliner="", has_voted=False)
    if rows.order is None and ended is not None:
        return f"{ended.lead} {ended.text}".strip()
    shown = page_follow.follow(rows)
    if shown is not None:
        return f"{shown.lead.rstrip('.')}. {shown.text}"
    return "It waits for people to decide."


def _figures(rows: PageRows) -> tuple[SumLine, ...]:
    order, outcome, terms = rows.order, rows.outcome, rows.terms
    figures = []
    if outcome is not None:
        tone = "" if not outcome.pnl else "gain" if outcome.pnl > 0 else "loss"
        result = f"{words.result(outcome.pnl)} {outcome.quote_currency}" if outcome.pnl is not None else "not known"
        figures.append(SumLine(label="Result after fees", value=result, tone=tone))
    if order is not None and order.average_fill_price is not None:
        seen = order.authority.seen_price
        worse = page_follow.slippage_bps(terms.side, order.average_fill_price, seen)
        figures.append(SumLine(label="Price seen", value=words.price(seen)))
        verb = "Price paid" if terms.side is Side.BUY else "Price got"
        figures.append(SumLine(label=verb, value=words.price(order.average_fill_price)))
        if worse is not None:
            label = "Better than seen" if worse < 0 else "Worse than seen"
            figures.append(SumLine(label=label, value=f"{words.grouped(abs(worse), places=1)} bps"))
        figures.append(SumLine(label="Fees", value=f"{words.cost(order.fees)} {order.fee_currency}".strip()))
    if rows.fills:
        took = words.seconds_between(rows.proposal.created_at, rows.fills[-1].occurred_at)
        figures.append(SumLine(label="Asked to filled", value=words.span(max(took, Decimal(0)))))
    return tuple(figures)


def _steps(rows: PageRows, votes: Sequence[Vote], asker: str, whose: str) -> tuple[Step, ...]:
    found = [_proposed(rows, asker, whose), _judged(rows), *(_voted(vote, rows) for vote in votes)]
    found += [*_waived(rows), *_ordered(rows), *_cancel_asked(rows), *_filled(rows), *_closed(rows), *_ended(rows)]
    found.sort(key=lambda step: step.at)
    steps, before = [], None
    for step in found:
        steps.append(step if before is None else _after(step, before))
        before = step.at
    return tuple(steps)


def _after(step: Step, before: datetime) -> Step:
    gap = words.seconds_between(before, step.at)
    said = f"{max(int(gap * 1000), 0)} ms" if gap < 1 else words.span(int(gap) if gap >= 10 else gap)
    return replace(step, after=f"after {said}")


def _proposed(rows: PageRows, asker: str, whose: str) -> Step:
    terms = rows.terms
    return Step(
        at=rows.proposal.created_at,
        after="",
        dot="",
        icon="bot" if rows.proposal.api_key_id else "person",
        title=f"Proposed by {asker}{whose}",
        text=f"{terms.side.value.capitalize()} {page_words.line(terms)} on {page_words.venue_name(terms)} "
        f"({terms.environment}).",
        note=f"Digest {rows.proposal.digest[:8]}\u2026{rows.proposal.digest[-8:]}",
    )


def _judged(rows: PageRows) -> Step:
    proposal, decision = rows.proposal, rows.proposal.decision
    denied = proposal.state == ProposalState.DENIED
    people = "one approval" if proposal.needed == 1 else f"{words.count(proposal.needed)} approvals"
    people = people if proposal.needed else "no person\u2019s approval"
    title = "Policy denied it" if denied else f"Policy: needs {people}"
    said = _said(bytes(decision.results))
    return Step(
        at=decision.decided_at,
        after="",
        dot="stop" if denied else "warn",
        icon="scale",
        title=title,
        text=said,
    )


def _said(results: bytes) -> str:
    """The sentences of the rules that did not pass, the remedy, or that all passed."""
    try:
        value = canonical.decode(results)
    except (ValueError, AikaError):
        return "The stored decision cannot be read."
    lines = value.get("lines")
    judged = [line for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
    failing = [str(line.get("message")) for line in judged if line.get("verdict") in {"FAIL", "ERROR"}]
    remedy = value.get("remedy")
    if failing:
        fix = f" {remedy.get('sentence')}" if isinstance(remedy, dict) else ""
        return f"{' '.join(failing)}{fix}"
    passed = sum(line.get("verdict") == "PASS" for line in judged)
    return f"{passed} of {passed} rules passed."


def _waived(rows: PageRows) -> list[Step]:
    """Policy's own approval, where it asked no person."""
    order = rows.order
    if order is None or not order.authority.waiver:
        return []
    return [
        Step(
            at=order.authority.created_at,
            after="",
            dot="warn",
            icon="scale",
            title="Policy approved it",
            text=order.authority.waiver,
            note=f"Digest {order.authority.digest[:8]}\u2026{order.authority.digest[-8:]}",
        )
    ]


def _voted(vote: Vote, rows: PageRows) -> Step:
    verb = {"APPROVE": "approved", "DECLINE": "declined", "REVOKE": "took the approval back"}[vote.verb]
    dot, icon = {"APPROVE": ("ok", "ok"), "DECLINE": ("stop", "x"), "REVOKE": ("warn", "x")}[vote.verb]
    seen = vote.quote if isinstance(vote.quote, dict) else {}
    saw = f"Saw {_shown(seen['bid'])} bid, {_shown(seen['ask'])} ask. " if {"bid", "ask"} <= seen.keys() else ""
    no_comment = "" if vote.comment else "No comment."
    return Step(
        at=vote.created_at,
        after="",
        dot=dot,
        icon=icon,
        title=f"{vote.approver.shown_name} {verb}{', alone: a desk of one' if vote.desk_of_one else ''}",
        text=f"Different this time: \u201c{vote.difference}\u201d" if vote.difference else no_comment,
        quote=vote.comment,
        note=f"{saw}Digest {vote.digest[:8]}\u2026{vote.digest[-8:]}",
    )


def _shown(text: object) -> str:
    try:
        return words.price(parse_decimal(text, field="quote"))
    except AikaError:
        return "unreadable"


def _ordered(rows: PageRows) -> list[Step]:
    order, terms = rows.order, rows.terms
    if order is None or order.submitted_at is None:
        return []
    venue = page_words.venue_name(terms)
    text = ""
    if order.accepted_at is not None:
        took = words.seconds_between(order.submitted_at, order.accepted_at)
        text = f"Accepted after {max(int(took * 1000), 0)} ms."
    return [
        Step(
            at=order.submitted_at,
            after="",
            dot="ok",
            icon="send",
            title=f"Order sent to {venue} ({terms.environment})",
            text=text,
            note=f"Client order id {order.client_order_id}. At the venue: {order.venue_order_id or 'no id yet'}.",
        )
    ]


def _cancel_asked(rows: PageRows) -> list[Step]:
    order = rows.order
    if order is None or order.cancel_requested_at is None:
        return []
    title = f"{order.cancel_requested_by} asked to cancel it"
    text = "Asking is not canceling: how it ended stands below."
    return [
        Step(
            at=order.cancel_requested_at,
            after="",
            dot="warn",
            icon="x",
            title=title,
            text=text,
            quote=order.cancel_reason,
        )
    ]


def _filled(rows: PageRows) -> list[Step]:
    if not rows.fills or rows.order is None:
        return []
    terms, parts = rows.terms, len(rows.fills)
    title = "Filled at once" if parts == 1 else f"Filled in {words.count(parts)} parts"
    return [
        Step(
            at=rows.fills[-1].occurred_at,
            after="",
            dot="ok",
            icon="buy" if terms.side is Side.BUY else "sell",
            title=title if rows.order.state == OrderState.FILLED else title.replace("Filled", "Filled so far"),
            fills=tuple(
                FillLine(
                    at=f"{fill.occurred_at:%H:%M:%S}.{fill.occurred_at.microsecond // 1000:03d}",
                    quantity=words.grouped(fill.quantity),
                    price=words.price(fill.price),
                    fee=words.cost(fill.fee),
                )
                for fill in rows.fills
            ),
            lines=page_follow.paid_lines(rows),
        )
    ]


def _closed(rows: PageRows) -> list[Step]:
    outcome = rows.outcome
    if outcome is None:
        return []
    if outcome.pnl is None:
        title, dot = "Outcome: not known, since part of what was sold has no known cost", "warn"
    else:
        word = "gain" if outcome.pnl > 0 else "loss" if outcome.pnl < 0 else "result"
        title, dot = f"Outcome: a {word} of {words.money(abs(outcome.pnl))} {outcome.quote_currency}", "ok"
        dot = "stop" if outcome.pnl < 0 else "ok"
    return [
        Step(at=outcome.closed_at, after="", dot=dot, icon="scale", title=title, lines=_outcome_lines(rows.terms, rows))
    ]


def _outcome_lines(terms: Terms, rows: PageRows) -> tuple[SumLine, ...]:
    outcome = rows.outcome
    if outcome is None:
        return ()
    entry = words.price(outcome.entry_price) if outcome.entry_price is not None else "not known"
    return (
        SumLine(label="Bought at, on average", value=entry),
        SumLine(label="Sold at", value=words.price(outcome.exit_price)),
        SumLine(label=f"Fees, {outcome.quote_currency}", value=f"{words.MINUS}{words.cost(outcome.fees)}", tone="loss"),
    )


def _ended(rows: PageRows) -> list[Step]:
    """How the proposal ended without an order, or the order without a fill."""
    proposal, order = rows.proposal, rows.order
    if order is not None and order.closed_at is not None and order.state != OrderState.FILLED:
        shown = page_follow.follow(rows)
        title, text = (shown.lead, shown.text) if shown is not None else (order.state, order.reason)
        return [
            Step(at=order.closed_at, after="", dot="stop", icon="x", title=title, text=text, note=order.reason_code)
        ]
    silent = {ProposalState.AWAITING_APPROVAL, ProposalState.APPROVED, ProposalState.DENIED, ProposalState.DECLINED}
    if proposal.ended_at is None or proposal.state in silent:
        return []
    word = {"EXPIRED": "The time ran out", "WITHDRAWN": "The proposer took it back", "VOIDED": "It became void"}
    title = word.get(proposal.state, proposal.state)
    return [Step(at=proposal.ended_at, after="", dot="warn", icon="clock", title=title, text=proposal.end_reason)]
