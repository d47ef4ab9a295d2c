"""Coinbase's socket messages as our values (coinbase.md 5). Pure; raises `wire.Malformed`."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import orjson

from apps.connectors.stream_types import (
    Book,
    BookLevel,
    Candles,
    Orders,
    OrderUpdate,
    PublicTrade,
    StreamChannel,
    StreamEvent,
    Ticker,
    Tickers,
    Trades,
)
from apps.connectors.types import Quote, Side, VenueOrderState
from apps.connectors.venues.coinbase import parse, wire

HEARTBEATS = "heartbeats"
SUBSCRIPTIONS = "subscriptions"
CANDLE_S = 300
USER_SNAPSHOT_BATCH = 50

# What each is subscribed to as.
CHANNELS: Mapping[StreamChannel, str] = {
    StreamChannel.ORDERS: "user",
    StreamChannel.QUOTES: "ticker",
    StreamChannel.TRADES: "market_trades",
    StreamChannel.CANDLES: "candles",
    StreamChannel.BOOK: "level2",
}
_TICKER_NUMBERS = wire.Decimals(
    "best_bid", "best_ask", "best_bid_quantity", "best_ask_quantity", "price", "price_percent_chg_24_h",
)  # fmt: skip
_ZERO = Decimal(0)
# The documentation says offer; the word of the REST book is taken too.
_BOOK_SIDES: Mapping[str, Side] = {"bid": Side.BUY, "offer": Side.SELL, "ask": Side.SELL}


class Frame(NamedTuple):
    """An enveloped message, its events still as they came."""

    channel: str
    sequence: int
    row: wire.Row
    events: Sequence[wire.Row]

    @property
    def occurred_at(self) -> datetime:
        """When it was sent, by the venue's clock. Raises Malformed where it does not say."""
        return wire.instant(self.row, "timestamp")


@dataclass(frozen=True, slots=True)
class ErrorFrame:
    """The venue says no. It names no channel and has no number."""

    message: str


def frame(text: str | bytes) -> Frame | ErrorFrame:
    """One message of the socket. Amounts are texts; where the user's own would be numbers, they are decimals too."""
    try:
        row = wire.row_of(orjson.loads(text), "the message")
        if row.get("channel") == "user":
            row = wire.row_of(json.loads(text, parse_float=Decimal), "the message")
    except (ValueError, RecursionError) as error:
        if isinstance(error, wire.Malformed):
            raise
        raise wire.Malformed("the message is not JSON") from None
    if row.get("type") == "error":
        return ErrorFrame(wire.text_or_empty(row, "message"))
    number = row.get("sequence_num")
    if type(number) is not int:
        raise wire.Malformed("sequence_num is no number")
    return Frame(wire.text(row, "channel"), number, row, wire.rows(row, "events"))


def subscribed(frame: Frame) -> Mapping[str, object]:
    """What an acknowledgement says is live on the connection, by the venue's channel."""
    for event in frame.events:
        live = event.get("subscriptions")
        if isinstance(live, Mapping):
            return live
    raise wire.Malformed("subscriptions is missing")


def is_end_of_snapshot(frame: Frame) -> bool:
    """Whether this message of the user channel ends its snapshot: the first with fewer orders than a full batch."""
    return any(
        wire.text_or_empty(event, "type") == "snapshot" and len(wire.rows(event, "orders")) < USER_SNAPSHOT_BATCH
        for event in frame.events
    )


def events_of(frame: Frame, received_at: datetime) -> Iterator[StreamEvent]:
    """What a message of a data channel says. Unknown channels say nothing: new ones appear without notice."""
    reader = _READERS.get(frame.channel)
    for event in frame.events if reader else ():
        if reader is not None and (told := reader(frame, event, received_at)) is not None:
            yield told


def _is_snapshot(event: wire.Row) -> bool:
    return wire.text_or_empty(event, "type") == "snapshot"


def _orders(frame: Frame, event: wire.Row, received_at: datetime) -> Orders:
    rows = (row for row in wire.rows(event, "orders") if parse.is_spot(row))
    return Orders(tuple(map(order_update, rows)), _is_snapshot(event), received_at)


