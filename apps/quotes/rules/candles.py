"""Candles out of trades, and longer candles out of shorter ones. Pure: no clock, no database.

A candle is open, high, low, close and base volume of the interval that begins at `start`. An interval in which nothing
traded has none. Sums are exact: 38 digits fit a column, and the context of a process would keep 28.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Context, Decimal
from enum import IntEnum
from typing import Final

from apps.connectors.stream_types import PublicTrade, StreamEvent, Ticker, Tickers, Trades
from apps.connectors.types import Candle
from apps.quotes.rules.spans import EPOCH, floor

MINUTE_S: Final = 60
HOUR_S: Final = 3_600
# A trade may be told a little late. A minute is closed when later trades have been heard for so long, or when nothing
# at all came for it for so long; one that comes later still changes the candle, which is then closed once more.
LATE: Final = timedelta(seconds=2)
QUIET: Final = timedelta(seconds=5)
MINUTES_OPEN_MAX: Final = 4
# What is dated further ahead than a clock may be wrong is no trade of a minute that there has been.
AHEAD_MAX: Final = timedelta(minutes=2)
_EXACT: Final = Context(prec=80)
_ZERO: Final = Decimal(0)


class Source(IntEnum):
    """Where a stored candle comes from. A higher one corrects a lower one, never the reverse."""

    FEED = 1
    """Made here of the trades that were heard; some may have been missed."""
    DERIVED = 2
    """Made here of the stored minutes."""
    VENUE = 3
    """The venue's own figures."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored candle. `final`: its time was over when the venue told it, or every part of it is final."""

    candle: Candle
    source: Source
    final: bool


def joined(parts: Iterable[Candle], start: datetime) -> Candle:
    """One candle of these, which are in order and at least one."""
    first, *rest = parts
    high, low, close, volume = first.high, first.low, first.close, first.volume
    add = _EXACT.add
    for part in rest:
        if part.high > high:
            high = part.high
        if part.low < low:
            low = part.low
        volume = add(volume, part.volume)
        close = part.close
    return Candle(start=start, open=first.open, high=high, low=low, close=close, volume=volume)


def derive(candles: Iterable[Candle], seconds: int) -> list[Candle]:
    """Candles of that length out of shorter ones, which are in order. No interval is made up for a gap."""
    step = timedelta(seconds=seconds)
    found: list[Candle] = []
    parts: list[Candle] = []
    start = end = EPOCH
    for one in candles:
        if one.start >= end:
            if parts:
                found.append(joined(parts, start))
            start = floor(one.start, seconds)
            end, parts = start + step, []
        parts.append(one)
    return [*found, joined(parts, start)] if parts else found


def overlay(stored: Iterable[Kept], offered: Iterable[Kept]) -> dict[datetime, Kept]:
    """By start, what is stored after these were offered: an equal or higher source takes the place of a lower one."""
    found = {one.candle.start: one for one in stored}
    for one in offered:
        there = found.get(one.candle.start)
        if there is None or one.source >= there.source:
            found[one.candle.start] = one
    return found


@dataclass(slots=True)
class _Minute:
    """One minute of one instrument while it may change. Trades may come in any order, and more than once."""

    first: tuple[datetime, str]
    last: tuple[datetime, str]
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    heard_at: datetime
    of_trades: bool
    seen: set[str] = field(default_factory=set)
    changed: bool = True

    @classmethod
    def of(cls, key: tuple[datetime, str], price: Decimal, quantity: Decimal, now: datetime, trades: bool) -> "_Minute":
        seen = {key[1]} if trades else set()
        return cls(key, key, price, price, price, price, quantity, now, trades, seen)

    def take(self, key: tuple[datetime, str], price: Decimal, quantity: Decimal, now: datetime) -> None:
        """One more trade, unless it was taken before. An order of its own among those of one instant: the id's."""
        if self.of_trades:
            if key[1] in self.seen:
                return
            self.seen.add(key[1])
        if key < self.first:
            self.first, self.open = key, price
        if key >= self.last:
            self.last, self.close = key, price
        self.high, self.low = max(self.high, price), min(self.low, price)
        self.volume = _EXACT.add(self.volume, quantity)
        self.heard_at, self.changed = now, True

    def candle(self, start: datetime) -> Candle:
        return Candle(start=start, open=self.open, high=self.high, low=self.low, close=self.close, volume=self.volume)


