"""What the rest of Aika knows about a venue: values in, values out. No venue's own words, no Django.

Quantities are in base currency, quote quantities in quote currency, prices in quote currency per unit of base.
Every instant is aware UTC. `None` means that the venue did not say.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, Protocol

from apps.connectors.venue_types import Venue as Venue
from apps.connectors.venue_types import venue_title as venue_title


class Environment(StrEnum):
    """Whether money can move: paper is the simulator or a venue's test system, live is real money."""

    PAPER = "paper"
    LIVE = "live"


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP_LIMIT = "STOP_LIMIT"


class TimeInForce(StrEnum):
    """GTC until cancelled, IOC now or cancel the rest, FOK all now or nothing, GTD until `expires_at`."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class VenueOrderState(StrEnum):
    """Where the venue says an order is. A partial fill is OPEN (or CANCELED, EXPIRED) with a filled quantity.

    UNKNOWN is a state the venue named and we do not know: never treat it as final.
    """

    PENDING = "PENDING"
    OPEN = "OPEN"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"

    @property
    def is_final(self) -> bool:
        return self in {self.FILLED, self.CANCELED, self.EXPIRED, self.REJECTED}


class Liquidity(StrEnum):
    MAKER = "MAKER"
    TAKER = "TAKER"
    UNKNOWN = "UNKNOWN"


class TradeType(StrEnum):
    """What a row of the fills list is. A REVERSAL or CORRECTION takes back or amends an earlier one."""

    FILL = "FILL"
    REVERSAL = "REVERSAL"
    CORRECTION = "CORRECTION"
    SYNTHETIC = "SYNTHETIC"
    UNKNOWN = "UNKNOWN"


class Granularity(StrEnum):
    """Length of a candle; the member's `seconds` is its length."""

    ONE_MINUTE = "ONE_MINUTE"
    FIVE_MINUTE = "FIVE_MINUTE"
    FIFTEEN_MINUTE = "FIFTEEN_MINUTE"
    THIRTY_MINUTE = "THIRTY_MINUTE"
    ONE_HOUR = "ONE_HOUR"
    TWO_HOUR = "TWO_HOUR"
    SIX_HOUR = "SIX_HOUR"
    ONE_DAY = "ONE_DAY"

    @property
    def seconds(self) -> int:
        return _GRANULARITY_SECONDS[self]


_GRANULARITY_SECONDS: Mapping[Granularity, int] = {
    Granularity.ONE_MINUTE: 60,
    Granularity.FIVE_MINUTE: 300,
    Granularity.FIFTEEN_MINUTE: 900,
    Granularity.THIRTY_MINUTE: 1_800,
    Granularity.ONE_HOUR: 3_600,
    Granularity.TWO_HOUR: 7_200,
    Granularity.SIX_HOUR: 21_600,
    Granularity.ONE_DAY: 86_400,
}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a connector claims, and what its venue spec therefore asks of it."""

    places_orders: bool
    previews: bool
    candles: bool
    fee_rates: bool
    market_by_quote_quantity: bool
    order_terms: frozenset[tuple[OrderType, TimeInForce]]


@dataclass(frozen=True, slots=True)
class InstrumentSpec:
    """One tradable thing at one venue and the steps and bounds of its numbers.

    `tradable` is False where the venue takes no order at all (disabled, halted, offline, an auction, view only).
    """

    code: str
    base_currency: str
    quote_currency: str
    price_increment: Decimal
    quantity_increment: Decimal
    quote_increment: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    max_notional: Decimal
    tradable: bool
    cancel_only: bool
    limit_only: bool
    post_only: bool
    fetched_at: datetime


QUOTE_AGE_S_MAX: Final = 10
"""Seconds after which a price that was heard is stale, everywhere: on pages, to programs, and to policy, to which it is
no price then. Rules and tiers may be stricter, none is looser."""


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask. `occurred_at` by the venue's clock, `received_at` by ours.

    `last` is the price of the last public trade, `change_24h` its change over a day in percent, where they are known.
    """

    instrument: str
    bid: Decimal
    ask: Decimal
    bid_quantity: Decimal
    ask_quantity: Decimal
    occurred_at: datetime
    received_at: datetime
    last: Decimal | None = None
    change_24h: Decimal | None = None

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True)
class Candle:
    """Prices and base volume of one interval beginning at `start`."""

    start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class Balance:
    """All rows of one currency added up. `available` may be spent, `held` is locked in open orders."""

    currency: str
    available: Decimal
    held: Decimal

    @property
    def total(self) -> Decimal:
        return self.available + self.held


