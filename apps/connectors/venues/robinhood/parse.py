"""Robinhood's rows as our values (coinbase.md 8). Pure; raises `rows.Malformed`. Numbers come as text or as numbers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from apps.common.decimals import instant_text
from apps.common.money import total
from apps.connectors.types import (
    Balance,
    InstrumentSpec,
    Liquidity,
    OrderType,
    Quote,
    Side,
    TimeInForce,
    TradeType,
    VenueFill,
    VenueOrder,
    VenueOrderState,
)
from apps.connectors.venues import rows

# The venue tells no bound on an order's worth; this one stands for none.
NO_NOTIONAL_MAX: Final = Decimal(10) ** 15
TRADABLE: Final = "tradable"

_STATES: Mapping[str, VenueOrderState] = {
    "open": VenueOrderState.OPEN,
    "partially_filled": VenueOrderState.OPEN,
    "filled": VenueOrderState.FILLED,
    "canceled": VenueOrderState.CANCELED,
    "failed": VenueOrderState.REJECTED,
}
# A stop_loss is a stop at market, a kind Aika does not place.
_ORDER_TYPES: Mapping[str, OrderType] = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "stop_limit": OrderType.STOP_LIMIT,
}
_TIMES_IN_FORCE: Mapping[str, TimeInForce] = {"gtc": TimeInForce.GTC}


@dataclass(frozen=True, slots=True)
class EstimatedPrice:
    """What a unit of base would cost (BUY) or bring (SELL), in quote currency, were `quantity` of it traded at once.

    The venue's spread is in it. `occurred_at` by the venue's clock, `received_at` by ours. It promises nothing.
    """

    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    occurred_at: datetime
    received_at: datetime


# Selling brings the bid, buying costs the ask.
_ESTIMATES: Mapping[str, tuple[tuple[Side, str], ...]] = {
    "bid": ((Side.SELL, "bid_inclusive_of_sell_spread"),),
    "ask": ((Side.BUY, "ask_inclusive_of_buy_spread"),),
    "both": ((Side.SELL, "bid_inclusive_of_sell_spread"), (Side.BUY, "ask_inclusive_of_buy_spread")),
}


def accounts(row: rows.Row) -> list[rows.Row]:
    """The accounts of an answer: a list with pages, or the one account itself."""
    return list(rows.rows(row, "results")) if "results" in row else [row]


def account_status(row: rows.Row) -> str:
    """active, deactivated or sell_only."""
    return rows.text(row, "status")


def balances(cash: Iterable[rows.Row], holdings: Iterable[rows.Row]) -> tuple[Balance, ...]:
    """One row per currency. Of cash the venue tells only the buying power; what orders hold of it is not known."""
    found: dict[str, list[tuple[Decimal, Decimal]]] = {}
    for row in cash:
        power = rows.decimal(row, "buying_power")
        found.setdefault(rows.text(row, "buying_power_currency"), []).append((power, Decimal(0)))
    for row in holdings:
        whole, free = rows.decimal(row, "total_quantity"), rows.decimal(row, "quantity_available_for_trading")
        if not 0 <= free <= whole:
            raise rows.Malformed("quantity_available_for_trading is not within total_quantity")
        found.setdefault(rows.text(row, "asset_code"), []).append((free, whole - free))
    return tuple(
        Balance(currency=currency, available=total(a for a, _ in pairs), held=total(h for _, h in pairs))
        for currency, pairs in sorted(found.items())
    )


def instrument(row: rows.Row, fetched_at: datetime) -> InstrumentSpec:
    """A trading pair. The venue tells no bounds on an order's worth: the least is zero, the most `NO_NOTIONAL_MAX`."""
    quote_step, asset_step = rows.decimal(row, "quote_increment"), rows.decimal(row, "asset_increment")
    if quote_step <= 0 or asset_step <= 0:
        raise rows.Malformed("an increment is not above zero")
    return InstrumentSpec(
        code=rows.text(row, "symbol"),
        base_currency=rows.text(row, "asset_code"),
        quote_currency=rows.text(row, "quote_code"),
        price_increment=quote_step,
        quantity_increment=asset_step,
        quote_increment=quote_step,
        min_quantity=rows.decimal(row, "min_order_size"),
        max_quantity=rows.decimal(row, "max_order_size"),
        min_notional=Decimal(0),
        max_notional=NO_NOTIONAL_MAX,
        tradable=rows.text_or_empty(row, "status") == TRADABLE,
        cancel_only=False,
        limit_only=False,
        post_only=False,
        fetched_at=fetched_at,
    )


def instruments(pairs: Iterable[rows.Row], fetched_at: datetime) -> tuple[InstrumentSpec, ...]:
    """Pairs ordered by code. One without its numbers is left out."""
    found: dict[str, InstrumentSpec] = {}
    for row in pairs:
        try:
            spec = instrument(row, fetched_at)
        except rows.Malformed:
            continue
        found[spec.code] = spec
    return tuple(found[code] for code in sorted(found))


