"""Rows of a trade's life as plain records: texts, small integers and flags, as the API says them.

Decimals are in normal form, instants in UTC with six digits. Terms are read from the frozen bytes, never from columns.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from apps.common import canonical
from apps.common.decimals import decimal_text, instant_text
from apps.common.money import floor_to, product
from apps.lessons.rules import kept_facts
from apps.quotes.selectors.records import quote_record
from apps.quotes.types import is_stale
from apps.trades.models import Fill, Order, Outcome, Position, Proposal, ProposalFacts
from apps.trades.types import ProposalState

if TYPE_CHECKING:
    from apps.connectors.types import Quote
    from apps.policies.models import Decision
    from apps.policies.types import Evaluation

Record = dict[str, Any]
ROOT: Final = "/api/v1"
# Where people look at a proposal: config/urls.py puts the pages of approvals there, a test holds the two together.
PAGES: Final = "/admin/decide"
_PLACES: Final = Decimal("0.00000001")


def number(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def rounded_text(value: Decimal) -> str:
    """A figure to look at, at one decimal: nothing is decided on it."""
    return decimal_text(value.quantize(Decimal("0.1")))


def instant(value: datetime | None) -> str | None:
    return None if value is None else instant_text(value)


def identity(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def state_at(proposal: Proposal, now: datetime) -> str:
    """The state by the clock: a proposal whose time ran out is EXPIRED, also before a sweep has written that down."""
    if proposal.state == ProposalState.AWAITING_APPROVAL and now >= proposal.expires_at:
        return ProposalState.EXPIRED.value
    return str(proposal.state)


def proposal_record(proposal: Proposal, *, now: datetime) -> Record:
    """A proposal with the decision that was made of it. Reads `decision` and `known_then`: load them with the row."""
    link = f"{ROOT}/trades/proposals/{proposal.pk}"
    return {
        "id": str(proposal.pk),
        "label": proposal.label,
        "state": state_at(proposal, now),
        "end_code": proposal.end_code,
        "end_reason": proposal.end_reason,
        "digest": proposal.digest,
        "terms": canonical.decode(bytes(proposal.terms)),
        "client_order_id": str(proposal.client_order_id),
        "rationale": proposal.rationale,
        "confidence": number(proposal.confidence),
        "tags": proposal.tags,
        **_known_record(proposal),
        "supersedes": identity(proposal.supersedes_id),
        "created_at": instant_text(proposal.created_at),
        "expires_at": instant_text(proposal.expires_at),
        "ended_at": instant(proposal.ended_at),
        "decision": decision_record(proposal.decision),
        "links": {"self": link, "withdraw": f"{link}/withdraw", "page": f"{PAGES}/{proposal.pk}/"},
    }


def _known_record(proposal: Proposal) -> Record:
    """The plan it came with and what was known when it was judged; null for one from before that was kept."""
    try:
        known = proposal.known_then
    except ProposalFacts.DoesNotExist:
        return {"plan": None, "facts": None}
    plan = {
        "setup": known.setup,
        "entry": number(known.entry),
        "stop": number(known.stop),
        "target": number(known.target),
    }
    return {"plan": plan, "facts": kept_facts.shown(known.facts)}


def decision_record(decision: "Decision") -> Record:
    """What policy said, from its stored bytes."""
    results = canonical.decode(bytes(decision.results))
    return {
        "id": str(decision.pk),
        "decided_at": instant_text(decision.decided_at),
        **said(results, version_id=decision.version_id),
    }


def said(results: Record, *, version_id: object) -> Record:
    """The results of an evaluation, without what only a replay needs."""
    return {
        "outcome": results["outcome"],
        "policy_version": None if version_id is None else str(version_id),
        "codes": results["codes"],
        "lines": results["lines"],
        "tier": None if results["tier"] is None else {"second_factor": False, "difference": False, **results["tier"]},
        "remedy": results["remedy"],
        "notional": results["notional"],
        "worst_price": results["worst_price"],
    }


def evaluation_record(evaluation: "Evaluation", *, version_id: str | None) -> Record:
    """The same of an evaluation that is stored nowhere."""
    tier, remedy = evaluation.tier, evaluation.remedy
    return {
        "outcome": evaluation.outcome.value,
        "policy_version": version_id,
        "codes": list(evaluation.codes),
        "lines": [line._asdict() for line in evaluation.lines],
        "tier": None
        if tier is None
        else {
            "needed": tier.needed,
            "roles": list(tier.roles),
            "drift_bps": decimal_text(tier.drift_bps),
            "quote_age_s": tier.quote_age_s,
            "second_factor": tier.second_factor,
            "difference": tier.difference,
        },
        "remedy": None
        if remedy is None
        else {
            "field": remedy.field,
            "value": number(remedy.value),
            "bound": remedy.bound,
            "sentence": remedy.sentence,
        },
        "notional": number(evaluation.notional),
        "worst_price": number(evaluation.worst_price),
    }


def order_record(order: Order) -> Record:
    return {
        "id": str(order.pk),
        "attempt": order.attempt,
        "state": order.state,
        "client_order_id": str(order.client_order_id),
        "venue_order_id": order.venue_order_id,
        "quantity": decimal_text(order.quantity),
        "worst_price": decimal_text(order.worst_price),
        "filled_quantity": decimal_text(order.filled_quantity),
        "average_fill_price": number(order.average_fill_price),
        "fees": decimal_text(order.fees),
        "fee_currency": order.fee_currency,
        "reason_code": order.reason_code,
        "reason": order.reason,
        "created_at": instant_text(order.created_at),
        "submitted_at": instant(order.submitted_at),
        "accepted_at": instant(order.accepted_at),
        "cancel_requested_at": instant(order.cancel_requested_at),
        "cancel_requested_by": order.cancel_requested_by,
        "closed_at": instant(order.closed_at),
        "links": {"cancel": f"{ROOT}/trades/orders/{order.pk}/cancel"},
    }


def fill_records(fills: Iterable[Fill]) -> list[Record]:
    return [
        {
            "id": str(fill.pk),
            "venue_fill_id": fill.venue_fill_id,
            "trade_type": fill.trade_type,
            "side": fill.side,
            "quantity": decimal_text(fill.quantity),
            "price": decimal_text(fill.price),
            "fee": decimal_text(fill.fee),
            "fee_currency": fill.fee_currency,
            "liquidity": fill.liquidity,
            "occurred_at": instant_text(fill.occurred_at),
        }
        for fill in fills
    ]


def outcome_record(outcome: Outcome) -> Record:
    """P&L is null where the cost of what was sold is not known."""
    return {
        "id": str(outcome.pk),
        "quantity": decimal_text(outcome.quantity),
        "entry_price": number(outcome.entry_price),
        "exit_price": decimal_text(outcome.exit_price),
        "pnl": number(outcome.pnl),
        "fees": decimal_text(outcome.fees),
        "quote_currency": outcome.quote_currency,
        "opened_at": None if outcome.opened_at is None else instant_text(outcome.opened_at),
        "closed_at": instant_text(outcome.closed_at),
    }


def position_record(position: Position, *, connection: str, quote: "Quote | None", now: datetime) -> Record:
    """A position, marked at the middle of the quote where one is kept; its age stands beside it. Nothing follows from a
    stale one, here as on the pages."""
    entry = position.average_entry_price
    unrealized = None
    if quote is not None and entry is not None and not is_stale(quote.received_at, now):
        unrealized = floor_to(product(position.quantity, quote.mid - entry), _PLACES)
    return {
        "connection": connection,
        "instrument": position.instrument,
        "base_currency": position.base_currency,
        "quote_currency": position.quote_currency,
        "quantity": decimal_text(position.quantity),
        "average_entry_price": number(entry),
        "open_fees": decimal_text(position.open_fees),
        "realized_pnl": decimal_text(position.realized_pnl),
        "unrealized_pnl": number(unrealized),
        "mark": None if quote is None else quote_record(quote, now=now),
        "updated_at": instant_text(position.updated_at),
    }
