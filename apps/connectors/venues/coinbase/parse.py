"""Coinbase's rows as our values (coinbase.md 3.5 to 3.8). Pure; raises `wire.Malformed`."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal
from enum import StrEnum
from typing import TypeVar

from apps.common.money import floor_to, total
from apps.connectors.types import (
    Balance,
    Candle,
    FeeRates,
    InstrumentSpec,
    Liquidity,
    OrderType,
    Permissions,
    Preview,
    Quote,
    Side,
    TimeInForce,
    TradeType,
    VenueFill,
    VenueOrder,
    VenueOrderState,
)
from apps.connectors.venues.coinbase import wire
from apps.connectors.venues.coinbase.bodies import CONFIGURATION_TERMS

_QUANTITY_STEP = Decimal("1e-18")
_WIDE = Context(prec=60, rounding=ROUND_FLOOR)

# CANCEL_QUEUED and EDIT_QUEUED still work at the venue; QUEUED does not yet.
_STATES: Mapping[str, VenueOrderState] = {
    "PENDING": VenueOrderState.PENDING,
    "QUEUED": VenueOrderState.PENDING,
    "OPEN": VenueOrderState.OPEN,
    "CANCEL_QUEUED": VenueOrderState.OPEN,
    "EDIT_QUEUED": VenueOrderState.OPEN,
    "FILLED": VenueOrderState.FILLED,
    "CANCELLED": VenueOrderState.CANCELED,
    "CANCELED": VenueOrderState.CANCELED,
    "EXPIRED": VenueOrderState.EXPIRED,
    "FAILED": VenueOrderState.REJECTED,
}
_ORDER_TYPES: Mapping[str, OrderType] = {item.value: item for item in OrderType}
_TIMES_IN_FORCE: Mapping[str, TimeInForce] = {
    "GOOD_UNTIL_CANCELLED": TimeInForce.GTC,
    "GOOD_UNTIL_DATE_TIME": TimeInForce.GTD,
    "IMMEDIATE_OR_CANCEL": TimeInForce.IOC,
    "FILL_OR_KILL": TimeInForce.FOK,
}
_NO_REJECT_REASON = frozenset({"", "REJECT_REASON_UNSPECIFIED"})
# Documentation says CRYPTO, production ACCOUNT_TYPE_CRYPTO. Anything else (vaults, futures) cannot be spent here.
_SPENDABLE_TYPES = frozenset({"", "CRYPTO", "FIAT", "ACCOUNT_TYPE_CRYPTO", "ACCOUNT_TYPE_FIAT"})
_OTHER_PLATFORMS = frozenset({"ACCOUNT_PLATFORM_CFM_CONSUMER", "ACCOUNT_PLATFORM_INTX"})
_NO_WARNING = frozenset({"", "UNKNOWN"})

E = TypeVar("E", bound=StrEnum)


def _member(kind: type[E], value: str, unknown: E) -> E:
    return kind(value) if value in kind.__members__ else unknown


def _side(row: wire.Row) -> Side:
    value = wire.text(row, "side")
    if value not in Side.__members__:
        raise wire.Malformed("side is unknown")
    return Side(value)


def is_spot(row: wire.Row) -> bool:
    """Rows that do not say are taken as spot: older captures leave the field out."""
    return wire.text_or_empty(row, "product_type") in {"", "SPOT"}


def balances(accounts: Iterable[wire.Row]) -> tuple[Balance, ...]:
    """Rows of one currency added up; closed accounts and those that cannot be spent here left out."""
    by_currency: dict[str, list[wire.Row]] = {}
    for row in accounts:
        if _counts(row):
            by_currency.setdefault(wire.text(row, "currency"), []).append(row)
    return tuple(
        Balance(
            currency=currency,
            available=total(_money(row, "available_balance") for row in rows),
            held=total(_money(row, "hold") for row in rows),
        )
        for currency, rows in sorted(by_currency.items())
    )


def _counts(row: wire.Row) -> bool:
    return (
        row.get("deleted_at") in (None, "")
        and wire.flag(row, "active", default=True)
        and wire.text_or_empty(row, "type") in _SPENDABLE_TYPES
        and wire.text_or_empty(row, "platform") not in _OTHER_PLATFORMS
    )


def _money(row: wire.Row, key: str) -> Decimal:
    value = row.get(key)
    return Decimal(0) if value is None else wire.decimal_or_zero(wire.row_of(value, key), "value")


def instrument(row: wire.Row, fetched_at: datetime) -> InstrumentSpec:
    """A product. `price_increment` is the tick; `quote_increment` is only the step of quote quantities."""
    stopped = ("is_disabled", "trading_disabled", "view_only", "auction_mode")
    return InstrumentSpec(
        code=wire.text(row, "product_id"),
        base_currency=wire.text(row, "base_currency_id"),
        quote_currency=wire.text(row, "quote_currency_id"),
        price_increment=_step(row, "price_increment"),
        quantity_increment=_step(row, "base_increment"),
        quote_increment=_step(row, "quote_increment"),
        min_quantity=wire.decimal(row, "base_min_size"),
        max_quantity=wire.decimal(row, "base_max_size"),
        min_notional=wire.decimal(row, "quote_min_size"),
        max_notional=wire.decimal(row, "quote_max_size"),
        tradable=wire.text_or_empty(row, "status") == "online"
        and not any(wire.flag(row, key, default=False) for key in stopped),
        cancel_only=wire.flag(row, "cancel_only", default=False),
        limit_only=wire.flag(row, "limit_only", default=False),
        post_only=wire.flag(row, "post_only", default=False),
        fetched_at=fetched_at,
    )


def _step(row: wire.Row, key: str) -> Decimal:
    step = wire.decimal(row, key)
    if step <= 0:
        raise wire.Malformed(f"{key} is not above zero")
    return step


def instruments(products: Iterable[wire.Row], fetched_at: datetime) -> tuple[InstrumentSpec, ...]:
    """Spot products, ordered by code. One without its numbers cannot be traded safely and is left out."""
    found: dict[str, InstrumentSpec] = {}
    for row in products:
        if not is_spot(row):
            continue
        try:
            spec = instrument(row, fetched_at)
        except wire.Malformed:
            continue
        found[spec.code] = spec
    return tuple(found[code] for code in sorted(found))


def quote(row: wire.Row, received_at: datetime) -> Quote | None:
    """A price book's best levels; None where a side or the time is missing."""
    bids, asks = wire.rows(row, "bids"), wire.rows(row, "asks")
    occurred_at = wire.instant_or_none(row, "time")
    if not bids or not asks or occurred_at is None:
        return None
    bid, ask = (wire.decimal_or_none(levels[0], "price") for levels in (bids, asks))
    if not bid or not ask or bid < 0 or ask < 0:
        return None
    return Quote(
        instrument=wire.text(row, "product_id"),
        bid=bid,
        ask=ask,
        bid_quantity=wire.decimal_or_zero(bids[0], "size"),
        ask_quantity=wire.decimal_or_zero(asks[0], "size"),
        occurred_at=occurred_at,
        received_at=received_at,
    )


