"""What candles say: range, trend, noise. All None where there are too few of them."""

from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import Final

from apps.connectors.types import Candle, Side

ATR_BARS: Final = 14
RANGE_BARS: Final = 20
TREND_BARS: Final = 48
PATH_BARS: Final = 24
VOL_BARS: Final = 24
VOL_HISTORY_MIN: Final = 72
ZERO: Final = Decimal(0)


def atr(candles: Sequence[Candle], bars: int = ATR_BARS) -> Decimal | None:
    """The average true range of the last `bars` candles, in price; None with fewer than one more, or where nothing
    moved."""
    if len(candles) <= bars:
        return None
    tail = candles[-bars - 1 :]
    ranges = [
        max(one.high - one.low, abs(one.high - before.close), abs(one.low - before.close))
        for before, one in zip(tail, tail[1:], strict=False)
    ]
    return sum(ranges, ZERO) / bars or None


def reach(candles: Sequence[Candle], side: Side, bars: int = RANGE_BARS) -> Decimal | None:
    """The far edge of the last `bars` candles for an entry on this side: their high for a buy, their low for a sell."""
    if len(candles) < bars:
        return None
    tail = candles[-bars:]
    return max(one.high for one in tail) if side is Side.BUY else min(one.low for one in tail)


def trend(candles: Sequence[Candle], bars: int = TREND_BARS) -> Decimal | None:
    """How far the last close lies above the mean of the last `bars` closes, in average true ranges; negative below."""
    width = atr(candles)
    if width is None or len(candles) < bars:
        return None
    closes = [one.close for one in candles[-bars:]]
    return (closes[-1] - sum(closes, ZERO) / bars) / width


def efficiency(candles: Sequence[Candle], bars: int = PATH_BARS) -> Decimal | None:
    """How straight the way of the last `bars` closes was: 1 is a line, 0 came back to where it began."""
    if len(candles) <= bars:
        return None
    closes = [one.close for one in candles[-bars - 1 :]]
    path = sum((abs(b - a) for a, b in zip(closes, closes[1:], strict=False)), ZERO)
    return abs(closes[-1] - closes[0]) / path if path else None


def volatility_percentile(candles: Sequence[Candle], bars: int = VOL_BARS) -> Decimal | None:
    """Where the variance of the last `bars` relative changes stands among those of every earlier window as long: 1 is
    the highest seen."""
    if len(candles) < VOL_HISTORY_MIN or any(one.close <= 0 for one in candles):
        return None
    closes = [one.close for one in candles]
    squares = [((b - a) / a) ** 2 for a, b in zip(closes, closes[1:], strict=False)]
    sums, running = [ZERO], ZERO
    for square in squares:
        running += square
        sums.append(running)
    windows = [sums[end] - sums[end - bars] for end in range(bars, len(sums))]
    last = windows[-1]
    return Decimal(sum(one <= last for one in windows)) / len(windows)


def volatility(candles: Sequence[Candle], bars: int = VOL_BARS) -> Decimal | None:
    """The root of the mean square of the last `bars` relative changes of closes, as a fraction."""
    if len(candles) <= bars or any(one.close <= 0 for one in candles):
        return None
    closes = [one.close for one in candles[-bars - 1 :]]
    with localcontext() as context:
        context.prec = 28
        mean = sum((((b - a) / a) ** 2 for a, b in zip(closes, closes[1:], strict=False)), ZERO) / bars
        return mean.sqrt()
