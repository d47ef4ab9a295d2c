"""Ledgers of trading: everybody with the ledger permission reads them, nobody writes them here."""

from apps.trades.admin import halting, hooks, ledgers, orders, outcomes, proposals, reconciliation

__all__ = ["halting", "hooks", "ledgers", "orders", "outcomes", "proposals", "reconciliation"]