@dataclass(frozen=True, slots=True)
class FeeRates:
    """Fractions of notional: 0.006 is 60 basis points."""

    taker: Decimal
    maker: Decimal


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the key may do. Aika refuses a key with `can_transfer`."""

    can_view: bool
    can_trade: bool
    can_transfer: bool


@dataclass(frozen=True, slots=True)
class ServerTime:
    """The venue's clock and how far it is ahead of ours (seconds; half the round trip is its error)."""

    at: datetime
    ahead_s: Decimal
    round_trip_s: Decimal


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What is asked of a venue, in our words. Exactly one of `quantity` and `quote_quantity` is set."""

    client_order_id: str
    instrument: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    post_only: bool = False
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What the venue says an order would cost now. It reserves nothing and promises nothing.

    `errors` are the venue's reasons why it would refuse; empty means that it would take it.
    """

    order_total: Decimal | None
    fee_total: Decimal | None
    quantity: Decimal | None
    quote_quantity: Decimal | None
    best_bid: Decimal | None
    best_ask: Decimal | None
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """The venue took the order. Taken is not filled: it may still be refused while it is pending."""

    venue_order_id: str
    client_order_id: str
    instrument: str
    side: Side


@dataclass(frozen=True, slots=True)
class CancelResult:
    """`requested` says that the venue took the request; the order may still fill. Read the order to know.

    With `requested` False, `read_order` says that the reason is no error (already filled, already cancelling).
    """

    venue_order_id: str
    requested: bool
    reason: str = ""
    read_order: bool = False


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue tells it. Cumulative figures: `filled_quantity` in base, `total_fees` in quote currency.

    `quantity` is None for an order sized in quote currency, `quote_quantity` for one sized in base.
    `order_type` and `time_in_force` are None for kinds Aika does not place; `created_at` is None where not told.
    """

    venue_order_id: str
    client_order_id: str
    instrument: str
    side: Side
    state: VenueOrderState
    venue_state: str
    order_type: OrderType | None
    time_in_force: TimeInForce | None
    quantity: Decimal | None
    quote_quantity: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    post_only: bool
    expires_at: datetime | None
    filled_quantity: Decimal
    average_fill_price: Decimal | None
    filled_notional: Decimal
    total_fees: Decimal
    cancel_pending: bool
    reject_reason: str
    created_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class VenueFill:
    """One row of the venue's fills: `venue_fill_id` is its unique id, `trade_id` is unique among FILL rows only.

    `quantity` is in base currency whatever the venue sized the fill in. `fee` is positive when paid.
    """

    venue_fill_id: str
    trade_id: str
    venue_order_id: str
    instrument: str
    side: Side
    trade_type: TradeType
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    liquidity: Liquidity
    occurred_at: datetime


class Connector(Protocol):
    """One authorised link to one venue. Thread safe; no verb moves money out.

    Every call may raise Unavailable (nothing happened, try later), CredentialsRefused or another Misconfigured (an
    operator must act). A call inside a database transaction is refused with Misconfigured.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    def server_time(self) -> ServerTime: ...

    def permissions(self) -> Permissions: ...

    def balances(self) -> tuple[Balance, ...]:
        """One row per currency, zero rows included, ordered by currency."""
        ...

    def instruments(self) -> tuple[InstrumentSpec, ...]:
        """Spot instruments, ordered by code."""
        ...

    def quotes(self, codes: Sequence[str]) -> Mapping[str, Quote]:
        """By code; a code without two sides, or unknown to the venue, is absent."""
        ...

    def candles(self, code: str, granularity: Granularity, start: datetime, end: datetime) -> tuple[Candle, ...]:
        """Intervals beginning in [start, end), oldest first, gaps where nothing traded. NotFound: no instrument."""
        ...

    def fee_rates(self) -> FeeRates: ...

    def preview(self, request: OrderRequest) -> Preview: ...

    def place_order(self, body: bytes, *, gate: AbstractContextManager[None] | None = None) -> Placement:
        """Send exactly these bytes (of `services.venue.order_body`), once. `gate` is held while they are written, and
        not while the answer is awaited; what entering it raises means that nothing was sent.

        Rejected: documented proof that no order came of it. AlreadyExists: an order with this client_order_id is there.
        Mismatch: accepted, but it is not the order that was asked. Unavailable, CredentialsRefused: not accepted.
        OutcomeUnknown: everything else; find out by `orders`, never by sending again at once.
        """
        ...

    def cancel_orders(self, venue_order_ids: Sequence[str]) -> tuple[CancelResult, ...]: ...

    def order(self, venue_order_id: str) -> VenueOrder:
        """NotFound where the venue says so; shortly after placing that proves nothing."""
        ...

    def orders(self, codes: Sequence[str], since: datetime, until: datetime) -> tuple[VenueOrder, ...]:
        """Orders of every state created in [since, until), newest first. Absence from one answer proves nothing."""
        ...

    def open_orders(self) -> tuple[VenueOrder, ...]:
        """Every order that is not over, whoever placed it and however long ago. It may miss what was just placed."""
        ...

    def fills(
        self, venue_order_id: str | None = None, codes: Sequence[str] = (), since: datetime | None = None
    ) -> tuple[VenueFill, ...]:
        """Fills of one order, or of instruments since an instant (the two cannot be combined), oldest first."""
        ...

    def close(self) -> None: ...
