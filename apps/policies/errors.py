"""Errors of policy beyond those every app shares."""

from apps.common.errors import Denied


class BudgetExhausted(Denied):
    """A budget has no room for the order. Nothing was reserved; the numbers are in `details`, in the budget's unit."""
