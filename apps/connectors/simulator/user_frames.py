"""The user channel's orders: cumulative state, all text, no trade ids."""

from decimal import Decimal
from typing import Any

from apps.connectors.simulator.amounts import ZERO, rounded_text, text_of
from apps.connectors.simulator.clock import rfc3339
from apps.connectors.simulator.products import PRODUCTS
from apps.connectors.simulator.records import Order

SNAPSHOT_BATCH = 50
NO_TIME = "0001-01-01T00:00:00Z"
_TYPES = {"MARKET": "Market", "LIMIT": "Limit", "STOP_LIMIT": "Stop Limit"}


def event(kind: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One event of the channel: a part of the snapshot, or an update."""
    positions: dict[str, list[Any]] = {"perpetual_futures_positions": [], "expiring_futures_positions": []}
    return {"type": kind, "orders": rows, "positions": positions}


def snapshot(orders: list[Order], portfolio_id: str) -> list[dict[str, Any]]:
    """Open orders in batches of 50, one event a message; a batch with fewer (it may have none) is the last."""
    rows = [order_row(order, portfolio_id) for order in orders]
    ends = range(0, len(rows) + 1, SNAPSHOT_BATCH)
    return [event("snapshot", rows[begin : begin + SNAPSHOT_BATCH]) for begin in ends]


def order_row(order: Order, portfolio_id: str) -> dict[str, Any]:
    """One order. `product_id` is the book's, also where an alias was named; nothing is left of an ended one."""
    average = order.filled_value / order.filled_size if order.filled_size else ZERO
    after = order.filled_value + (order.total_fees if order.side == "BUY" else -order.total_fees)
    return {
        "avg_price": rounded_text(average),
        "cancel_reason": order.cancel_message,
        "client_order_id": order.client_order_id,
        "completion_percentage": _completion(order),
        "contract_expiry_type": "UNKNOWN_CONTRACT_EXPIRY_TYPE",
        "cumulative_quantity": text_of(order.filled_size),
        "filled_value": text_of(order.filled_value),
        "leaves_quantity": _leaves(order),
        "limit_price": text_of(order.limit_price or ZERO),
        "number_of_fills": str(order.number_of_fills),
        "order_id": order.order_id,
        "order_side": order.side,
        "order_type": _TYPES[order.order_type],
        "outstanding_hold_amount": text_of(order.hold),
        "post_only": "true" if _post_only(order) else "false",
        "product_id": PRODUCTS[order.product_id].book_id,
        "product_type": "SPOT",
        "reject_reason": "",
        "retail_portfolio_id": portfolio_id,
        "risk_managed_by": "UNKNOWN_RISK_MANAGEMENT_TYPE",
        "status": order.status,
        "stop_price": "" if order.stop_price is None else text_of(order.stop_price),
        "time_in_force": order.time_in_force,
        "total_fees": text_of(order.total_fees),
        "total_value_after_fees": text_of(after),
        "trigger_status": _trigger(order),
        "creation_time": rfc3339(order.created),
        "end_time": NO_TIME if order.end_step is None else rfc3339(order.end_step * 1_000_000),
        "start_time": NO_TIME,
    }


def _completion(order: Order) -> str:
    if order.base_size is None:
        return "100.00" if order.status == "FILLED" else "0.00"
    return f"{(order.filled_size * 100 / order.base_size).quantize(Decimal('0.01')):f}"


def _leaves(order: Order) -> str:
    """In the currency the order was sized in."""
    if order.is_terminal:
        return "0"
    return text_of(order.remaining if order.base_size is not None else order.quote_size or ZERO)


def _post_only(order: Order) -> bool:
    return any(values.get("post_only") in (True, "true") for values in order.configuration.values())


def _trigger(order: Order) -> str:
    if order.order_type != "STOP_LIMIT":
        return "INVALID_ORDER_TYPE"
    return "STOP_TRIGGERED" if order.triggered else "STOP_PENDING"
