"""Policy in the admin: sets and their versions, decisions on record, the trading state and its latches."""

from apps.policies.admin.budgets import BudgetAdmin, ReservationAdmin
from apps.policies.admin.decisions import DecisionAdmin
from apps.policies.admin.latches import LatchAdmin
from apps.policies.admin.sets import PolicySetAdmin
from apps.policies.admin.trading import TradingStateAdmin
from apps.policies.admin.versions import PolicyVersionAdmin

__all__ = [
    "BudgetAdmin",
    "DecisionAdmin",
    "LatchAdmin",
    "PolicySetAdmin",
    "PolicyVersionAdmin",
    "ReservationAdmin",
    "TradingStateAdmin",
]
