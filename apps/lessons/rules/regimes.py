"""What kind of market it was, by a rule over candles. A change of the rule is a new version."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from apps.connectors.types import Candle
from apps.lessons.rules import candle_math

REGIME_VERSION: Final = 1
_TREND: Final = Decimal("1.5")
_STRAIGHT: Final = Decimal("0.3")
_WILD: Final = Decimal("0.95")


def regime_of(candles: Sequence[Candle]) -> str:
    """`volatile/1`, `trend_up/1`, `trend_down/1` or `range/1` (the number is the version of the rule) of hours that
    have closed, oldest first; empty with fewer than three days of them.

    Volatile: the last day is among the wildest twentieth of the week. A trend: the last close lies 1.5 average true
    ranges from the mean of 48 hours, and the last 24 hours went there at least three tenths of their way.
    """
    wild = candle_math.volatility_percentile(candles)
    trend, straight = candle_math.trend(candles), candle_math.efficiency(candles)
    if wild is None or trend is None or straight is None:
        return ""
    if wild > _WILD:
        return f"volatile/{REGIME_VERSION}"
    if abs(trend) >= _TREND and straight >= _STRAIGHT:
        return f"{'trend_up' if trend > 0 else 'trend_down'}/{REGIME_VERSION}"
    return f"range/{REGIME_VERSION}"
