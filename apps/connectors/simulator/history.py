"""What the path looked like before now: candles and the public tape, computed, never stored."""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from apps.connectors.simulator import prices
from apps.connectors.simulator.amounts import floor_to
from apps.connectors.simulator.products import PRODUCTS, Product

GRANULARITIES = {
    "ONE_MINUTE": 60,
    "FIVE_MINUTE": 300,
    "FIFTEEN_MINUTE": 900,
    "THIRTY_MINUTE": 1800,
    "ONE_HOUR": 3600,
    "TWO_HOUR": 7200,
    "FOUR_HOUR": 14400,
    "SIX_HOUR": 21600,
    "ONE_DAY": 86400,
}
MAX_CANDLES = 350
_SAMPLES = 30
_DAY_S = 86_400


@dataclass(frozen=True)
class Candle:
    """Prices and base volume of one bucket."""

    start: int
    low: Decimal
    high: Decimal
    open: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True)
class Day:
    """What tickers say of the last 24 hours (and of the last year: the lowest and highest price)."""

    before: Decimal
    low: Decimal
    high: Decimal
    volume: Decimal
    low_of_year: Decimal
    high_of_year: Decimal


@dataclass(frozen=True)
class Print:
    """One public trade. `side` is the maker's, as on the venue's tape."""

    trade_id: int
    price: Decimal
    size: Decimal
    micros: int
    side: str


@lru_cache(maxsize=4_000)
def _range_of_day(seed: int, product_id: str, hour: int) -> tuple[Decimal, Decimal]:
    """Lowest and highest price of the 24 hours before `hour` * 3600."""
    product, end = PRODUCTS[product_id], hour * 3600
    seen = candles(seed, product, 3600, end - _DAY_S, end - 1, end)
    return min(candle.low for candle in seen), max(candle.high for candle in seen)


@lru_cache(maxsize=4_000)
def _range_of_year(seed: int, product_id: str, day: int) -> tuple[Decimal, Decimal]:
    """Lowest and highest price of 52 weeks, looked at once a day: a ticker needs no more."""
    product = PRODUCTS[product_id]
    seen = [price_at(seed, product, (day - before) * _DAY_S) for before in range(364)]
    return min(seen), max(seen)


@lru_cache(maxsize=4_000)
def volume_of_day(seed: int, product_id: str, hour: int) -> Decimal:
    """Base volume of the 24 hours before `hour` * 3600."""
    product = PRODUCTS[product_id]
    return sum((volume_of_hour(seed, product, hour - back) for back in range(1, 25)), Decimal(0))


def day(seed: int, product: Product, step: int) -> Day:
    """The 24 hours before `step`. Of the many products that only fill a list, the ranges are rough."""
    before = price_at(seed, product, step - _DAY_S)
    if product.is_filler:
        low = high = year_low = year_high = before
    else:
        low, high = _range_of_day(seed, product.product_id, step // 3600)
        year_low, year_high = _range_of_year(seed, product.product_id, step // _DAY_S)
    volume = volume_of_day(seed, product.product_id, step // 3600)
    return Day(before, low, high, volume, min(year_low, low), max(year_high, high))


def price_at(seed: int, product: Product, step: int) -> Decimal:
    """The path's price at a second, on the price grid."""
    mid = prices.mid_price(seed, product.book_id, product.level, product.price_increment, step)
    return floor_to(mid, product.price_increment)


def volume_of_hour(seed: int, product: Product, hour: int) -> Decimal:
    """Base volume of the hour that starts at `hour` * 3600."""
    return product.hourly_volume * prices.fraction(seed, f"{product.book_id}|volume", hour, 55, 145)


@lru_cache(maxsize=50_000)
def _bucket(seed: int, product_id: str, start: int, until: int, length: int) -> Candle:
    """The candle of [start, until]; `until` is the last second of the bucket that has happened.

    A minute is looked at second by second, longer buckets in thirty places, because 350 days of seconds
    are thirty million: their high and low can miss a spike of a few basis points, open and close never.
    """
    product = PRODUCTS[product_id]
    stride = 1 if length <= 60 else length // _SAMPLES
    seen = [price_at(seed, product, step) for step in range(start, until + 1, stride)]
    seen.append(price_at(seed, product, until))
    part = Decimal(until + 1 - start)
    if length >= 3600:
        hours = range(start // 3600, (until // 3600) + 1)
        whole = sum((volume_of_hour(seed, product, hour) for hour in hours), Decimal(0))
        volume = whole * part / (len(hours) * 3600)
    else:
        volume = volume_of_hour(seed, product, start // 3600) * part / 3600
        volume *= prices.fraction(seed, f"{product.book_id}|{length}", start, 60, 140)
    return Candle(start, min(seen), max(seen), seen[0], seen[-1], floor_to(volume, product.base_increment))


def candles(seed: int, product: Product, length: int, start: int, end: int, now: int) -> list[Candle]:
    """Candles whose start lies in [start, end], newest first, none from the future; the newest may be open."""
    first = -(-start // length) * length
    last = min(end, now) // length * length
    return [
        _bucket(seed, product.book_id, at, min(at + length - 1, now), length) for at in range(last, first - 1, -length)
    ]


def tape(seed: int, product: Product, start: int, end: int, limit: int) -> list[Print]:
    """Public trades of the seconds [start, end], newest first: one a second."""
    prints: list[Print] = []
    for step in range(end, start - 1, -1):
        if len(prints) >= limit:
            break
        typical = product.hourly_volume / 3600
        size = typical * prices.fraction(seed, f"{product.book_id}|tape", step, 1, 60)
        prints.append(
            Print(
                trade_id=step,
                price=price_at(seed, product, step),
                size=max(floor_to(size, product.base_increment), product.base_increment),
                # Within the second before, so that no trade is from the future.
                micros=step * 1_000_000 - (prices.noise(seed, f"{product.book_id}|micros", step) + (1 << 31)) % 999_999,
                side="SELL" if prices.noise(seed, f"{product.book_id}|side", step) >= 0 else "BUY",
            )
        )
    return prints
