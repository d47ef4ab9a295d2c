"""Values of this app. No Django here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Self

from apps.connectors.types import QUOTE_AGE_S_MAX as QUOTE_AGE_S_MAX
from apps.connectors.types import Quote


def is_stale(received_at: datetime, now: datetime) -> bool:
    """Whether a price was heard too long ago to be the price, wherever it is shown."""
    return now - received_at > timedelta(seconds=QUOTE_AGE_S_MAX)


class Topic(NamedTuple):
    """One instrument where prices come from: connections of the same venue and address share a market."""

    market: str
    instrument: str


class Item(NamedTuple):
    """What a socket subscribes to: an instrument over one of its connections, and the topic that brings it."""

    connection: str
    instrument: str
    topic: Topic


class Tick(NamedTuple):
    """The newest best bid and ask of an instrument, as a market told them.

    `last` is the price of the last public trade, `change_24h` its change over a day in percent, as the venue says; None
    where it does not. `occurred_at` by the venue's clock, `received_at` by ours.
    """

    market: str
    instrument: str
    bid: Decimal
    ask: Decimal
    bid_quantity: Decimal
    ask_quantity: Decimal
    occurred_at: datetime
    received_at: datetime
    last: Decimal | None = None
    change_24h: Decimal | None = None

    @classmethod
    def of(cls, market: str, quote: Quote) -> Self:
        """A quote of that market."""
        return cls(
            market,
            quote.instrument,
            quote.bid,
            quote.ask,
            quote.bid_quantity,
            quote.ask_quantity,
            quote.occurred_at,
            quote.received_at,
            quote.last,
            quote.change_24h,
        )

    @property
    def topic(self) -> Topic:
        return Topic(self.market, self.instrument)

    def is_stale(self, now: datetime) -> bool:
        """Whether it was heard too long ago to be shown as the price."""
        return is_stale(self.received_at, now)


class Length(StrEnum):
    """How long a candle is, as people and programs ask for it."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    H6 = "6h"
    D1 = "1d"

    @property
    def seconds(self) -> int:
        return int(self[:-1]) * {"m": 60, "h": 3_600, "d": 86_400}[self[-1]]


class FeedWord(StrEnum):
    """How a market's live feed does, in one word."""

    LIVE = "LIVE"
    """Every socket is subscribed, and prices come."""
    CONNECTING = "CONNECTING"
    """A socket is being opened, for the first time or again, and not for long yet."""
    STALE = "STALE"
    """The sockets live, but no price has come over them for too long, or those that come are old."""
    DOWN = "DOWN"
    """Nobody follows the market, or no connection to it has succeeded for too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """How a market's live feed does. `connections` are the short names of those whose prices come from there.

    `since` is when it became so, `heard_at` when anything last came, heartbeats among it (None: not known). `lag_ms` is
    by how much the newest price came after its time by the venue's clock: negative where that clock is ahead of ours.
    `gaps` and `reconnects` count since the feed's holder began. `instruments` has when a price last came, by code.
    """

    market: str
    connections: tuple[str, ...]
    state: FeedWord
    since: datetime | None
    heard_at: datetime | None
    lag_ms: int | None
    gaps: int
    reconnects: int
    messages_per_s: int
    detail: str
    instruments: Mapping[str, datetime] = field(default_factory=dict)


class Told(NamedTuple):
    """When the feed last brought a price of an instrument; None where it has not since its holder began."""

    instrument: str
    heard_at: datetime | None