def quote(row: rows.Row, received_at: datetime) -> Quote | None:
    """What buying and selling costs here, the venue's spread included; no order book stands behind it, so no sizes.

    None where a side or the time is missing.
    """
    bid = rows.decimal_or_none(row, "bid_inclusive_of_sell_spread")
    ask = rows.decimal_or_none(row, "ask_inclusive_of_buy_spread")
    occurred_at = rows.instant_or_none(row, "timestamp")
    if not bid or not ask or bid < 0 or ask < 0 or occurred_at is None:
        return None
    return Quote(
        instrument=rows.text(row, "symbol"),
        bid=bid,
        ask=ask,
        bid_quantity=Decimal(0),
        ask_quantity=Decimal(0),
        occurred_at=occurred_at,
        received_at=received_at,
    )


def estimated_prices(row: rows.Row, received_at: datetime) -> Iterator[EstimatedPrice]:
    """The sides that a row estimates. One whose price is not told, or not above zero, is left out."""
    for side, key in _ESTIMATES.get(rows.text(row, "side").lower(), ()):
        price = rows.decimal_or_none(row, key)
        if price is not None and price > 0:
            yield EstimatedPrice(
                instrument=rows.text(row, "symbol"),
                side=side,
                quantity=rows.decimal(row, "quantity"),
                price=price,
                occurred_at=rows.instant(row, "timestamp"),
                received_at=received_at,
            )


def side_of(row: rows.Row) -> Side:
    value = rows.text(row, "side").upper()
    if value not in Side.__members__:
        raise rows.Malformed("side is unknown")
    return Side(value)


def order(row: rows.Row) -> VenueOrder:
    """One order. There are no fees: what trading costs is inside the price. A failed order with fills was canceled."""
    kind, terms = _configuration(row)
    venue_state = rows.text_or_empty(row, "state")
    filled = rows.decimal_or_zero(row, "filled_asset_quantity")
    state = _STATES.get(venue_state, VenueOrderState.UNKNOWN)
    if state is VenueOrderState.REJECTED and filled > 0:
        state = VenueOrderState.CANCELED
    average = rows.decimal_or_none(row, "average_price")
    created_at = rows.instant_or_none(row, "created_at")
    market = OrderType.MARKET if kind == "market" else None
    return VenueOrder(
        venue_order_id=rows.text(row, "id"),
        client_order_id=rows.text_or_empty(row, "client_order_id"),
        instrument=rows.text(row, "symbol"),
        side=side_of(row),
        state=state,
        venue_state=venue_state,
        order_type=_ORDER_TYPES.get(kind),
        time_in_force=_TIMES_IN_FORCE.get(rows.text_or_empty(terms, "time_in_force").lower())
        or (TimeInForce.IOC if market else None),
        quantity=rows.decimal_or_none(terms, "asset_quantity"),
        quote_quantity=rows.decimal_or_none(terms, "quote_amount"),
        limit_price=rows.decimal_or_none(terms, "limit_price"),
        stop_price=rows.decimal_or_none(terms, "stop_price"),
        post_only=False,
        expires_at=None,
        filled_quantity=filled,
        average_fill_price=average if average and filled > 0 else None,
        filled_notional=total(_exact(item) for item in rows.rows(row, "executions")),
        total_fees=Decimal(0),
        cancel_pending=False,
        reject_reason=venue_state if state is VenueOrderState.REJECTED else "",
        created_at=created_at,
        updated_at=rows.instant_or_none(row, "updated_at") or created_at,
    )


def _configuration(row: rows.Row) -> tuple[str, rows.Row]:
    kind = rows.text_or_empty(row, "type")
    terms = row.get(f"{kind}_order_config")
    return kind, terms if isinstance(terms, Mapping) else {}


def _exact(execution: rows.Row) -> Decimal:
    return rows.decimal(execution, "effective_price") * rows.decimal(execution, "quantity")


def fills(row: rows.Row) -> tuple[VenueFill, ...]:
    """An order's executions, oldest first. They have no ids: order, instant and turn within the instant name one."""
    order_id, code, side = rows.text(row, "id"), rows.text(row, "symbol"), side_of(row)
    told = sorted(
        (rows.instant(item, "timestamp"), rows.decimal(item, "effective_price"), rows.decimal(item, "quantity"))
        for item in rows.rows(row, "executions")
    )
    turns: dict[datetime, int] = {}
    found = []
    for at, price, quantity in told:
        turns[at] = turns.get(at, 0) + 1
        name = f"{order_id}:{instant_text(at)}:{turns[at]}"
        found.append(
            VenueFill(
                venue_fill_id=name,
                trade_id=name,
                venue_order_id=order_id,
                instrument=code,
                side=side,
                trade_type=TradeType.FILL,
                quantity=quantity,
                price=price,
                fee=Decimal(0),
                fee_currency=code.rpartition("-")[2],
                liquidity=Liquidity.UNKNOWN,
                occurred_at=at,
            )
        )
    return tuple(found)
