"""Candles into rows, in bulk. What corrects what is decided by the database, in the statement that writes."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from apps.common.decimals import decimal_text, parse_decimal
from apps.quotes.rules.candles import Kept

# Below it, a temporary table costs more than it saves.
COPIED_FROM: Final = 200
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
_VALUES: Final = "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"

Row = tuple[int, Kept]


def put(rows: Sequence[Row]) -> None:
    """Write these, no two of one series and start; inside a transaction.

    Raises Invalid DECIMAL_TOO_PRECISE, DECIMAL_TOO_LARGE or ValueError for a number that no column holds exactly:
    PostgreSQL would round it and say nothing.
    """
    if not rows:
        return
    if connection.vendor != "postgresql":
        _insert(rows, connection.ops.adapt_datetimefield_value, differs="IS NOT")
    elif len(rows) < COPIED_FROM:
        _insert(rows, datetime.isoformat, differs="IS DISTINCT FROM")
    else:
        _copy(rows)


def _insert(rows: Sequence[Row], instant: Callable[[datetime], Any], *, differs: str) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            _INSERT + _VALUES + _CORRECT.format(differs=differs),
            [
                (series_id, instant(kept.candle.start), *map(exact_text, _numbers(kept)), kept.source.value, kept.final)
                for series_id, kept in rows
            ],
        )


def _copy(rows: Sequence[Row]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_STAGED)
        with cursor.copy(f"COPY candle_staged ({_COLUMNS}) FROM STDIN") as copy:
            copy.write("".join(copy_lines(rows)))
        cursor.execute(
            f"{_INSERT} SELECT {_COLUMNS} FROM candle_staged {_CORRECT.format(differs='IS DISTINCT FROM')}"  # noqa: S608
        )
        cursor.execute("TRUNCATE candle_staged")


def copy_lines(rows: Iterable[Row]) -> Iterable[str]:
    """Each row as a line of COPY."""
    for series_id, kept in rows:
        one = kept.candle
        yield (
            f"{series_id}\t{one.start.isoformat()}\t{exact_text(one.open)}\t{exact_text(one.high)}\t"
            f"{exact_text(one.low)}\t{exact_text(one.close)}\t{exact_text(one.volume)}\t{kept.source.value}\t"
            f"{kept.final}\n"
        )


def _numbers(kept: Kept) -> tuple[Decimal, ...]:
    one = kept.candle
    return one.open, one.high, one.low, one.close, one.volume


def exact_text(value: Decimal) -> str:
    """The number as text in normal form, once it is sure that a column holds it. Short texts need no second look."""
    text = str(value)
    if len(text) > _FITS_CHARS or "E" in text or text[0] == "-" or not text[-1].isdigit():
        text = decimal_text(value)
        parse_decimal(text, field="candle")
        return text
    return text.rstrip("0").rstrip(".") if "." in text else text
