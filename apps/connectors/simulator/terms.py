"""Reading an order request: is it one the venue understands, and would it take it?"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from apps.connectors.simulator.amounts import floor_to, is_multiple, parse_plain
from apps.connectors.simulator.clock import micros_of
from apps.connectors.simulator.errors import Refused, invalid_argument
from apps.connectors.simulator.market import Market
from apps.connectors.simulator.products import PRODUCTS, Product

_MAX_PRICE = Decimal(10) ** 9

# configuration key -> (order type, time in force)
CONFIGURATIONS = {
    "market_market_ioc": ("MARKET", "IMMEDIATE_OR_CANCEL"),
    "sor_limit_ioc": ("LIMIT", "IMMEDIATE_OR_CANCEL"),
    "limit_limit_gtc": ("LIMIT", "GOOD_UNTIL_CANCELLED"),
    "limit_limit_gtd": ("LIMIT", "GOOD_UNTIL_DATE_TIME"),
    "limit_limit_fok": ("LIMIT", "FILL_OR_KILL"),
    "stop_limit_stop_limit_gtc": ("STOP_LIMIT", "GOOD_UNTIL_CANCELLED"),
    "stop_limit_stop_limit_gtd": ("STOP_LIMIT", "GOOD_UNTIL_DATE_TIME"),
}


@dataclass(frozen=True)
class Terms:
    """A request that could be read. Sizes and prices may still break the product's rules."""

    product: Product
    side: str
    order_type: str
    time_in_force: str
    configuration: dict[str, Any]
    base_size: Decimal | None = None
    quote_size: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    stop_direction: str = ""
    post_only: bool = False
    end_step: int | None = None


def read(body: dict[str, Any]) -> Terms:
    """The terms of a create or preview body. `ApiError` if it cannot be read, `Refused` if it is not done here."""
    product_id, side = _text(body, "product_id"), _text(body, "side")
    if side not in ("BUY", "SELL"):
        raise invalid_argument(f"invalid value for enum field side: {side!r}")
    configuration = body.get("order_configuration")
    if not isinstance(configuration, dict) or len(configuration) != 1:
        raise invalid_argument("order_configuration must hold exactly one configuration")
    kind, values = next(iter(configuration.items()))
    if not isinstance(values, dict):
        raise invalid_argument(f"{kind} must be an object")
    product = PRODUCTS.get(product_id)
    if product is None:
        raise Refused("INVALID_PRODUCT_ID", message="invalid product_id")
    if kind not in CONFIGURATIONS or body.get("attached_order_configuration"):
        raise Refused("UNSUPPORTED_ORDER_CONFIGURATION", message="order configuration is not supported on this product")
    order_type, time_in_force = CONFIGURATIONS[kind]
    terms = Terms(
        product=product,
        side=side,
        order_type=order_type,
        time_in_force=time_in_force,
        configuration=configuration,
        base_size=_amount(values, "base_size", "PREVIEW_NON_NUMERIC_ORDER_SIZE"),
        quote_size=_amount(values, "quote_size", "PREVIEW_NON_NUMERIC_ORDER_SIZE"),
        limit_price=_amount(values, "limit_price", "PREVIEW_INVALID_LIMIT_PRICE"),
        stop_price=_amount(values, "stop_price", "PREVIEW_INVALID_STOP_PRICE"),
        stop_direction=str(values.get("stop_direction", "")),
        post_only=_flag(values, "post_only"),
        end_step=_end_step(values, time_in_force),
    )
    _check_sizing(terms)
    if terms.order_type != "MARKET" and terms.quote_size is not None and terms.limit_price:
        return replace(terms, base_size=floor_to(terms.quote_size / terms.limit_price, product.base_increment))
    return terms


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise invalid_argument(f"{name} is required")
    return value


def _flag(values: dict[str, Any], name: str) -> bool:
    value = values.get(name, False)
    if not isinstance(value, bool):
        raise invalid_argument(f"invalid value for bool field {name}")
    return value


def _amount(values: dict[str, Any], name: str, refusal: str) -> Decimal | None:
    value = values.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise invalid_argument(f"invalid value for string field {name}")
    number = parse_plain(value)
    if number is None:
        raise Refused(preview=refusal, message=f"{name} is not a number")
    return number


def _end_step(values: dict[str, Any], time_in_force: str) -> int | None:
    if time_in_force != "GOOD_UNTIL_DATE_TIME":
        return None
    text = values.get("end_time")
    if not text:
        raise Refused("GTD_ORDERS_MUST_HAVE_END_TIME", message="end_time is required")
    micros = micros_of(text) if isinstance(text, str) else None
    if micros is None:
        raise invalid_argument("end_time must be an RFC 3339 time")
    return micros // 1_000_000


