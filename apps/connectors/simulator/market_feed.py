"""What changed in the market since the last look, worked out once for all sockets that want to know."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from apps.connectors.simulator import market_frames as frames
from apps.connectors.simulator.clock import Clock, rfc3339
from apps.connectors.simulator.history import Print
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
ROWS_MAX = 1_000
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

    def begin(self, product_ids: Iterable[str]) -> None:
        """Somebody follows these products' trades: a recording that waited for that begins."""
        for product_id in product_ids:
            if playback := self._market.played(PRODUCTS[product_id]):
                playback.begin()

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
    def events(channel: str, product_id: str, rows: list[Json]) -> list[Json]:
        """The update events, in order; more than one where a fast recording brings very many trades at once."""
        if channel == "level2":
            return [{"type": "update", "product_id": product_id, "updates": rows}]
        # Rows are newest first, in each event and so from the last event to the first.
        parts = [rows[max(end - ROWS_MAX, 0) : end] for end in range(len(rows), 0, -ROWS_MAX)]
        return [{"type": "update", _LISTS.get(channel, "products"): part} for part in parts]

    def _first(self, channel: str, product: Product) -> list[Json]:
        if channel == "market_trades":
            now, most = self._market.step(product), frames.TRADES_IN_SNAPSHOT
            if playback := self._market.played(product):
                told = self._told[channel, product.product_id]
                return frames.trades(product, self._market, playback.prints(max(told - most, 0), told))
            return frames.trades(product, self._market, self._market.tape(product, now - most + 1, now, most))
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
            return frames.trades(product, self._market, self._new_trades(product, before, now))
        if channel == "candles" and before["start"] != now["start"]:
            # Those that have closed since too: their last second may not have been told.
            count = (int(now["start"]) - int(before["start"])) // frames.CANDLE_S + 1
            return frames.candles(product, self._market, min(count, frames.CANDLES_MAX))
        if channel == "level2":
            return frames.book_rows(frames.book_changes(before, now), rfc3339(Clock.micros()))
        return [now]

    def _new_trades(self, product: Product, before: int, now: int) -> list[Print]:
        if playback := self._market.played(product):
            return playback.prints(before, now)
        first = max(before + 1, now - frames.TRADES_IN_SNAPSHOT)
        return self._market.tape(product, first, now, now - first + 1)

    def _now(self, channel: str, product: Product) -> Any:
        market = self._market
        if channel == "market_trades":
            playback = market.played(product)
            return market.clock.step if playback is None else playback.played
        if channel == "level2":
            return frames.book(product, market)
        if channel == "candles":
            return next(iter(frames.candles(product, market, frames.CANDLES_IN_SNAPSHOT)), None)
        if channel == "status":
            return frames.status(product, market)
        return frames.ticker(product, market, with_best=channel == "ticker")