def order_update(row: wire.Row) -> OrderUpdate:
    """One row of the user channel. A FAILED order with fills is CANCELED: part of it did happen."""
    venue_state = wire.text_or_empty(row, "status")
    filled = wire.decimal_or_zero(row, "cumulative_quantity")
    state = parse.order_state(venue_state, filled)
    average = wire.decimal_or_none(row, "avg_price")
    side, fills = wire.text_or_empty(row, "order_side"), wire.decimal_or_none(row, "number_of_fills")
    said = (wire.text_or_empty(row, name) for name in ("reject_reason", "reject_Reason", "cancel_reason"))
    ended_badly = state in {VenueOrderState.REJECTED, VenueOrderState.CANCELED}
    return OrderUpdate(
        venue_order_id=wire.text(row, "order_id"),
        client_order_id=wire.text_or_empty(row, "client_order_id"),
        instrument=wire.text_or_empty(row, "product_id"),
        side=Side(side) if side in Side.__members__ else None,
        state=state,
        venue_state=venue_state,
        filled_quantity=filled,
        average_fill_price=average if average and filled > 0 else None,
        total_fees=wire.decimal_or_zero(row, "total_fees"),
        fills=None if fills is None else int(fills),
        reason=next((words for words in said if words), "") if ended_badly else "",
        created_at=wire.instant_or_none(row, "creation_time"),
    )


def _tickers(frame: Frame, event: wire.Row, received_at: datetime) -> Tickers:
    rows = {wire.text(row, "product_id"): row for row in wire.rows(event, "tickers")}
    return Tickers(rows, _ticker, received_at, frame.row)


def _ticker(row: object, of: Tickers) -> Ticker:
    occurred_at = wire.instant(wire.row_of(of.envelope, "the message"), "timestamp")
    return ticker(wire.row_of(row, "tickers"), occurred_at, of.received_at)


def ticker(row: wire.Row, occurred_at: datetime, received_at: datetime) -> Ticker:
    """A ticker has no time of its own: the message's is its."""
    instrument = wire.text(row, "product_id")
    bid, ask, bid_quantity, ask_quantity, last, change = _TICKER_NUMBERS.of(row)
    quote = None
    if bid and ask and bid > 0 and ask > 0:
        quote = Quote(
            instrument,
            bid,
            ask,
            _ZERO if bid_quantity is None else bid_quantity,
            _ZERO if ask_quantity is None else ask_quantity,
            occurred_at,
            received_at,
            last,
            change,
        )
    return Ticker(instrument, last, quote, occurred_at, received_at, change)


def _trades(frame: Frame, event: wire.Row, received_at: datetime) -> Trades:
    return Trades(tuple(map(_trade, wire.rows(event, "trades"))), _is_snapshot(event), received_at)


def _trade(row: wire.Row) -> PublicTrade:
    side = wire.text(row, "side")
    if side not in Side.__members__:
        raise wire.Malformed("side is unknown")
    return PublicTrade(
        trade_id=wire.text(row, "trade_id"),
        instrument=wire.text(row, "product_id"),
        side=Side(side),
        quantity=wire.decimal(row, "size"),
        price=wire.decimal(row, "price"),
        occurred_at=wire.instant(row, "time"),
    )


def _candles(frame: Frame, event: wire.Row, received_at: datetime) -> Candles:
    rows = wire.rows(event, "candles")
    return Candles(tuple((wire.text(row, "product_id"), parse.candle(row)) for row in rows), CANDLE_S, received_at)


def _book(frame: Frame, event: wire.Row, received_at: datetime) -> Book:
    levels = tuple(_levels(wire.rows(event, "updates")))
    instrument = wire.text(event, "product_id")
    return Book(instrument, levels, _is_snapshot(event), frame.occurred_at, received_at)


def _levels(rows: Iterable[wire.Row]) -> Iterator[BookLevel]:
    for row in rows:
        side = _BOOK_SIDES.get(wire.text(row, "side"))
        if side is None:
            raise wire.Malformed("side is unknown")
        yield BookLevel(side, wire.decimal(row, "price_level"), wire.decimal(row, "new_quantity"))


_READERS: Mapping[str, Callable[[Frame, wire.Row, datetime], StreamEvent | None]] = {
    "user": _orders,
    "ticker": _tickers,
    "market_trades": _trades,
    "candles": _candles,
    "l2_data": _book,
}


@dataclass(slots=True)
class Numbers:
    """One count per connection, over all its channels. The first number heard is where it begins."""

    last: int | None = None

    def missing(self, number: int) -> int:
        """How many messages were lost before this one; negative where this one is old and to be ignored."""
        between = 0 if self.last is None else number - self.last - 1
        if between >= 0:
            self.last = number
        return between