class CandleBuilder:
    """One-minute candles of one market out of what its socket tells; not thread safe.

    Where an instrument's trades are told, they alone count; a ticker counts only for one whose trades are not: its
    price may be older than its message, and it knows no quantity. The newest minutes of each instrument stay in hand,
    so that what is told late still counts.
    """

    def __init__(self) -> None:
        self._minutes: dict[str, dict[datetime, _Minute]] = {}
        self._newest: dict[str, datetime] = {}
        self._let_go: dict[str, datetime] = {}
        self._traded: set[str] = set()

    def hear(self, event: StreamEvent, *, now: datetime) -> None:
        """Take one event into account; those that are no trades and no tickers say nothing here."""
        if isinstance(event, Trades):
            for trade in event.trades:
                self._trade(trade, now)
        elif isinstance(event, Tickers):
            for ticker in event.tickers:
                self._ticker(ticker, now)

    def closed(self, *, now: datetime) -> dict[str, list[Candle]]:
        """By instrument, in order, the minutes that are over and have changed since they were last given out."""
        found: dict[str, list[Candle]] = {}
        for instrument, minutes in self._minutes.items():
            for start in sorted(minutes):
                minute = minutes[start]
                if minute.changed and self._is_over(instrument, start, now):
                    minute.changed = False
                    found.setdefault(instrument, []).append(minute.candle(start))
            for old in sorted(minutes)[:-MINUTES_OPEN_MAX]:
                if not minutes[old].changed:
                    del minutes[old]
                    self._let_go[instrument] = old
        return found

    def open(self) -> dict[str, Candle]:
        """By instrument, its newest minute as it stands, unless it was given out as it is."""
        newest = ((instrument, max(minutes), minutes) for instrument, minutes in self._minutes.items() if minutes)
        return {name: minutes[start].candle(start) for name, start, minutes in newest if minutes[start].changed}

    def _is_over(self, instrument: str, start: datetime, now: datetime) -> bool:
        end = start + timedelta(seconds=MINUTE_S) + LATE
        heard_at = self._minutes[instrument][start].heard_at
        return self._newest[instrument] >= end or (now >= end and now - heard_at >= QUIET)

    def _trade(self, trade: PublicTrade, now: datetime) -> None:
        if trade.instrument not in self._traded:
            self._traded.add(trade.instrument)
            self._minutes.pop(trade.instrument, None)
        self._take(
            trade.instrument, (trade.occurred_at, _ordered(trade.trade_id)), trade.price, trade.quantity, now, True
        )

    def _ticker(self, ticker: Ticker, now: datetime) -> None:
        if ticker.last is None or ticker.instrument in self._traded:
            return
        self._take(ticker.instrument, (ticker.occurred_at, ""), ticker.last, _ZERO, now, False)

    def _take(
        self,
        instrument: str,
        key: tuple[datetime, str],
        price: Decimal,
        quantity: Decimal,
        now: datetime,
        trades: bool,
    ) -> None:
        at = key[0]
        if at > now + AHEAD_MAX:
            return
        minutes = self._minutes.setdefault(instrument, {})
        self._newest[instrument] = max(self._newest.get(instrument, at), at)
        start = floor(at, MINUTE_S)
        minute = minutes.get(start)
        if minute is not None:
            minute.take(key, price, quantity, now)
        elif start > self._let_go.get(instrument, EPOCH):  # else a snapshot repeats a part of what was given out whole
            minutes[start] = _Minute.of(key, price, quantity, now, trades)


def _ordered(trade_id: str) -> str:
    """Ids that count up compare as numbers do."""
    return trade_id.zfill(24) if trade_id.isdecimal() else trade_id
