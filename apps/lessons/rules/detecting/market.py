"""What candles, quote and clock say of a proposal."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from apps.connectors.types import Side
from apps.lessons.rules import candle_math
from apps.lessons.rules.scene import Scene

# Where markets close for the week, they do at this hour (UTC) of Friday, and open at this one of Sunday.
WEEK_CLOSES_HOUR: Final = 21
WEEK_OPENS_HOUR: Final = 21
LOSS_WINDOW: Final = timedelta(days=7)
_FRIDAY, _SUNDAY = 4, 6
ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)


def with_trend(scene: Scene) -> Decimal | None:
    """The trend of the last 48 hours in average true ranges, positive where the entry goes with it."""
    found = None if scene.reduces else candle_math.trend(scene.candles)
    return None if found is None else scene.sign * found


def chase(scene: Scene) -> Decimal | None:
    """How far the entry lies beyond the edge of the last 20 hours, in average true ranges; negative inside of it."""
    width, edge = candle_math.atr(scene.candles), candle_math.reach(scene.candles, scene.side)
    if scene.reduces or width is None or edge is None or scene.price is None:
        return None
    return scene.sign * (scene.price - edge) / width


def bar_closed(scene: Scene) -> Decimal | None:
    """Where the entry breaks out of the 20 hours before the last one: 1 if that last hour closed beyond them too, 0 if
    it did not. Where nothing is broken out of, there is nothing to confirm."""
    edge = candle_math.reach(scene.candles[:-1], scene.side)
    if scene.reduces or edge is None or scene.price is None or scene.sign * (scene.price - edge) <= 0:
        return None
    return ONE if scene.sign * (scene.candles[-1].close - edge) > 0 else ZERO


def breakout_in_noise(scene: Scene) -> Decimal | None:
    """Where the entry breaks out: how straight the way of the last 24 hours was, from 0 to 1."""
    beyond = chase(scene)
    return candle_math.efficiency(scene.candles) if beyond is not None and beyond > 0 else None


def volatility_percentile(scene: Scene) -> Decimal | None:
    """Where the volatility of the last day stands among the days of the week before: 1 is the highest."""
    return candle_math.volatility_percentile(scene.candles)


def spread(scene: Scene) -> Decimal | None:
    """Ask less bid, in basis points of their middle."""
    quote = scene.quote
    return 10_000 * (quote.ask - quote.bid) / quote.mid if quote is not None and quote.mid > 0 else None


def size_of_book(scene: Scene) -> Decimal | None:
    """Quantity, in what the best price offers on the side it would meet."""
    quote, quantity = scene.quote, scene.quantity
    if quote is None or quantity is None:
        return None
    offered = quote.ask_quantity if scene.side is Side.BUY else quote.bid_quantity
    return quantity / offered if offered > 0 else None


def tick_age(scene: Scene) -> Decimal | None:
    """Seconds since the last price came in; never below 0, whatever the clocks say."""
    return None if scene.quote is None else max(_seconds(scene.at - scene.quote.received_at), ZERO)


def since_loss(scene: Scene) -> Decimal | None:
    """Minutes since the desk last lost, a week where it has not in one."""
    if not scene.losses_known or scene.reduces:
        return None
    if scene.last_loss_at is None:
        return _minutes(LOSS_WINDOW)
    return min(max(_minutes(scene.at - scene.last_loss_at), ZERO), _minutes(LOSS_WINDOW))


def hour(scene: Scene) -> Decimal | None:
    """The hour of the day, UTC."""
    return Decimal(scene.at.hour)


def to_weekend(scene: Scene) -> Decimal | None:
    """Minutes until the week closes on Friday, 21:00 UTC; 0 from then on until Sunday, 21:00."""
    return max(_minutes(_week_closes(scene.at) - scene.at), ZERO)


def in_weekend(at: datetime) -> bool:
    """Whether markets that close for the weekend are closed."""
    day = at.weekday()
    if day == _FRIDAY:
        return at.hour >= WEEK_CLOSES_HOUR
    return day > _FRIDAY and not (day == _SUNDAY and at.hour >= WEEK_OPENS_HOUR)


def _week_closes(at: datetime) -> datetime:
    """The close that ends the week of `at`; the past one within a weekend."""
    if in_weekend(at):
        return at
    days = (_FRIDAY - at.weekday()) % 7
    return (at + timedelta(days=days)).replace(hour=WEEK_CLOSES_HOUR, minute=0, second=0, microsecond=0)


def _seconds(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)) / 1_000_000


def _minutes(span: timedelta) -> Decimal:
    return _seconds(span) / 60
