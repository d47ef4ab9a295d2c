"""A recording played again, faster or slower: what of it has happened by now.

Trades and candles carry the file's times. Tickers, books and envelopes carry the wall clock's, for they are told now:
a price played again is as fresh as the message that brought it.
"""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate

from apps.connectors.simulator.history import Candle, Day, Print
from apps.connectors.simulator.recording import MINUTE_S, Recording, candle_of

_DAY_MINUTES = 1440


@dataclass(frozen=True)
class Speed:
    """How many seconds of the file pass in one of ours, and whether the first follower of its trades starts it."""

    times: Fraction = Fraction(1)
    waits: bool = False


class Playback:
    """The file's market at its own moment. Before it begins, its first price stands and nothing was traded."""

    def __init__(self, book_id: str, recording: Recording, speed: Speed) -> None:
        self.book_id = book_id
        self.speed = speed
        self._recording = recording
        self._starts = [candle.start for candle in recording.minutes]
        self._lows = list(accumulate((candle.low for candle in recording.minutes), min))
        self._highs = list(accumulate((candle.high for candle in recording.minutes), max))
        self._first = self._starts[0] * 1_000_000
        self._end = (self._starts[-1] + MINUTE_S) * 1_000_000
        self._began: int | None = None
        if not speed.waits:
            self.begin()

    def begin(self) -> None:
        """Start, unless it plays already."""
        if self._began is None:
            self._began = time.monotonic_ns()

    @property
    def micros(self) -> int:
        """The file's moment in microseconds; it stands still before the begin and after the last minute."""
        if self._began is None:
            return self._first - 1
        played = (time.monotonic_ns() - self._began) // 1000 * self.speed.times
        return min(self._first + int(played), self._end)

    @property
    def step(self) -> int:
        """The file's moment in seconds since 1970."""
        return self.micros // 1_000_000

    @property
    def is_done(self) -> bool:
        """Whether all of it was played."""
        return self.micros >= self._end

    @property
    def played(self) -> int:
        """How many of its trades have happened."""
        return bisect_right(self._recording.times, self.micros)

    @property
    def length(self) -> int:
        """How many trades it has."""
        return len(self._recording.times)

    def prints(self, first: int, last: int) -> list[Print]:
        """Trades [first, last) by their place in the file, newest first."""
        return list(reversed(self._recording.prints[first:last]))

    def tape(self, start: int, end: int, limit: int) -> list[Print]:
        """Trades of the seconds [start, end] that have happened, newest first."""
        last = min(bisect_left(self._recording.times, (end + 1) * 1_000_000), self.played)
        first = bisect_left(self._recording.times, start * 1_000_000, 0, last)
        return self.prints(max(first, last - limit), last)

    @property
    def last(self) -> Decimal:
        """The price of the last trade."""
        return self._recording.prints[max(self.played - 1, 0)].price

    def candles(self, length: int, start: int, end: int) -> list[Candle]:
        """Candles whose start lies in [start, end], newest first, perhaps an open one; quiet ones are missing."""
        first = -(-start // length) * length
        minutes = self._minutes(first, (end // length + 1) * length)
        found: list[Candle] = []
        at = 0
        while at < len(minutes):
            bucket = minutes[at].start // length * length
            until = at + 1
            while until < len(minutes) and minutes[until].start < bucket + length:
                until += 1
            found.append(_joined(minutes[at:until], bucket))
            at = until
        return found[::-1]

    def _minutes(self, start: int, end: int) -> Sequence[Candle]:
        """Minute candles that begin in [start, end), oldest first; the one that is open as far as it has come."""
        now = self.micros
        first = bisect_left(self._starts, start)
        closed = bisect_right(self._starts, now // 1_000_000 - MINUTE_S, 0)
        last = bisect_left(self._starts, end)
        minutes = list(self._recording.minutes[first : min(closed, last)])
        if first <= closed < last:
            begins = self._starts[closed]
            known = self._recording.prints[
                bisect_left(self._recording.times, begins * 1_000_000) : bisect_right(self._recording.times, now)
            ]
            minutes += [candle_of(known, begins)] if known else []
        return minutes

    def day(self) -> Day:
        """The 24 hours that end now, as far as the file has them."""
        until = max(bisect_right(self._starts, self.step), 1)
        first = bisect_left(self._starts, self.step - _DAY_MINUTES * MINUTE_S, 0, until - 1)
        minutes = self._recording.minutes[first:until]
        return Day(
            before=minutes[0].open,
            low=min(candle.low for candle in minutes),
            high=max(candle.high for candle in minutes),
            volume=sum((candle.volume for candle in minutes), Decimal(0)),
            low_of_year=self._lows[until - 1],
            high_of_year=self._highs[until - 1],
        )


def _joined(minutes: Sequence[Candle], start: int) -> Candle:
    return Candle(
        start=start,
        low=min(candle.low for candle in minutes),
        high=max(candle.high for candle in minutes),
        open=minutes[0].open,
        close=minutes[-1].close,
        volume=sum((candle.volume for candle in minutes), Decimal(0)),
    )
