"""What balances are worth, and the highest worth they are measured against. All pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from typing import Final

ZERO: Final = Decimal(0)
_UP: Final = Context(prec=60, rounding=ROUND_CEILING)
_STEP: Final = Decimal(1).scaleb(-8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is held by currency, what it is worth in the reporting currency, and the highest that ever was."""

    totals: Mapping[str, Decimal]
    equity: Decimal
    peak: Decimal


def worth(totals: Mapping[str, Decimal], prices: Mapping[str, Decimal]) -> Decimal | None:
    """The totals at these prices (reporting currency per unit); None where a currency that is held has none."""
    total = ZERO
    for currency, held in totals.items():
        if held:
            price = prices.get(currency)
            if price is None:
                return None
            total += held * price
    return total


def measured(
    before: Measure | None, *, totals: Mapping[str, Decimal], prices: Mapping[str, Decimal], quiet: bool
) -> Measure | None:
    """The next measure; None where something held has no price.

    The peak only rises. `quiet` says that nothing of ours can have changed the totals since the measure before: then a
    change of them is money that came or went, and the peak moves along in proportion. Rounded up, so that rounding
    never hides a fall.
    """
    equity = worth(totals, prices)
    if equity is None:
        return None
    if before is None:
        return Measure(totals=totals, equity=equity, peak=_rounded_up(equity))
    peak = before.peak
    if quiet and dict(totals) != dict(before.totals):
        kept = worth(before.totals, prices)  # what it would be worth now if nothing had come or gone
        if kept is not None and kept > ZERO and equity > ZERO:
            peak = _UP.divide(_UP.multiply(peak, equity), kept)
    return Measure(totals=totals, equity=equity, peak=_rounded_up(max(peak, equity)))


def _rounded_up(value: Decimal) -> Decimal:
    return value.quantize(_STEP, ROUND_CEILING, context=_UP)
