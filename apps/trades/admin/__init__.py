"""Ledgers of trading: everybody with the ledger permission reads them, nobody writes them here."""

from apps.trades.admin import ledgers, orders, proposals, reconciliation

__all__ = ["ledgers", "orders", "proposals", "reconciliation"]
