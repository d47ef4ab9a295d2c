"""Quotes as plain records: texts and small integers, as the API says them."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from apps.common.decimals import decimal_text, instant_text
from apps.quotes.types import is_stale

if TYPE_CHECKING:
    from apps.connectors.models import Instrument
    from apps.connectors.types import Quote
    from apps.quotes.rules.candles import Kept


def quote_record(quote: "Quote", *, now: datetime) -> dict[str, Any]:
    """A quote with its age in milliseconds."""
    return {
        "bid": decimal_text(quote.bid),
        "ask": decimal_text(quote.ask),
        "mid": decimal_text(quote.mid),
        "bid_quantity": decimal_text(quote.bid_quantity),
        "ask_quantity": decimal_text(quote.ask_quantity),
        "last": None if quote.last is None else decimal_text(quote.last),
        "change_24h": None if quote.change_24h is None else decimal_text(quote.change_24h),
        "occurred_at": instant_text(quote.occurred_at),
        "received_at": instant_text(quote.received_at),
        "age_ms": max(int((now - quote.received_at).total_seconds() * 1000), 0),
        "stale": is_stale(quote.received_at, now),
    }


def candle_record(kept: "Kept") -> dict[str, Any]:
    """A candle as the API says it."""
    one = kept.candle
    return {
        "start": instant_text(one.start),
        "open": decimal_text(one.open),
        "high": decimal_text(one.high),
        "low": decimal_text(one.low),
        "close": decimal_text(one.close),
        "volume": decimal_text(one.volume),
        "final": kept.final,
    }


def instrument_record(row: "Instrument", quote: "Quote | None", *, now: datetime) -> dict[str, Any]:
    """An instrument with the venue's steps and bounds, and its last quote."""
    return {
        "instrument": row.code,
        "base_currency": row.base_currency,
        "quote_currency": row.quote_currency,
        "tradable": row.tradable,
        "cancel_only": row.cancel_only,
        "limit_only": row.limit_only,
        "post_only": row.post_only,
        "price_increment": decimal_text(row.price_increment),
        "quantity_increment": decimal_text(row.quantity_increment),
        "quote_increment": decimal_text(row.quote_increment),
        "min_quantity": decimal_text(row.min_quantity),
        "max_quantity": decimal_text(row.max_quantity),
        "min_notional": decimal_text(row.min_notional),
        "max_notional": decimal_text(row.max_notional),
        "fetched_at": instant_text(row.fetched_at),
        "quote": None if quote is None else quote_record(quote, now=now),
    }
