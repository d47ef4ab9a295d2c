"""Candles into rows, in bulk. What corrects what is decided by the database, in the statement that writes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from apps.common.decimals import decimal_text, parse_decimal
from apps.connectors.types import Candle
from apps.quotes.rules.candles import Source

# Below it, a temporary table costs more than it saves.
COPIED_FROM: Final = 200
WRITTEN_AT_ONCE: Final = 1_000
# Texts of so many characters have fewer digits than a column on either side of the point.
_FITS_CHARS: Final = 18

_COLUMNS: Final = "series_id, start, open, high, low, close, volume, source, is_final"
_STAGED: Final = """
CREATE TEMPORARY TABLE IF NOT EXISTS candle_staged (
    series_id bigint, start timestamptz, open numeric(38, 18), high numeric(38, 18), low numeric(38, 18),
    close numeric(38, 18), volume numeric(38, 18), source smallint, is_final boolean
)
"""
# An equal or higher source takes the place of what is there; what says the same is left alone.
_CORRECT: Final = """
ON CONFLICT (series_id, start) DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,
    close = excluded.close, volume = excluded.volume, source = excluded.source, is_final = excluded.is_final
WHERE excluded.source >= quotes_candle.source
AND (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.source, excluded.is_final)
    {differs} (quotes_candle.open, quotes_candle.high, quotes_candle.low, quotes_candle.close, quotes_candle.volume,
    quotes_candle.source, quotes_candle.is_final)
"""
_INSERT: Final = f"INSERT INTO quotes_candle ({_COLUMNS}) "
_MERGE: Final = f"{_INSERT} SELECT {_COLUMNS} FROM candle_staged {_CORRECT.format(differs='IS DISTINCT FROM')}"  # noqa: S608  constants only
_VALUES: Final = "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Block:
    """Candles of one series, no two of one start. `fresh`: none of these starts is a row yet, and nobody else writes
    this series before the transaction ends."""

    series_id: int
    candles: Sequence[Candle]
    source: Source
    final: bool
    fresh: bool = False


def put(blocks: Sequence[Block]) -> None:
    """Write these, no two of one series and start; inside a transaction.

    Raises Invalid DECIMAL_TOO_PRECISE, DECIMAL_TOO_LARGE or ValueError for a number that no column holds exactly:
    PostgreSQL would round it and say nothing.
    """
    if connection.vendor != "postgresql":
        _insert(blocks, connection.ops.adapt_datetimefield_value, differs="IS NOT")
        return
    copied = [block for block in blocks if block.fresh and len(block.candles) >= COPIED_FROM]
    if copied:
        with connection.cursor() as cursor:
            _copy(cursor, "quotes_candle", copied)
    rest = [block for block in blocks if block not in copied] if copied else blocks
    if sum(len(block.candles) for block in rest) < COPIED_FROM:
        _insert(rest, datetime.isoformat, differs="IS DISTINCT FROM")
        return
    with connection.cursor() as cursor:
        cursor.execute(_STAGED)
        _copy(cursor, "candle_staged", rest)
        cursor.execute(_MERGE)
        cursor.execute("TRUNCATE candle_staged")


def _insert(blocks: Iterable[Block], instant: Callable[[datetime], Any], *, differs: str) -> None:
    rows = [
        (
            block.series_id,
            instant(one.start),
            *map(exact_text, (one.open, one.high, one.low, one.close, one.volume)),
            block.source.value,
            block.final,
        )
        for block in blocks
        for one in block.candles
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(_INSERT + _VALUES + _CORRECT.format(differs=differs), rows)


def _copy(cursor: Any, table: str, blocks: Iterable[Block]) -> None:
    # Django wraps what a statement raises, and not what a COPY does.
    with connection.wrap_database_errors, cursor.copy(f"COPY {table} ({_COLUMNS}) FROM STDIN") as copy:
        for block in blocks:
            for at in range(0, len(block.candles), WRITTEN_AT_ONCE):
                copy.write(copy_text(block, block.candles[at : at + WRITTEN_AT_ONCE]))


def copy_text(block: Block, candles: Sequence[Candle]) -> str:
    """These candles of a block as lines of COPY. Raises as `put`."""
    before, after = f"{block.series_id}\t", f"\t{block.source.value}\t{block.final}\n"
    lines = []
    for one in candles:
        first, high, low = str(one.open), str(one.high), str(one.low)
        close, volume = str(one.close), str(one.volume)
        if (
            len(first) > _FITS_CHARS
            or len(high) > _FITS_CHARS
            or len(low) > _FITS_CHARS
            or len(close) > _FITS_CHARS
            or len(volume) > _FITS_CHARS
        ):
            first, high, low = exact_text(one.open), exact_text(one.high), exact_text(one.low)
            close, volume = exact_text(one.close), exact_text(one.volume)
        lines.append(f"{before}{one.start.isoformat()}\t{first}\t{high}\t{low}\t{close}\t{volume}{after}")
    text = "".join(lines)
    if "E" in text or "N" in text or "I" in text:  # an exponent, NaN, Infinity
        numbers = [number for one in candles for number in (one.open, one.high, one.low, one.close, one.volume)]
        for number in numbers:
            exact_text(number)
    return text


def exact_text(value: Decimal) -> str:
    """The number as text in normal form, once it is sure that a column holds it. Short texts need no second look."""
    text = str(value)
    if len(text) > _FITS_CHARS or "E" in text or text[0] == "-" or not text[-1].isdigit():
        text = decimal_text(value)
        parse_decimal(text, field="candle")
        return text
    return text.rstrip("0").rstrip(".") if "." in text else text
