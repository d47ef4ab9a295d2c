"""A file of what happened in a market, read to be played again: minute candles, or trades.

Columns by name, oldest row first, times in ISO 8601 with a zone. Candles: `start_at, open, high, low, close` and
`volume` (base currency) or `volume_quote`. Trades: `time, price, quantity` and perhaps `side` (the maker's).

A candle is played as four trades, open, the two extremes, close: low before high where it rose, else high before low.
Their sizes add up to its volume exactly. A volume in quote currency becomes base currency at the close, to sixteen
places, so that volume times close, rounded to the file's digits, is the file's number again.
"""

import csv
import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import TextIO, TypeVar, overload

from apps.connectors.simulator.amounts import parse_plain
from apps.connectors.simulator.clock import micros_of
from apps.connectors.simulator.errors import StartError
from apps.connectors.simulator.history import Candle, Print

MINUTE_S = 60
PATH_S = (0, 20, 40, 59)
"""When in its minute each of a candle's four trades is."""
_PLACES = Decimal("1e-16")
_ROWS_MAX = 5_000_000

Row = dict[str, str]
Part = TypeVar("Part")


@dataclass(frozen=True)
class Recording:
    """Minutes with trades in them, oldest first, and the trades; `times` are theirs, in microseconds."""

    minutes: Sequence[Candle]
    prints: Sequence[Print]
    times: Sequence[int]


class _Bad(Exception):
    """What is wrong with a row."""


class _Paths(Sequence[Print]):
    """The trades of candles, worked out when they are looked at: a month of minutes has 180,000."""

    def __init__(self, minutes: Sequence[Candle]) -> None:
        self._minutes = minutes

    def __len__(self) -> int:
        return len(self._minutes) * len(PATH_S)

    @overload
    def __getitem__(self, index: int) -> Print: ...
    @overload
    def __getitem__(self, index: slice) -> list[Print]: ...
    def __getitem__(self, index: int | slice) -> Print | list[Print]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        which, at = divmod(range(len(self))[index], len(PATH_S))
        candle = self._minutes[which]
        rose = candle.close >= candle.open
        prices = (candle.open, *((candle.low, candle.high) if rose else (candle.high, candle.low)), candle.close)
        quarter = (candle.volume / len(PATH_S)).quantize(_PLACES, rounding=ROUND_FLOOR)
        return Print(
            trade_id=which * len(PATH_S) + at + 1,
            price=prices[at],
            size=quarter if at < 3 else candle.volume - 3 * quarter,
            micros=(candle.start + PATH_S[at]) * 1_000_000,
            side="SELL" if prices[at] >= prices[max(at - 1, 0)] else "BUY",
        )


def read(path: Path) -> Recording:
    """The recording in a file (gzipped where its name ends in .gz). StartError says in one line what is wrong."""
    try:
        with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
            return _recording(file)
    except _Bad as bad:
        raise StartError(f"cannot replay {path}: {bad}") from bad
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StartError(f"cannot replay {path}: {reason}") from error


def _recording(file: TextIO) -> Recording:
    reader = csv.DictReader(file, strict=True)
    names = set(reader.fieldnames or ())
    if {"time", "price", "quantity"} <= names:
        prints = list(_each(reader, _print))
        _check_order([item.micros for item in prints], at_once=True)
        return Recording(list(_minutes(prints)), prints, [item.micros for item in prints])
    if {"start_at", "open", "high", "low", "close"} <= names and names & {"volume", "volume_quote"}:
        minutes = list(_each(reader, lambda row, _: _candle(row)))
        _check_order([candle.start for candle in minutes], at_once=False)
        times = [(candle.start + second) * 1_000_000 for candle in minutes for second in PATH_S]
        return Recording(minutes, _Paths(minutes), times)
    raise _Bad(
        "its first line must name start_at, open, high, low, close, volume (or volume_quote) for candles, "
        "or time, price, quantity for trades"
    )


def _each(reader: "csv.DictReader[str]", read_row: Callable[[Row, int], Part]) -> Iterator[Part]:
    """What is read of each row. What is wrong with one is told with its line."""
    number = 0
    for number, row in enumerate(reader, 1):
        if number > _ROWS_MAX:
            raise _Bad(f"it has more than {_ROWS_MAX} rows; split it")
        try:
            if None in row or None in row.values():
                raise _Bad("it has not as many fields as the first line")
            yield read_row(row, number)
        except _Bad as bad:
            raise _Bad(f"line {number + 1}: {bad}") from bad
    if not number:
        raise _Bad("it has no rows")


def _check_order(times: list[int], *, at_once: bool) -> None:
    """Several trades may have one time; a minute has one candle."""
    for number, (before, now) in enumerate(zip(times, times[1:], strict=False), 3):
        if now < before or (now == before and not at_once):
            raise _Bad(f"line {number}: it is not after the line before; sort the file, oldest first")


def _number(row: Row, name: str) -> Decimal:
    value = parse_plain(row[name])
    if value is None or value <= 0:
        raise _Bad(f"{name} {row[name]!r} is no positive decimal")
    return value


def _micros(row: Row, name: str) -> int:
    micros = micros_of(row[name])
    if micros is None:
        raise _Bad(f"{name} {row[name]!r} is no ISO 8601 time with a zone")
    return micros


def _candle(row: Row) -> Candle:
    start = _micros(row, "start_at")
    if start % (MINUTE_S * 1_000_000):
        raise _Bad(f"start_at {row['start_at']!r} is no whole minute; only one-minute candles are played")
    low, high, first, last = (_number(row, name) for name in ("low", "high", "open", "close"))
    if not low <= min(first, last) <= max(first, last) <= high:
        raise _Bad("open and close must lie between low and high")
    volume = _number(row, "volume") if "volume" in row else None
    if volume is None:
        volume = (_number(row, "volume_quote") / last).quantize(_PLACES, rounding=ROUND_HALF_EVEN)
    return Candle(start // 1_000_000, low, high, first, last, volume)


def _print(row: Row, number: int) -> Print:
    side = row.get("side") or "SELL"
    if side not in ("BUY", "SELL"):
        raise _Bad(f"side {side!r} is neither BUY nor SELL")
    return Print(number, _number(row, "price"), _number(row, "quantity"), _micros(row, "time"), side)


def _minutes(prints: Sequence[Print]) -> Iterator[Candle]:
    first = 0
    for at in range(1, len(prints) + 1):
        minute = prints[first].micros // 1_000_000 // MINUTE_S
        if at == len(prints) or prints[at].micros // 1_000_000 // MINUTE_S != minute:
            yield candle_of(prints[first:at], minute * MINUTE_S)
            first = at


def candle_of(prints: Sequence[Print], start: int) -> Candle:
    """What these trades, oldest first and at least one, make of the bucket that begins at `start`."""
    prices = [item.price for item in prints]
    volume = sum((item.size for item in prints), Decimal(0))
    return Candle(start, min(prices), max(prices), prices[0], prices[-1], volume)
