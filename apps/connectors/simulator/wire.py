"""The JSON of the wire: every field the recorded replies have, decimals as text."""

import json
import uuid
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from apps.connectors.simulator import history
from apps.connectors.simulator.amounts import ZERO, rounded_text, text_of
from apps.connectors.simulator.book import Level
from apps.connectors.simulator.clock import Clock, rfc3339
from apps.connectors.simulator.exchange import Estimate, Exchange
from apps.connectors.simulator.market import Market
from apps.connectors.simulator.products import FIAT, Product
from apps.connectors.simulator.records import Balance, Fill, Order

Json = dict[str, Any]


def number(value: Decimal) -> Any:
    """A JSON number, in the few places where the venue sends one for money. Its decimal text decides its value."""
    return json.loads(text_of(value))


def account(balance: Balance, portfolio_id: str) -> Json:
    """One row of GET accounts."""
    fiat = balance.currency in FIAT
    return {
        "uuid": balance.uuid,
        "name": f"{balance.currency} Wallet",
        "currency": balance.currency,
        "available_balance": {"value": text_of(balance.available), "currency": balance.currency},
        "default": True,
        "active": True,
        "created_at": rfc3339(balance.created),
        "updated_at": rfc3339(balance.updated),
        "deleted_at": None,
        "type": "ACCOUNT_TYPE_FIAT" if fiat else "ACCOUNT_TYPE_CRYPTO",
        "ready": True,
        "hold": {"value": text_of(balance.hold), "currency": balance.currency},
        "retail_portfolio_id": portfolio_id,
        "platform": "ACCOUNT_PLATFORM_CONSUMER",
    }


