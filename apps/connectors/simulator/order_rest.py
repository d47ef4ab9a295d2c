"""Orders: create, preview, cancel, get, list, fills."""

import json
import re
from typing import TYPE_CHECKING, Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from apps.connectors.simulator import query, wire
from apps.connectors.simulator.clock import Clock
from apps.connectors.simulator.errors import ApiError, invalid_argument
from apps.connectors.simulator.exchange import Exchange
from apps.connectors.simulator.faults import Kind
from apps.connectors.simulator.products import PRODUCTS
from apps.connectors.simulator.records import FillFilter, OrderFilter

if TYPE_CHECKING:
    from apps.connectors.simulator.traffic import LoggedRequest

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_STATUSES = frozenset(
    {
        "PENDING", "OPEN", "FILLED", "CANCELLED", "EXPIRED", "FAILED", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED",
        "UNKNOWN_ORDER_STATUS",
    }
)  # fmt: skip
_NOTHING = ("-",)
"""A value no column has: the filter matches nothing."""


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in the body: no fractions (they belong in strings), and only text that UTF-8 can carry."""
    try:
        body = json.loads(await request.body(), parse_float=_refuse_number, parse_constant=_refuse_number)
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise invalid_argument("request body is not valid JSON") from error
    if not isinstance(body, dict):
        raise invalid_argument("request body must be an object")
    return body


def _refuse_number(text: str) -> Any:
    raise invalid_argument(f"invalid value: {text} must be a string")


class OrderRest:
    """Handlers for orders and their fills."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def create(self, request: Request) -> Response:
        """POST orders: HTTP 200 either way; `success` decides."""
        entry: LoggedRequest = request.scope["venue.request"]
        slow = entry.fault(Kind.SLOW_LISTING)
        created = self._exchange.create(await read_object(request), hidden_us=slow.micros if slow else 0)
        entry.created_order, entry.order_id = created.is_new, created.order_id
        return JSONResponse(created.envelope)

    async def preview(self, request: Request) -> Response:
        """POST orders/preview."""
        return JSONResponse(wire.preview(self._exchange.estimate(await read_object(request)), self._exchange))

    async def cancel(self, request: Request) -> Response:
        """POST orders/batch_cancel."""
        order_ids = (await read_object(request)).get("order_ids")
        if not isinstance(order_ids, list) or not all(isinstance(order_id, str) for order_id in order_ids):
            raise invalid_argument("order_ids must be a list of strings")
        results = [
            {
                "success": not failure,
                "failure_reason": failure or "UNKNOWN_CANCEL_FAILURE_REASON",
                "order_id": order_id,
            }
            for order_id, failure in self._exchange.cancel(order_ids)
        ]
        return JSONResponse({"results": results})

    async def get(self, request: Request) -> Response:
        """GET orders/historical/{order_id}."""
        order_id = request.path_params["order_id"]
        if not _UUID.fullmatch(order_id):
            raise invalid_argument("order_id is not a valid identifier")
        order = self._exchange.store.order(order_id.lower())
        if order is None or order.visible_at > Clock.micros():
            raise ApiError(404, "unknown", "order with this orderID was not found")
        return JSONResponse({"order": wire.order(order, self._exchange.user_id, self._exchange.portfolio_id)})

    async def list(self, request: Request) -> Response:
        """GET orders/historical/batch. Singular keys are not filters and are silently ignored."""
        limit = query.limit(request.query_params, 100, 1000)
        rows = self._exchange.store.orders(
            _order_filter(request.query_params),
            visible_at=Clock.micros(),
            before=query.cursor(request.query_params, "orders"),
            limit=limit + 1,
        )
        has_next, page = len(rows) > limit, rows[:limit]
        exchange = self._exchange
        return JSONResponse(
            {
                "orders": [wire.order(order, exchange.user_id, exchange.portfolio_id) for order in page],
                "sequence": "0",
                "has_next": has_next,
                "cursor": query.cursor_at("orders", page[-1].seq) if has_next else "",
            }
        )

    async def fills(self, request: Request) -> Response:
        """GET orders/historical/fills: no has_next; an empty cursor ends it."""
        entry: LoggedRequest = request.scope["venue.request"]
        limit = query.limit(request.query_params, 100, 3000)
        before = query.cursor(request.query_params, "fills")
        rows = self._exchange.store.fills(
            _fill_filter(request.query_params), visible_at=Clock.micros(), before=before, limit=limit + 1
        )
        page, exchange = rows[:limit], self._exchange
        last, times = (page[-1].seq if len(rows) > limit else None), 1
        if entry.fault(Kind.DUPLICATE_FILLS):
            times = 2
            # The next page begins with the row that ended this one, where a page has room for one more.
            last = last + 1 if last is not None and limit > 1 else last
        if (lost := entry.fault(Kind.LOST_FILLS)) and before is None:
            page = page[lost.rows :]
        cursor = "" if last is None else query.cursor_at("fills", last)
        body = [wire.fill(fill, exchange.user_id, exchange.portfolio_id) for fill in page for _ in range(times)]
        return JSONResponse({"fills": body, "cursor": cursor})


def _product_ids(values: QueryParams) -> tuple[str, ...]:
    """product_ids, narrowed by asset_filters (base currencies)."""
    products, assets = query.words(values, "product_ids"), query.words(values, "asset_filters")
    if not assets:
        return products
    of_assets = {name for name, product in PRODUCTS.items() if product.base_currency in assets}
    return tuple(of_assets & set(products or of_assets)) or _NOTHING


def _order_filter(values: QueryParams) -> OrderFilter:
    statuses = query.words(values, "order_status")
    for status in statuses:
        if status not in _STATUSES:
            raise invalid_argument(f"invalid value for enum field order_status: {status!r}")
    elsewhere = (values.get("order_placement_source") or "RETAIL_ADVANCED") != "RETAIL_ADVANCED" or values.get(
        "product_type", ""
    ) not in ("", "SPOT", "UNKNOWN_PRODUCT_TYPE")
    return OrderFilter(
        order_ids=_NOTHING if elsewhere else query.words(values, "order_ids"),
        product_ids=_product_ids(values),
        statuses=statuses,
        time_in_forces=query.words(values, "time_in_forces"),
        order_types=query.words(values, "order_types"),
        side=_side(values),
        start=query.moment(values, "start_date"),
        end=query.moment(values, "end_date"),
    )


def _side(values: QueryParams) -> str:
    side = values.get("order_side", "")
    if side not in ("", "BUY", "SELL", "UNKNOWN_ORDER_SIDE"):
        raise invalid_argument(f"invalid value for enum field order_side: {side!r}")
    return side if side in ("BUY", "SELL") else ""


_OTHER_FILL_FILTERS = (
    "trade_ids", "product_ids", "order_types", "product_types", "asset_filters", "order_side",
    "start_sequence_timestamp", "end_sequence_timestamp",
)  # fmt: skip


def _fill_filter(values: QueryParams) -> FillFilter:
    order_ids = query.words(values, "order_ids")
    if order_ids and any(values.get(name) for name in _OTHER_FILL_FILTERS):
        raise invalid_argument("cannot pass order_ids with other filters")
    return FillFilter(
        order_ids=order_ids,
        trade_ids=query.words(values, "trade_ids"),
        product_ids=_product_ids(values),
        side=_side(values),
        start=query.moment(values, "start_sequence_timestamp"),
        end=query.moment(values, "end_sequence_timestamp"),
    )
