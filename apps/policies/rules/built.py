"""What a rule becomes when its parameters are read."""

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from apps.policies.rules.case import Case
from apps.policies.rules.finding import Finding
from apps.policies.types import Ask, FactSpec

Check = Callable[[Case, tuple[str, ...]], Finding]
Specs = Callable[[Ask], tuple[FactSpec, ...]]


def no_facts(ask: Ask) -> tuple[FactSpec, ...]:
    """Nothing beyond what every evaluation reads."""
    return ()


class Built(NamedTuple):
    """A check, the facts it reads beyond the common ones, and the bound it puts on market orders, if it does.

    The check is given the keys of those facts, in the order of `specs`.
    """

    check: Check
    specs: Specs = no_facts
    market_slippage_bps: Decimal | None = None