def candle(row: wire.Row) -> Candle:
    return Candle(
        start=wire.epoch(row, "start", unit=timedelta(seconds=1)),
        open=wire.decimal(row, "open"),
        high=wire.decimal(row, "high"),
        low=wire.decimal(row, "low"),
        close=wire.decimal(row, "close"),
        volume=wire.decimal(row, "volume"),
    )


def permissions(row: wire.Row) -> Permissions:
    """All three must be said: what a key may do is not guessed."""
    return Permissions(
        can_view=wire.flag(row, "can_view"),
        can_trade=wire.flag(row, "can_trade"),
        can_transfer=wire.flag(row, "can_transfer"),
    )


def fee_rates(row: wire.Row) -> FeeRates:
    tier = wire.row_of(row.get("fee_tier"), "fee_tier")
    taker, maker = wire.decimal(tier, "taker_fee_rate"), wire.decimal(tier, "maker_fee_rate")
    if not (Decimal(-1) < maker < Decimal(1) and Decimal(0) <= taker < Decimal(1)):
        raise wire.Malformed("a fee rate is not a fraction")
    return FeeRates(taker=taker, maker=maker)


def server_time(row: wire.Row) -> datetime:
    return wire.epoch(row, "epochMillis", unit=timedelta(milliseconds=1))


def preview(row: wire.Row) -> Preview:
    errors = row.get("errs")
    warnings = row.get("warning")
    return Preview(
        order_total=wire.decimal_or_none(row, "order_total"),
        fee_total=wire.decimal_or_none(row, "commission_total"),
        quantity=wire.decimal_or_none(row, "base_size"),
        quote_quantity=wire.decimal_or_none(row, "quote_size"),
        best_bid=wire.decimal_or_none(row, "best_bid"),
        best_ask=wire.decimal_or_none(row, "best_ask"),
        errors=tuple(str(code) for code in errors) if isinstance(errors, list) else (),
        warnings=tuple(str(code) for code in warnings if code not in _NO_WARNING) if isinstance(warnings, list) else (),
    )


