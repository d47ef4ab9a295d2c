"""Reads for the pages of people: one proposal with what hangs on it, a proposer's record, what moved last."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Count, Min, Q, QuerySet

from apps.common import words
from apps.common.money import total
from apps.trades.models import Fill, Order, Outcome, Position, Proposal
from apps.trades.rules.terms import read_terms
from apps.trades.types import LIVE_ORDER_STATES, OrderState, ProposalState, Terms

OUTCOMES_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposerRecord:
    """What one proposer asked since a day, and what came of it. `result` is after fees, where all costs are known."""

    asked: int
    approved: int
    declined: int
    denied: int
    won: int
    lost: int
    unknown: int
    result: Decimal | None
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRows:
    """The rows behind the page of one proposal, in the order in which they came about."""

    proposal: Proposal
    terms: Terms
    order: Order | None
    fills: tuple[Fill, ...]
    outcome: Outcome | None


def proposal_rows(proposal_id: UUID) -> PageRows | None:
    """A proposal with its terms (read from the frozen bytes), its order, fills and outcome."""
    related = ("connection__desk", "decision", "known_then", "proposer", "api_key")
    proposal = Proposal.objects.select_related(*related).filter(pk=proposal_id).first()
    if proposal is None:
        return None
    order, fills, outcome = rows_of(proposal)
    return PageRows(
        proposal=proposal, terms=read_terms(bytes(proposal.terms)), order=order, fills=fills, outcome=outcome
    )


def rows_of(proposal: Proposal) -> tuple[Order | None, tuple[Fill, ...], Outcome | None]:
    """The newest order of a proposal, its fills oldest first, and what it closed: three queries."""
    rows = Order.objects.select_related("authority__policy_version").filter(proposal_id=proposal.pk)
    order = rows.order_by("-attempt").first()
    if order is None:
        return None, (), None
    return order, tuple(order.fills.order_by("occurred_at")), Outcome.objects.filter(order=order).first()


def frozen_terms(proposal: Proposal) -> Terms:
    """The terms that stand in a proposal's bytes, whatever its columns say."""
    return read_terms(bytes(proposal.terms))


def record_of(*, proposer_id: UUID, api_key_id: UUID | None, since: datetime) -> ProposerRecord:
    """What a person (by hand), or one key of theirs, asked since `since`, and how their closed trades ended."""
    whose = Q(proposer_id=proposer_id, api_key_id=api_key_id)
    # Rows and not their ids are counted: the index holds all that is asked for.
    states = dict(
        Proposal.objects.filter(whose, created_at__gte=since).values_list("state").annotate(rows=Count("*")).order_by()
    )
    closed = Outcome.objects.filter(
        order__proposal__proposer_id=proposer_id, order__proposal__api_key_id=api_key_id, closed_at__gte=since
    ).order_by("-closed_at")
    known = list(closed.values_list("pnl", "quote_currency")[:OUTCOMES_MAX])
    currencies = {currency for _, currency in known}
    results = [pnl for pnl, _ in known if pnl is not None]
    return ProposerRecord(
        asked=sum(states.values()),
        approved=states.get(ProposalState.APPROVED, 0),
        declined=states.get(ProposalState.DECLINED, 0),
        denied=states.get(ProposalState.DENIED, 0),
        won=sum(pnl > 0 for pnl in results),
        lost=sum(pnl < 0 for pnl in results),
        unknown=len(known) - len(results),
        result=total(results) if results and len(currencies) == 1 else None,
        currency=currencies.pop() if len(currencies) == 1 else "",
    )


def recent_proposals(*, connection_ids: tuple[UUID, ...] | None, limit: int) -> list[Proposal]:
    """The proposals that moved last and no longer wait, with their orders' states."""
    rows = Proposal.objects.exclude(state=ProposalState.AWAITING_APPROVAL).select_related("connection", "proposer")
    if connection_ids is not None:
        rows = rows.filter(connection__in=connection_ids)
    return list(rows.prefetch_related("orders").order_by("-ended_at")[:limit])


def waiting_proposals(*, connection_ids: tuple[UUID, ...] | None, now: datetime, limit: int) -> list[Proposal]:
    """Proposals that people may still decide, newest first; past their time they no longer wait."""
    rows = _waiting(connection_ids, now).select_related("proposer", "api_key", "decision")
    return list(rows.order_by("-created_at")[:limit])


def waiting_total(*, connection_ids: tuple[UUID, ...] | None, now: datetime) -> tuple[int, datetime | None]:
    """How many wait, and since when the oldest of them does."""
    found = _waiting(connection_ids, now).aggregate(count=Count("pk"), oldest=Min("created_at"))
    return found["count"], found["oldest"]


def _waiting(connection_ids: tuple[UUID, ...] | None, now: datetime) -> QuerySet[Proposal]:
    rows = Proposal.objects.filter(state=ProposalState.AWAITING_APPROVAL, expires_at__gt=now)
    return rows if connection_ids is None else rows.filter(connection__in=connection_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What stands on the desk's index, over the connections looked at."""

    live_orders: int
    unknown_orders: int
    oldest_live_at: datetime | None
    positions: int
    denied_last_hour: int
    proposals_30_days: int
    outcomes_30_days: int


def counts(*, connection_ids: tuple[UUID, ...] | None, now: datetime) -> Counts:
    """The figures of the index in six queries."""
    desk = Q() if connection_ids is None else Q(connection__in=connection_ids)
    live = Order.objects.filter(desk, state__in=LIVE_ORDER_STATES)
    hour, month = now - timedelta(hours=1), now - timedelta(days=30)
    totals = live.aggregate(
        count=Count("pk"), unknown=Count("pk", filter=Q(state=OrderState.UNKNOWN)), oldest=Min("created_at")
    )
    asked = Proposal.objects.filter(desk, created_at__gte=month).aggregate(
        count=Count("pk"), denied=Count("pk", filter=Q(state=ProposalState.DENIED, created_at__gte=hour))
    )
    return Counts(
        live_orders=totals["count"],
        unknown_orders=totals["unknown"],
        oldest_live_at=totals["oldest"],
        positions=sum(bool(row.quantity) for row in Position.objects.filter(desk).only("quantity")),
        denied_last_hour=asked["denied"],
        proposals_30_days=asked["count"],
        outcomes_30_days=Outcome.objects.filter(desk, closed_at__gte=month).count(),
    )


def short_line(row: Proposal) -> str:
    """`Buy 0.05 BTC-USD`, from the row's columns: for lists of what is over."""
    size = f"{words.grouped(row.quantity)} " if row.quantity is not None else ""
    spent = f" for {words.money(row.quote_quantity)} {row.quote_currency}" if row.quote_quantity is not None else ""
    return f"{row.side.capitalize()} {size}{row.instrument}{spent}"
