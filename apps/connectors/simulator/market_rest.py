"""Products and market data; each has a public twin under market/ except best_bid_ask."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from apps.connectors.simulator import history, query, wire
from apps.connectors.simulator.amounts import text_of
from apps.connectors.simulator.errors import ApiError, invalid_argument
from apps.connectors.simulator.exchange import Exchange
from apps.connectors.simulator.products import PRODUCTS, Product

MAX_BOOK_LEVELS = 60
MAX_TRADES = 1000


def _product(product_id: str) -> Product:
    product = PRODUCTS.get(product_id)
    if product is None:
        raise ApiError(404, "NOT_FOUND", "valid product_id is required")
    return product


class MarketRest:
    """Handlers for what everybody may see."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._market = exchange.market

    async def products(self, request: Request) -> Response:
        """GET products."""
        wanted = query.words(request.query_params, "product_ids")
        kind = request.query_params.get("product_type", "")
        rows = [product for product in PRODUCTS.values() if not wanted or product.product_id in wanted]
        if kind not in ("", "SPOT", "UNKNOWN_PRODUCT_TYPE"):
            rows = []
        start = query.integer(request.query_params, "offset") or 0
        page = rows[start : start + query.limit(request.query_params, 1000, 1000)]
        body = {"products": [wire.product(product, self._market) for product in page]}
        return JSONResponse(body | {"num_products": len(page), "pagination": None})

    async def product(self, request: Request) -> Response:
        """GET products/{id}."""
        return JSONResponse(wire.product(_product(request.path_params["product_id"]), self._market))

    async def best_bid_ask(self, request: Request) -> Response:
        """GET best_bid_ask."""
        wanted = query.words(request.query_params, "product_ids") or tuple(PRODUCTS)
        age_ms = self._exchange.options.book_age_ms
        books = [wire.pricebook(_product(product_id), self._market, 1, age_ms) for product_id in wanted]
        return JSONResponse({"pricebooks": books})

    async def product_book(self, request: Request) -> Response:
        """GET product_book."""
        product_id = request.query_params.get("product_id", "")
        if not product_id:
            raise invalid_argument("product_id is required")
        depth = query.limit(request.query_params, MAX_BOOK_LEVELS, MAX_BOOK_LEVELS)
        return JSONResponse(wire.product_book(_product(product_id), self._market, depth))

    async def candles(self, request: Request) -> Response:
        """GET products/{id}/candles: newest first, 350 at most."""
        product = _product(request.path_params["product_id"])
        length = history.GRANULARITIES.get(request.query_params.get("granularity", ""))
        if length is None:
            raise invalid_argument("granularity is required")
        now = self._market.step(product)
        asked_end = query.integer(request.query_params, "end")
        end = now if asked_end is None else asked_end
        asked_start = query.integer(request.query_params, "start")
        start = max(end - (history.MAX_CANDLES - 1) * length, 0) if asked_start is None else asked_start
        if start > end:
            raise invalid_argument("start must be before end")
        if end - start > history.MAX_CANDLES * length:
            raise invalid_argument("number of candles requested should be less than 350")
        most = query.limit(request.query_params, history.MAX_CANDLES, history.MAX_CANDLES)
        # Pure arithmetic, but a lot of it: in a thread, so that an order need not wait for a chart.
        rows = await asyncio.to_thread(self._market.candles, product, length, start, end)
        return JSONResponse({"candles": [wire.candle(row) for row in rows[:most]]})

    async def ticker(self, request: Request) -> Response:
        """GET products/{id}/ticker: the public tape, newest first."""
        product = _product(request.path_params["product_id"])
        now = self._market.step(product)
        asked_end = query.integer(request.query_params, "end")
        end = now if asked_end is None else min(asked_end, now)
        limit = query.limit(request.query_params, 100, MAX_TRADES)
        asked_start = query.integer(request.query_params, "start")
        # Of the seeded path, which has a trade a second, so many seconds; of a recording, all there is.
        first = 0 if self._market.played(product) else end - limit + 1
        start = first if asked_start is None else asked_start
        bid, ask = self._market.best(product)
        tape = self._market.tape(product, start, end, limit)
        return JSONResponse(
            {
                "trades": [wire.public_trade(product, trade) for trade in tape],
                "best_bid": text_of(bid),
                "best_ask": text_of(ask),
            }
        )