def order_state(venue_state: str, filled: Decimal) -> VenueOrderState:
    """Where an order is. A FAILED order that has fills is CANCELED: part of it did happen, the rest never will."""
    state = _STATES.get(venue_state, VenueOrderState.UNKNOWN)
    return VenueOrderState.CANCELED if state is VenueOrderState.REJECTED and filled > 0 else state


def order(row: wire.Row) -> VenueOrder:
    """One order."""
    key, terms = _configuration(row)
    known_type, known_force = CONFIGURATION_TERMS.get(key, (None, None))
    venue_state = wire.text_or_empty(row, "status")
    filled = wire.decimal_or_zero(row, "filled_size")
    state = order_state(venue_state, filled)
    created_at = wire.instant_or_none(row, "created_time")
    average = wire.decimal_or_none(row, "average_filled_price")
    return VenueOrder(
        venue_order_id=wire.text(row, "order_id"),
        client_order_id=wire.text_or_empty(row, "client_order_id"),
        instrument=wire.text(row, "product_id"),
        side=_side(row),
        state=state,
        venue_state=venue_state,
        order_type=_ORDER_TYPES.get(wire.text_or_empty(row, "order_type"), known_type),
        time_in_force=_TIMES_IN_FORCE.get(wire.text_or_empty(row, "time_in_force"), known_force),
        quantity=wire.decimal_or_none(terms, "base_size"),
        quote_quantity=wire.decimal_or_none(terms, "quote_size"),
        limit_price=wire.decimal_or_none(terms, "limit_price"),
        stop_price=wire.decimal_or_none(terms, "stop_price"),
        post_only=wire.flag(terms, "post_only", default=False),
        expires_at=wire.instant_or_none(terms, "end_time"),
        filled_quantity=filled,
        average_fill_price=average if average and filled > 0 else None,
        filled_notional=wire.decimal_or_zero(row, "filled_value"),
        total_fees=wire.decimal_or_zero(row, "total_fees"),
        cancel_pending=venue_state == "CANCEL_QUEUED" or wire.flag(row, "pending_cancel", default=False),
        reject_reason=_reject_reason(row, state),
        created_at=created_at,
        updated_at=wire.instant_or_none(row, "last_update_time")
        or wire.instant_or_none(row, "last_fill_time")
        or created_at,
    )


def _configuration(row: wire.Row) -> tuple[str, wire.Row]:
    configuration = row.get("order_configuration")
    if isinstance(configuration, Mapping) and len(configuration) == 1:
        ((key, terms),) = configuration.items()
        if isinstance(terms, Mapping):
            return str(key), terms
    return "", {}


def _reject_reason(row: wire.Row, state: VenueOrderState) -> str:
    if state not in {VenueOrderState.REJECTED, VenueOrderState.CANCELED}:
        return ""
    reason = wire.text_or_empty(row, "reject_reason")
    if reason not in _NO_REJECT_REASON:
        return reason
    return wire.text_or_empty(row, "reject_message") or wire.text_or_empty(row, "cancel_message")


def fill(row: wire.Row) -> VenueFill:
    """One fill, its quantity in base currency. The fee is in the quote currency of the instrument it names."""
    instrument_code = wire.text(row, "product_id")
    price = wire.decimal(row, "price")
    size = wire.decimal(row, "size")
    if wire.flag(row, "size_in_quote", default=False):
        if price <= 0:
            raise wire.Malformed("price is not above zero")
        size = floor_to(_WIDE.divide(size, price), _QUANTITY_STEP)
    return VenueFill(
        venue_fill_id=wire.text(row, "entry_id"),
        trade_id=wire.text_or_empty(row, "trade_id"),
        venue_order_id=wire.text(row, "order_id"),
        instrument=instrument_code,
        side=_side(row),
        trade_type=_member(TradeType, wire.text_or_empty(row, "trade_type"), TradeType.UNKNOWN),
        quantity=size,
        price=price,
        fee=wire.decimal_or_zero(row, "commission"),
        fee_currency=instrument_code.rpartition("-")[2],
        liquidity=_member(Liquidity, wire.text_or_empty(row, "liquidity_indicator"), Liquidity.UNKNOWN),
        occurred_at=wire.instant(row, "trade_time"),
    )
