"""Rows of trades: the life of a trade, what was compared with the venue, and what a halt cleared there."""

from apps.trades.models.halting import HaltClearing
from apps.trades.models.hooks import Hook, HookCall
from apps.trades.models.marks import EquityMark
from apps.trades.models.outcomes import ProposalFacts, ReportedOutcome
from apps.trades.models.reconciliation import Difference, Inquiry, ReconciliationRun
from apps.trades.models.trade import (
    Authority,
    Fill,
    Order,
    OrderQuerySet,
    Outcome,
    Position,
    Proposal,
    ProposalQuerySet,
)

__all__ = [
    "Authority",
    "Difference",
    "EquityMark",
    "Fill",
    "HaltClearing",
    "Hook",
    "HookCall",
    "Inquiry",
    "Order",
    "OrderQuerySet",
    "Outcome",
    "Position",
    "Proposal",
    "ProposalFacts",
    "ProposalQuerySet",
    "ReconciliationRun",
    "ReportedOutcome",
]
