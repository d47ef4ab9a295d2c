"""The request of an order as bytes: pure, deterministic, nothing rounded (coinbase.md 3.2)."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal

from apps.common.decimals import decimal_text, instant_text
from apps.common.errors import Invalid
from apps.common.money import floor_to
from apps.connectors.types import InstrumentSpec, OrderRequest, OrderType, Side, TimeInForce

_CLIENT_ORDER_ID_MAX = 64

Configuration = dict[str, str | bool]


def _refused(field: str, message: str) -> Invalid:
    return Invalid("ORDER_TERMS_UNSUPPORTED", message, fix="Change the terms.", field=field)


def _positive(value: Decimal | None, field: str) -> str:
    if value is None:
        raise _refused(field, f"This kind of order needs {field}.")
    if not value.is_finite() or value <= 0:
        raise _refused(field, f"{field} must be above zero.")
    return decimal_text(value)


def _until(request: OrderRequest) -> str:
    if request.expires_at is None or request.expires_at.tzinfo is None:
        raise _refused("expires_at", "A GTD order needs an aware instant at which it ends.")
    return instant_text(request.expires_at)


def _market(request: OrderRequest) -> Configuration:
    if request.quote_quantity is not None and request.side is Side.BUY:
        return {"quote_size": _positive(request.quote_quantity, "quote_quantity")}
    return {"base_size": _positive(request.quantity, "quantity")}


def _limit(request: OrderRequest) -> Configuration:
    return {
        "base_size": _positive(request.quantity, "quantity"),
        "limit_price": _positive(request.limit_price, "limit_price"),
    }


def _limit_gtc(request: OrderRequest) -> Configuration:
    return {**_limit(request), "post_only": request.post_only}


def _limit_gtd(request: OrderRequest) -> Configuration:
    return {**_limit(request), "end_time": _until(request), "post_only": request.post_only}


def _stop(request: OrderRequest) -> Configuration:
    # A buy waits for the price to rise to its stop, a sell for it to fall.
    direction = "STOP_DIRECTION_STOP_UP" if request.side is Side.BUY else "STOP_DIRECTION_STOP_DOWN"
    return {
        **_limit(request),
        "stop_price": _positive(request.stop_price, "stop_price"),
        "stop_direction": direction,
    }


def _stop_gtd(request: OrderRequest) -> Configuration:
    return {**_stop(request), "end_time": _until(request)}


_CONFIGURATIONS: Mapping[tuple[OrderType, TimeInForce], tuple[str, Callable[[OrderRequest], Configuration]]] = {
    (OrderType.MARKET, TimeInForce.IOC): ("market_market_ioc", _market),
    (OrderType.LIMIT, TimeInForce.IOC): ("sor_limit_ioc", _limit),
    (OrderType.LIMIT, TimeInForce.FOK): ("limit_limit_fok", _limit),
    (OrderType.LIMIT, TimeInForce.GTC): ("limit_limit_gtc", _limit_gtc),
    (OrderType.LIMIT, TimeInForce.GTD): ("limit_limit_gtd", _limit_gtd),
    (OrderType.STOP_LIMIT, TimeInForce.GTC): ("stop_limit_stop_limit_gtc", _stop),
    (OrderType.STOP_LIMIT, TimeInForce.GTD): ("stop_limit_stop_limit_gtd", _stop_gtd),
}

ORDER_TERMS = frozenset(_CONFIGURATIONS)
CONFIGURATION_TERMS = {key: terms for terms, (key, _) in _CONFIGURATIONS.items()}


def _configuration(request: OrderRequest) -> dict[str, Configuration]:
    _refuse_what_would_be_dropped(request)
    entry = _CONFIGURATIONS.get((request.order_type, request.time_in_force))
    if entry is None:
        raise _refused(
            "time_in_force", f"The venue takes no {request.order_type.value} order {request.time_in_force.value}."
        )
    key, build = entry
    return {key: build(request)}


def _refuse_what_would_be_dropped(request: OrderRequest) -> None:
    """A term that the configuration has no place for must not vanish on the way to the venue."""
    if (request.quantity is None) == (request.quote_quantity is None):
        raise _refused("quantity", "Exactly one of quantity and quote_quantity is needed.")
    if request.quote_quantity is not None and (request.order_type, request.side) != (OrderType.MARKET, Side.BUY):
        raise _refused("quote_quantity", "Only a market buy can be given in quote currency.")
    if request.limit_price is not None and request.order_type is OrderType.MARKET:
        raise _refused("limit_price", "A market order has no limit price.")
    if request.stop_price is not None and request.order_type is not OrderType.STOP_LIMIT:
        raise _refused("stop_price", "Only a stop-limit order has a stop price.")
    if request.expires_at is not None and request.time_in_force is not TimeInForce.GTD:
        raise _refused("expires_at", "Only a GTD order ends at an instant.")
    rests = request.order_type is OrderType.LIMIT and request.time_in_force in {TimeInForce.GTC, TimeInForce.GTD}
    if request.post_only and not rests:
        raise _refused("post_only", "Only a resting limit order can be post only.")


def _encode(row: Mapping[str, object]) -> bytes:
    return json.dumps(row, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _terms(request: OrderRequest) -> dict[str, object]:
    if not request.instrument.isascii() or not request.instrument:
        raise _refused("instrument", "The instrument has no code the venue could know.")
    return {
        "product_id": request.instrument,
        "side": request.side.value,
        "order_configuration": _configuration(request),
    }


def order_body(request: OrderRequest, *, spec: InstrumentSpec | None = None) -> bytes:
    """The bytes of POST /orders: the same request gives the same bytes, always.

    Raises Invalid ORDER_TERMS_UNSUPPORTED for terms the venue has no word for, and, where `spec` is given, Invalid
    OFF_INCREMENT for a number that is not a multiple of its step. Never rounds.
    """
    identifier = request.client_order_id
    if not 0 < len(identifier) <= _CLIENT_ORDER_ID_MAX or not identifier.isascii() or not identifier.isprintable():
        raise _refused("client_order_id", f"The client order id must be 1 to {_CLIENT_ORDER_ID_MAX} plain characters.")
    if spec is not None:
        check_increments(request, spec)
    return _encode({"client_order_id": identifier, **_terms(request)})


def preview_body(request: OrderRequest) -> bytes:
    """The bytes of POST /orders/preview: the same terms, without the client order id."""
    return _encode(_terms(request))


def cancel_body(venue_order_ids: list[str]) -> bytes:
    return _encode({"order_ids": venue_order_ids})


def check_increments(request: OrderRequest, spec: InstrumentSpec) -> None:
    """Raises Invalid OFF_INCREMENT for the first number that is not a multiple of the instrument's step."""
    for field, value, step in (
        ("quantity", request.quantity, spec.quantity_increment),
        ("quote_quantity", request.quote_quantity, spec.quote_increment),
        ("limit_price", request.limit_price, spec.price_increment),
        ("stop_price", request.stop_price, spec.price_increment),
    ):
        if value is not None and floor_to(value, step) != value:
            raise Invalid(
                "OFF_INCREMENT",
                f"{field} must be a multiple of {decimal_text(step)}.",
                fix="Round it to the step.",
                field=field,
                value=decimal_text(value),
                increment=decimal_text(step),
            )