def product(item: Product, market: Market) -> Json:
    """One product. A disabled one has no prices, only empty text."""
    dead = market.has_flag(item, "is_disabled")
    last, day = market.last(item), market.day(item)
    before, volume = day.before, day.volume
    earlier = history.volume_of_day(market.seed, item.product_id, market.clock.step // 3600 - 24)
    body: Json = {
        "product_id": item.product_id,
        "price": "" if dead else text_of(last),
        "price_percentage_change_24h": "" if dead else rounded_text((last - before) * 100 / before, 14),
        "volume_24h": "" if dead else text_of(volume),
        "volume_percentage_change_24h": "" if dead else rounded_text((volume - earlier) * 100 / earlier, 14),
        "base_increment": text_of(item.base_increment),
        "quote_increment": text_of(item.quote_increment),
        "quote_min_size": text_of(item.quote_min_size),
        "quote_max_size": text_of(item.quote_max_size),
        "base_min_size": text_of(item.base_min_size),
        "base_max_size": text_of(item.base_max_size),
        "base_name": item.base_name,
        "quote_name": item.quote_name,
        "status": "offline" if dead else "online",
        "product_type": "SPOT",
        "quote_currency_id": item.quote_currency,
        "base_currency_id": item.base_currency,
        "alias": item.alias,
        "alias_to": list(item.alias_to),
        "base_display_symbol": item.base_currency,
        # An alias shows the symbol of the book it shares, not of the currency it settles in.
        "quote_display_symbol": "USD",
        "price_increment": text_of(item.price_increment),
        "display_name": item.product_id,
        "product_venue": "CBE",
        "approximate_quote_24h_volume": "" if dead else rounded_text(volume * last, 2),
        "new_at": "2023-01-01T00:00:00Z",
    }
    for flag in ("is_disabled", "cancel_only", "limit_only", "post_only", "trading_disabled", "auction_mode"):
        body[flag] = market.has_flag(item, flag)
    return body | {"view_only": market.has_flag(item, "view_only")} | _UNUSED_OF_PRODUCT


_UNUSED_OF_PRODUCT: Json = {
    "watched": False,
    "new": False,
    "fcm_trading_session_details": None,
    "mid_market_price": "",
    "market_cap": "",
    "base_cbrn": "",
    "quote_cbrn": "",
    "product_cbrn": "",
    "icon_color": "",
    "icon_url": "",
    "display_name_overwrite": "",
    "is_alpha_testing": False,
    "about_description": "",
    "best_bid_price": "",
    "best_ask_price": "",
}


def pricebook(item: Product, market: Market, depth: int, age_ms: int = 0) -> Json:
    """`depth` levels of each side, as they have been for `age_ms`; a disabled product has none."""
    dead, step = market.has_flag(item, "is_disabled"), market.clock.step
    return {
        "product_id": item.product_id,
        "bids": [] if dead else _levels(market.levels(item, "bids", step), depth),
        "asks": [] if dead else _levels(market.levels(item, "asks", step), depth),
        "time": rfc3339(max(Clock.micros() - age_ms * 1000, 0)),
    }


def _levels(levels: Iterable[Level], depth: int) -> list[Json]:
    return [{"price": text_of(level.price), "size": text_of(level.size)} for level in islice(levels, depth)]


def product_book(item: Product, market: Market, depth: int) -> Json:
    """GET product_book."""
    bid, ask = market.best(item)
    mid = (bid + ask) / 2
    return {
        "pricebook": pricebook(item, market, depth),
        "last": text_of(market.last(item)),
        "mid_market": text_of(mid),
        "spread_bps": rounded_text((ask - bid) * 10_000 / mid, 12),
        "spread_absolute": text_of(ask - bid),
    }


def candle(item: history.Candle) -> Json:
    """One candle, all text."""
    return {
        "start": str(item.start),
        "low": text_of(item.low),
        "high": text_of(item.high),
        "open": text_of(item.open),
        "close": text_of(item.close),
        "volume": text_of(item.volume),
    }


def public_trade(item: Product, trade: history.Print) -> Json:
    """One print of the tape."""
    return {
        "trade_id": str(trade.trade_id),
        "product_id": item.product_id,
        "price": text_of(trade.price),
        "size": text_of(trade.size),
        "time": rfc3339(trade.micros),
        "side": trade.side,
        "bid": "",
        "ask": "",
        "exchange": "coinbase",
    }


def _completion(order: Order) -> str:
    if order.base_size is None:
        return "100" if order.status == "FILLED" else "0"
    return rounded_text(order.filled_size * 100 / order.base_size, 8)


def _trigger_status(order: Order) -> str:
    if order.order_type != "STOP_LIMIT":
        return "INVALID_ORDER_TYPE"
    return "STOP_TRIGGERED" if order.triggered else "STOP_PENDING"


def order(item: Order, user_id: str, portfolio_id: str) -> Json:
    """The order object of get and list."""
    average = item.filled_value / item.filled_size if item.filled_size else ZERO
    after = item.filled_value + (item.total_fees if item.side == "BUY" else -item.total_fees)
    in_quote = item.base_size is None
    return {
        "order_id": item.order_id,
        "product_id": item.product_id,
        "user_id": user_id,
        "order_configuration": item.configuration,
        "side": item.side,
        "client_order_id": item.client_order_id,
        "status": item.status,
        "time_in_force": item.time_in_force,
        "created_time": rfc3339(item.created),
        "completion_percentage": _completion(item),
        "filled_size": text_of(item.filled_size),
        "average_filled_price": rounded_text(average),
        "fee": "",
        "number_of_fills": str(item.number_of_fills),
        "filled_value": text_of(item.filled_value),
        "pending_cancel": item.status == "CANCEL_QUEUED",
        "size_in_quote": in_quote,
        "total_fees": text_of(item.total_fees),
        "size_inclusive_of_fees": in_quote,
        "total_value_after_fees": text_of(after),
        "trigger_status": _trigger_status(item),
        "order_type": item.order_type,
        "reject_reason": "REJECT_REASON_UNSPECIFIED",
        "settled": item.status == "FILLED",
        "product_type": "SPOT",
        "reject_message": "",
        "cancel_message": item.cancel_message,
        "order_placement_source": "RETAIL_ADVANCED",
        "outstanding_hold_amount": text_of(item.hold),
        "is_liquidation": False,
        "last_fill_time": None if item.last_fill is None else rfc3339(item.last_fill),
        "last_update_time": rfc3339(item.updated),
        "edit_history": [],
        "leverage": "",
        "margin_type": "",
        "retail_portfolio_id": portfolio_id,
        "originating_order_id": "",
        "attached_order_id": "",
        "attached_order_configuration": None,
    }


def fill(item: Fill, user_id: str, portfolio_id: str) -> Json:
    """One row of the fills list. For a quote-sized buy `size` is quote currency, and divides exactly."""
    moment = rfc3339(item.micros)
    return {
        "entry_id": item.entry_id,
        "trade_id": item.trade_id,
        "order_id": item.order_id,
        # Nanoseconds, as the live venue sends them; readers that keep six digits must cut.
        "trade_time": f"{moment[:-1]}090Z",
        "trade_type": item.trade_type,
        "price": text_of(item.price),
        "size": text_of(item.base * item.price if item.size_in_quote else item.base),
        "commission": text_of(item.commission),
        "product_id": item.product_id,
        "sequence_timestamp": moment,
        "liquidity_indicator": item.liquidity,
        "size_in_quote": item.size_in_quote,
        "user_id": user_id,
        "side": item.side,
        "retail_portfolio_id": portfolio_id,
    }


def preview(estimate: Estimate, exchange: Exchange) -> Json:
    """The reply to orders/preview: refusals are entries of `errs`, never an HTTP error."""
    bid, ask, in_quote, buy = "", "", False, True
    if estimate.terms is not None:
        best_bid, best_ask = exchange.market.best(estimate.terms.product)
        bid, ask = text_of(best_bid), text_of(best_ask)
        in_quote, buy = estimate.terms.quote_size is not None, estimate.terms.side == "BUY"
    total = estimate.value + (estimate.fee if buy else -estimate.fee)
    mid = (Decimal(bid) + Decimal(ask)) / 2 if bid else ZERO
    average = estimate.value / estimate.base if estimate.base else ZERO
    slippage = abs(average - mid) / mid if estimate.base and mid else ZERO
    return {
        "order_total": text_of(total),
        "commission_total": text_of(estimate.fee),
        "errs": [] if estimate.refusal is None else [estimate.refusal.preview_error()],
        "warning": [],
        "quote_size": text_of(estimate.value if not in_quote else total),
        "base_size": text_of(estimate.base),
        "best_bid": bid,
        "best_ask": ask,
        "is_max": False,
        "order_margin_total": "",
        "leverage": "",
        "long_leverage": "",
        "short_leverage": "",
        "slippage": rounded_text(slippage),
        "preview_id": "" if estimate.refusal else str(uuid.uuid4()),
        "current_liquidation_buffer": "",
        "projected_liquidation_buffer": "",
        "max_leverage": "",
        "pnl_configuration": None,
        "average_filled_price": rounded_text(average),
    }


def transaction_summary(exchange: Exchange, fills: list[Fill]) -> Json:
    """Fee rates as fractions in text; volumes and fees as JSON numbers."""
    volume = number(sum((item.base * item.price for item in fills), ZERO).quantize(Decimal("0.01")))
    paid = number(sum((item.commission for item in fills), ZERO).quantize(Decimal("0.01")))
    types = ["VOLUME_TYPE_SPOT", "VOLUME_TYPE_US_DERIVATIVES"]
    return {
        "total_volume": volume,
        "total_fees": paid,
        "fee_tier": {
            "pricing_tier": "Advanced 1",
            "usd_from": "",
            "usd_to": "",
            "taker_fee_rate": text_of(exchange.fees.taker),
            "maker_fee_rate": text_of(exchange.fees.maker),
            "aop_from": "0",
            "aop_to": "1000000",
            "perps_vol_from": "",
            "perps_vol_to": "",
            "futures_vol_from": "",
            "futures_vol_to": "",
            "volume_types_and_range": [{"volume_types": types, "vol_from": "0", "vol_to": "10000"}],
        },
        "margin_rate": None,
        "goods_and_services_tax": None,
        "advanced_trade_only_volume": volume,
        "advanced_trade_only_fees": paid,
        "coinbase_pro_volume": 0,
        "coinbase_pro_fees": 0,
        "total_balance": rounded_text(exchange.account_value(), 2),
        "has_promo_fee": False,
        "volume_breakdown": [
            {"volume_type": types[0], "volume": volume},
            {"volume_type": types[1], "volume": 0},
        ],
        "has_cost_plus_commission": False,
    }


def server_time() -> Json:
    """GET time: always the wall clock, also while the path stands still."""
    now = Clock.micros()
    whole = datetime.fromisoformat(rfc3339(now)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"iso": whole, "epochSeconds": str(now // 1_000_000), "epochMillis": str(now // 1000)}
