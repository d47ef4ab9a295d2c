"""What a venue's socket tells, as values. No venue's own words, no Django.

Every instant is aware UTC: `occurred_at` by the venue's clock, `received_at` by ours. `None`: the venue did not say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from apps.connectors.types import Candle, Quote, Side, VenueOrderState


class StreamChannel(StrEnum):
    """What can be subscribed to. Heartbeats come with every stream and are not asked for."""

    ORDERS = "orders"
    QUOTES = "quotes"
    TRADES = "trades"
    CANDLES = "candles"
    BOOK = "book"


class LossReason(StrEnum):
    """Why a stream may have missed something."""

    REFUSED = "refused"
    """The handshake or the subscribe was refused; `detail` says how."""
    CLOSED = "closed"
    """The connection ended."""
    SILENT = "silent"
    """It was open, and not even heartbeats came."""
    GAP = "gap"
    """Sequence numbers were skipped."""
    UNREADABLE = "unreadable"
    """What came is not what the venue documents."""


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """One order as the user channel tells it: cumulative figures, and no fill by itself.

    Match it by its ids, never by `instrument`: the venue may name the book that an alias shares. Fees are quote
    currency; `fills` is how many there are.
    """

    venue_order_id: str
    client_order_id: str
    instrument: str
    side: Side | None
    state: VenueOrderState
    venue_state: str
    filled_quantity: Decimal
    average_fill_price: Decimal | None
    total_fees: Decimal
    fills: int | None
    reason: str
    created_at: datetime | None


class Unreadable(ValueError):
    """What came is not what the venue documents. Names the field."""


class Ticker(NamedTuple):
    """Last price and best levels of one instrument. A quote is there where both sides are.

    `change_24h` is the last price's change over a day in percent.
    """

    instrument: str
    last: Decimal | None
    quote: Quote | None
    occurred_at: datetime
    received_at: datetime
    change_24h: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """One trade of the public tape. `side` is the maker's."""

    trade_id: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class BookLevel:
    """What rests at one price of one side; zero quantity: nothing any more."""

    side: Side
    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Live:
    """Everything asked for is subscribed, and what was there at the time has been told: nothing is missing from here
    on. What happened before has to be read elsewhere."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Lost:
    """From here on things may be missing, until `Live`. The stream connects again in `retry_in_s`."""

    at: datetime
    reason: LossReason
    detail: str
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class Beat:
    """The connection lives; or, with `heard` False, nothing came for a moment. Comes at least once a second."""

    at: datetime
    heard: bool


@dataclass(frozen=True, slots=True)
class Orders:
    """News of orders. A snapshot lists what is open, and comes in parts."""

    updates: tuple[OrderUpdate, ...]
    is_snapshot: bool
    received_at: datetime


@dataclass(slots=True)
class Tickers:
    """One message's tickers. Each is read when it is wanted: of most, a newer one comes before anybody looks.

    `unread` has them by instrument, in the venue's own words, for `read_one` alone.
    """

    unread: Mapping[str, object]
    read_one: Callable[[object, "Tickers"], Ticker]
    received_at: datetime
    envelope: object = None

    def read(self, instrument: str) -> Ticker:
        """One of `unread`. Raises Unreadable."""
        return self.read_one(self.unread[instrument], self)

    @property
    def tickers(self) -> tuple[Ticker, ...]:
        """All of them. Raises Unreadable."""
        return tuple(map(self.read, self.unread))


@dataclass(frozen=True, slots=True)
class Trades:
    """Newest first; a snapshot repeats some that may be known."""

    trades: tuple[PublicTrade, ...]
    is_snapshot: bool
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Candles:
    """Candles by instrument, as they stand: the newest is still open. `seconds` is their length."""

    candles: tuple[tuple[str, Candle], ...]
    seconds: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Book:
    """Levels of one instrument's book: all of them in a snapshot, else those that changed (quantities are absolute)."""

    instrument: str
    levels: tuple[BookLevel, ...]
    is_snapshot: bool
    occurred_at: datetime
    received_at: datetime


StreamEvent = Live | Lost | Beat | Orders | Tickers | Trades | Candles | Book