def _check_sizing(terms: Terms) -> None:
    if (terms.base_size is None) == (terms.quote_size is None):
        raise Refused(preview="PREVIEW_INVALID_ORDER_CONFIG", message="exactly one of base_size and quote_size")
    if terms.order_type == "MARKET" and terms.side == "SELL" and terms.base_size is None:
        raise Refused(preview="PREVIEW_INVALID_ORDER_CONFIG", message="market sell orders must be sized in base")
    if terms.order_type != "MARKET" and not terms.limit_price:
        raise Refused("INVALID_LIMIT_PRICE", message="limit_price is required")
    if terms.order_type == "STOP_LIMIT" and not terms.stop_price:
        raise Refused(preview="PREVIEW_INVALID_STOP_PRICE", message="stop_price is required")


def check(terms: Terms, market: Market) -> None:
    """Raise `Refused` with the first rule of the product or the market that the terms break."""
    for rule in _RULES:
        rule(terms, market)


def _check_flags(terms: Terms, market: Market) -> None:
    def has(flag: str) -> bool:
        return market.has_flag(terms.product, flag)

    if has("is_disabled") or has("trading_disabled") or has("view_only"):
        raise Refused("TRADING_DISABLED", message="trading is disabled for this product")
    if has("cancel_only") or has("auction_mode"):
        raise Refused("ORDER_ENTRY_DISABLED", message="order entry is disabled for this product")
    if has("limit_only") and terms.order_type == "MARKET":
        raise Refused(preview="PREVIEW_NOT_ALLOWED_BY_MARKET_STATE", message="product is in limit only mode")
    if has("post_only") and not terms.post_only:
        raise Refused(preview="PREVIEW_NOT_ALLOWED_BY_MARKET_STATE", message="product is in post only mode")


def _check_increments(terms: Terms, market: Market) -> None:
    product = terms.product
    if terms.quote_size is not None:
        if not is_multiple(terms.quote_size, product.quote_increment):
            raise Refused(preview="PREVIEW_INVALID_QUOTE_SIZE_PRECISION", message="quote_size has too many decimals")
    elif terms.base_size is not None and not is_multiple(terms.base_size, product.base_increment):
        raise Refused("INVALID_SIZE_PRECISION", message="base_size has too many decimals")
    if terms.limit_price is not None and not is_multiple(terms.limit_price, product.price_increment):
        raise Refused("INVALID_PRICE_PRECISION", message="limit_price is off the price increment")
    if terms.stop_price is not None and not is_multiple(terms.stop_price, product.price_increment):
        raise Refused(preview="PREVIEW_INVALID_STOP_PRICE_PRECISION", message="stop_price is off the price increment")


def _check_bounds(terms: Terms, market: Market) -> None:
    product = terms.product
    if max(terms.limit_price or 0, terms.stop_price or 0) > _MAX_PRICE:
        raise Refused(preview="PREVIEW_INVALID_PRICE_TOO_LARGE", message="price is too large")
    notional = terms.quote_size
    if terms.base_size is not None:
        if terms.base_size < product.base_min_size:
            raise Refused(preview="PREVIEW_INVALID_BASE_SIZE_TOO_SMALL", message="base_size is below base_min_size")
        if terms.base_size > product.base_max_size:
            raise Refused(preview="PREVIEW_INVALID_BASE_SIZE_TOO_LARGE", message="base_size is above base_max_size")
        notional = terms.base_size * (terms.limit_price or market.mid(product))
    if notional is not None and notional < product.quote_min_size:
        raise Refused(preview="PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL", message="order is below quote_min_size")
    if notional is not None and notional > product.quote_max_size:
        raise Refused(preview="PREVIEW_INVALID_QUOTE_SIZE_TOO_LARGE", message="order is above quote_max_size")


def _check_post_only(terms: Terms, market: Market) -> None:
    if not terms.post_only or terms.limit_price is None:
        return
    bid, ask = market.best(terms.product)
    if terms.limit_price >= ask if terms.side == "BUY" else terms.limit_price <= bid:
        raise Refused("INVALID_LIMIT_PRICE_POST_ONLY", message="post only order would take liquidity")


def _check_end(terms: Terms, market: Market) -> None:
    if terms.end_step is not None and terms.end_step <= market.clock.step:
        raise Refused("END_TIME_IS_IN_THE_PAST", message="end_time is in the past")


def _check_stop(terms: Terms, market: Market) -> None:
    if terms.stop_price is None or terms.limit_price is None:
        return
    last, buy = market.last(terms.product), terms.side == "BUY"
    if terms.stop_direction != ("STOP_DIRECTION_STOP_UP" if buy else "STOP_DIRECTION_STOP_DOWN"):
        raise Refused(preview="PREVIEW_INVALID_STOP_PRICE", message="stop_direction does not fit the side")
    if buy and terms.stop_price <= last:
        raise Refused(preview="PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE")
    if not buy and terms.stop_price >= last:
        raise Refused(preview="PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE")
    if buy and terms.stop_price > terms.limit_price:
        raise Refused(preview="PREVIEW_STOP_PRICE_ABOVE_LIMIT_PRICE")
    if not buy and terms.stop_price < terms.limit_price:
        raise Refused(preview="PREVIEW_STOP_PRICE_BELOW_LIMIT_PRICE")


_RULES: tuple[Callable[[Terms, Market], None], ...] = (
    _check_flags,
    _check_increments,
    _check_bounds,
    _check_post_only,
    _check_end,
    _check_stop,
)
