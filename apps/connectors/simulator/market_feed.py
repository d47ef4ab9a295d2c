"""What changed in the market since the last look, worked out once for all sockets that want to know."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from apps.connectors.simulator import market_frames as frames
from apps.connectors.simulator.clock import Clock, rfc3339
from apps.connectors.simulator.market import Market
from apps.connectors.simulator.products import PRODUCTS, Product

Json = dict[str, Any]
CHANNELS = {
    "ticker": "ticker",
    "ticker_batch": "ticker_batch",
    "market_trades": "market_trades",
    "candles": "candles",
    "level2": "l2_data",
    "status": "status",
}
"""Subscribed as the key, sent as the value."""

BATCH_S = 5
_LISTS = {"ticker": "tickers", "ticker_batch": "tickers", "market_trades": "trades", "candles": "candles"}


class MarketFeed:
    """Remembers per channel and product what was last told."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._told: dict[tuple[str, str], Any] = {}
        self._batched_at = 0.0

    def snapshot(self, channel: str, product_ids: Iterable[str], levels: int | None = None) -> list[Json]:
        """The events that begin a subscription: one for all products, for level 2 one per product."""
        products = [PRODUCTS[product_id] for product_id in sorted(product_ids)]
        for product in products:
            self._look(channel, product)
        if channel == "level2":
            return [self._book_event(product, levels) for product in products]
        rows = [row for product in products for row in self._first(channel, product)]
        return [{"type": "snapshot", _LISTS.get(channel, "products"): rows}]

    def updates(self, wanted: Mapping[str, set[str]]) -> dict[str, dict[str, list[Json]]]:
        """By channel and product the rows that are news; every subscriber of both is told the same."""
        news: dict[str, dict[str, list[Json]]] = defaultdict(dict)
        batch = time.monotonic() - self._batched_at >= BATCH_S
        if batch:
            self._batched_at = time.monotonic()
        for channel, product_ids in wanted.items():
            if channel == "ticker_batch" and not batch:
                continue
            for product_id in product_ids:
                if rows := self._look(channel, PRODUCTS[product_id]):
                    news[channel][product_id] = rows
        return news

    def forget(self, wanted: Mapping[str, set[str]]) -> None:
        """Drop what nobody follows any more: the next subscriber begins with a look of its own."""
        self._told = {key: told for key, told in self._told.items() if key[1] in wanted.get(key[0], ())}

    @staticmethod
    def event(channel: str, product_id: str, rows: list[Json]) -> Json:
        """One update event."""
        if channel == "level2":
            return {"type": "update", "product_id": product_id, "updates": rows}
        return {"type": "update", _LISTS.get(channel, "products"): rows}

    def _first(self, channel: str, product: Product) -> list[Json]:
        if channel == "market_trades":
            now = self._market.clock.step
            return frames.trades(product, self._market, now - frames.TRADES_IN_SNAPSHOT + 1, now)
        if channel == "candles":
            return frames.candles(product, self._market, frames.CANDLES_IN_SNAPSHOT)
        return [self._told[channel, product.product_id]]

    def _book_event(self, product: Product, levels: int | None) -> Json:
        told = self._told["level2", product.product_id]
        deep = told if levels is None else frames.deepened(product, self._market, levels)
        rows = frames.book_rows(deep, frames.SNAPSHOT_TIME)
        return {"type": "snapshot", "product_id": product.product_id, "updates": rows}

    def _look(self, channel: str, product: Product) -> list[Json]:
        """Rows that are news since the last look, which this is now."""
        key = (channel, product.product_id)
        before = self._told.get(key)
        now = self._now(channel, product)
        self._told[key] = now
        if before is None or before == now:
            return []
        if channel == "market_trades":
            return frames.trades(product, self._market, max(before + 1, now - frames.TRADES_IN_SNAPSHOT), now)
        if channel == "candles" and before["start"] != now["start"]:
            # The one that has just closed too: its last second may not have been told.
            return frames.candles(product, self._market, 2)
        if channel == "level2":
            return frames.book_rows(frames.book_changes(before, now), rfc3339(Clock.micros()))
        return [now]

    def _now(self, channel: str, product: Product) -> Any:
        market = self._market
        if channel == "market_trades":
            return market.clock.step
        if channel == "level2":
            return frames.book(product, market)
        if channel == "candles":
            return frames.candles(product, market, 1)[0]
        if channel == "status":
            return frames.status(product, market)
        return frames.ticker(product, market, with_best=channel == "ticker")
