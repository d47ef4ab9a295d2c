"""The market channels' content: what a product looks like now, as rows of the wire."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

from apps.connectors.simulator.amounts import ceil_to, floor_to, rounded_text, text_of
from apps.connectors.simulator.book import Level
from apps.connectors.simulator.clock import rfc3339
from apps.connectors.simulator.history import Print
from apps.connectors.simulator.market import Market
from apps.connectors.simulator.products import Product

Json = dict[str, Any]
Book = dict[str, dict[str, str]]
"""Quantity by price, for `bid` and `offer`."""

CANDLE_S = 300
CANDLES_IN_SNAPSHOT = 12
CANDLES_MAX = 50_000
"""In one update: a recording played fast passes many at a time."""
TRADES_IN_SNAPSHOT = 50
SNAPSHOT_TIME = "1970-01-01T00:00:00Z"
_SIDES = (("bid", "bids"), ("offer", "asks"))


def ticker(product: Product, market: Market, *, with_best: bool) -> Json:
    """One ticker; ticker_batch leaves out the best bid and ask."""
    step, last, day = market.clock.step, market.last(product), market.day(product)
    row = {
        "type": "ticker",
        "product_id": product.product_id,
        "price": text_of(last),
        "volume_24_h": text_of(floor_to(day.volume, product.base_increment)),
        "low_24_h": text_of(min(day.low, last)),
        "high_24_h": text_of(max(day.high, last)),
        "low_52_w": text_of(min(day.low_of_year, last)),
        "high_52_w": text_of(max(day.high_of_year, last)),
        "price_percent_chg_24_h": rounded_text((last - day.before) * 100 / day.before, 14),
    }
    if not with_best:
        return row
    bid, ask = (next(market.levels(product, side, step), None) for side in ("bids", "asks"))
    return row | {
        "best_bid": text_of(bid.price) if bid else "0",
        "best_bid_quantity": text_of(bid.size) if bid else "0",
        "best_ask": text_of(ask.price) if ask else "0",
        "best_ask_quantity": text_of(ask.size) if ask else "0",
    }


def trades(product: Product, market: Market, prints: Iterable[Print]) -> list[Json]:
    """The public tape, newest first; while the mid is pinned, at the pin."""
    price = market.last(product) if market.is_pinned(product) else None
    return [
        {
            "product_id": product.product_id,
            "trade_id": str(item.trade_id),
            "price": text_of(item.price if price is None else price),
            "size": text_of(item.size),
            "time": rfc3339(item.micros),
            "side": item.side,
        }
        for item in prints
    ]


def candles(product: Product, market: Market, count: int) -> list[Json]:
    """The newest five-minute candles, newest first; the first is still open. None before a recording begins."""
    now = market.step(product)
    found = market.candles(product, CANDLE_S, now - CANDLE_S * count + 1, now)
    return [
        {
            "start": str(item.start),
            "high": text_of(item.high),
            "low": text_of(item.low),
            "open": text_of(item.open),
            "close": text_of(item.close),
            "volume": text_of(item.volume),
            "product_id": product.product_id,
        }
        for item in found
    ]


def status(product: Product, market: Market) -> Json:
    """A product as the status channel tells it."""
    dead = market.has_flag(product, "is_disabled")
    return {
        "product_type": "SPOT",
        "id": product.product_id,
        "base_currency": product.base_currency,
        "quote_currency": product.quote_currency,
        "base_increment": text_of(product.base_increment),
        "quote_increment": text_of(product.quote_increment),
        "display_name": f"{product.base_currency}/{product.quote_currency}",
        "status": "offline" if dead else "online",
        "status_message": "",
        "min_market_funds": text_of(product.quote_min_size),
    }


def book(product: Product, market: Market) -> Book:
    """Every level of both sides, at one moment."""
    step = market.clock.step
    return {
        name: {text_of(level.price): text_of(level.size) for level in market.levels(product, side, step)}
        for name, side in _SIDES
    }


def deepened(product: Product, market: Market, levels: int) -> Book:
    """The book with that many levels a side, one price increment apart below and above what there is."""
    deep = book(product, market)
    bid, ask = market.best(product)
    for name, price, sign in (("bid", floor_to(bid, product.price_increment), -1), ("offer", ask, 1)):
        further = (
            ceil_to(price, product.price_increment) + sign * product.price_increment * at for at in range(levels)
        )
        rest: Iterable[Level] = (Level(at, product.base_increment) for at in further if at > 0)
        for level in islice(rest, levels):
            deep[name].setdefault(text_of(level.price), text_of(level.size))
    return deep


def book_rows(levels: Book, event_time: str) -> list[Json]:
    """Levels as updates of the wire."""
    return [
        {"side": side, "event_time": event_time, "price_level": price, "new_quantity": quantity}
        for side, prices in levels.items()
        for price, quantity in prices.items()
    ]


def book_changes(before: Book, now: Book) -> Book:
    """What became of each level that changed; "0" for one that is gone."""
    return {
        side: {
            price: now[side].get(price, "0")
            for price in before[side].keys() | now[side].keys()
            if before[side].get(price) != now[side].get(price)
        }
        for side in now
    }
