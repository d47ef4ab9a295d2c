"""What would pass instead: the nearest size on the venue's grid that all rules together let through.

Found by asking the whole policy again about other sizes, so it cannot disagree with it. Bounded: a size is at most 38
digits, and each step halves what is left.
"""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, localcontext

from apps.common.decimals import decimal_text
from apps.common.words import grouped
from apps.policies.rules.case import Case
from apps.policies.rules.compiled import Compiled
from apps.policies.rules.finding import Doubt
from apps.policies.rules.judge import Judgement, judge
from apps.policies.rules.reading import EXACT
from apps.policies.types import Ask, ReasonCode, Remedy

_STEPS_MAX = 140
_REASONS_MAX = 3

# Denials that a smaller size may lift, and those that a larger one may. Any other stands whatever the size is.
_TOO_MUCH = frozenset(
    {
        ReasonCode.QUANTITY_ABOVE_VENUE_MAX,
        ReasonCode.NOTIONAL_ABOVE_VENUE_MAX,
        ReasonCode.MAX_ORDER_QUANTITY,
        ReasonCode.MAX_ORDER_NOTIONAL,
        ReasonCode.MAX_POSITION,
        ReasonCode.MAX_GROSS_EXPOSURE,
        ReasonCode.DAILY_NOTIONAL,
        ReasonCode.FUNDS_INSUFFICIENT,
        ReasonCode.ONLY_REDUCING,
        ReasonCode.DAILY_LOSS,
        ReasonCode.DAILY_LOSS_LATCHED,
        ReasonCode.DRAWDOWN,
        ReasonCode.DRAWDOWN_LATCHED,
        ReasonCode.NO_APPROVAL_RULE,
        ReasonCode.AMOUNT_OVERFLOW,
    }
)
_TOO_LITTLE = frozenset(
    {ReasonCode.QUANTITY_BELOW_VENUE_MIN, ReasonCode.NOTIONAL_BELOW_VENUE_MIN, ReasonCode.MIN_NOTIONAL}
)
_GRID = frozenset({ReasonCode.QUANTITY_OFF_INCREMENT})


class _Grid:
    """The ask at other sizes, counted in increments."""

    def __init__(self, compiled: Compiled, case: Case, approval_may_be_waived: bool) -> None:
        ask, instrument = case.ask, case.instrument
        if ask.quantity is not None:
            self.field, self.unit, self.step, size = (
                "quantity",
                ask.base_currency,
                instrument.quantity_increment,
                ask.quantity,
            )
        else:
            assert ask.quote_quantity is not None  # noqa: S101  the terms are whole, or the ask was beyond remedy
            self.field, self.unit, self.step, size = (
                "quote_quantity",
                ask.quote_currency,
                instrument.quote_increment,
                ask.quote_quantity,
            )
        self.asked = int(size // self.step)
        self._compiled, self._case, self._waived = compiled, case, approval_may_be_waived
        self.codes: dict[int, frozenset[ReasonCode]] = {}

    def size(self, count: int) -> Decimal:
        return EXACT.multiply(Decimal(count), self.step)

    def resized(self, count: int) -> Ask:
        if self.field == "quantity":
            return replace(self._case.ask, quantity=self.size(count))
        return replace(self._case.ask, quote_quantity=self.size(count))

    def denials(self, count: int) -> frozenset[ReasonCode]:
        if count not in self.codes:
            judgement = judge(self._compiled, self._case.resized(self.resized(count)), self._waived)
            self.codes[count] = frozenset(judgement.codes)
        return self.codes[count]


def find(compiled: Compiled | None, case: Case, judgement: Judgement, approval_may_be_waived: bool) -> Remedy:
    """The remedy of a denial."""
    stuck = [code for code in judgement.codes if code not in _TOO_MUCH | _TOO_LITTLE | _GRID]
    if compiled is None or stuck:
        return _none(stuck or list(judgement.codes))
    try:
        with localcontext(EXACT):
            grid = _Grid(compiled, case, approval_may_be_waived)
    except Doubt as doubt:
        return _none([doubt.code])
    if grid.asked and grid.denials(grid.asked) <= _TOO_LITTLE and grid.denials(grid.asked):
        return _more(grid)
    return _less(grid) if grid.asked else _more(grid)


def _less(grid: _Grid) -> Remedy:
    count = _last(lambda n: not grid.denials(n) & _TOO_MUCH, grid.asked)
    if count and not grid.denials(count):
        return _found(grid, count, "at_most", "{} would pass.")
    return _no_size(grid, count)


def _more(grid: _Grid) -> Remedy:
    high = max(grid.asked, 1)
    for _ in range(_STEPS_MAX):
        if not grid.denials(high) & _TOO_LITTLE or grid.denials(high) & _TOO_MUCH:
            break
        high *= 2
    count = _last(lambda n: bool(grid.denials(n) & _TOO_LITTLE), high) + 1
    if not grid.denials(count):
        return _found(grid, count, "at_least", "At least {} would pass.")
    return _no_size(grid, count)


def _last(holds: Callable[[int], bool], high: int) -> int:
    """The largest count up to `high` for which `holds`, given that it holds up to some count and not beyond; else 0."""
    if holds(high):
        return high
    low = 0
    for _ in range(_STEPS_MAX):
        if high - low <= 1:
            break
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _found(grid: _Grid, count: int, bound: str, words: str) -> Remedy:
    value = Decimal(decimal_text(grid.size(count)))
    with localcontext(EXACT):
        shown = grouped(value)
    return Remedy(grid.field, value, bound, words.format(f"{shown} {grid.unit}"))


def _no_size(grid: _Grid, count: int) -> Remedy:
    return _none(sorted(grid.denials(max(count, 1))))


def _none(codes: list[ReasonCode]) -> Remedy:
    why = " ".join(code.sentence for code in codes[:_REASONS_MAX])
    return Remedy(None, None, "none", f"No other size would pass. {why}".rstrip())
