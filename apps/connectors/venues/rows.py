"""Reading a venue's JSON strictly: decimals as text or number, empty strings for nothing, times with nine digits."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from operator import itemgetter

from apps.connectors.stream_types import Unreadable

Row = Mapping[str, object]

# Go's zero time: the venue's word for "none" (coinbase.md 3.1).
_ZERO_TIME = "0001-01-01T00:00:00"
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|z|[+-]\d\d:?\d\d)", re.ASCII)
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6,9}Z", re.ASCII)
_PLAIN = re.compile(r"-?\d{1,39}(?:\.\d{1,39})?", re.ASCII)
_PLAIN_LINES = re.compile(r"-?\d{1,39}(?:\.\d{1,39})?(?:\n-?\d{1,39}(?:\.\d{1,39})?)*", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,2})?", re.ASCII)


class Malformed(Unreadable):
    """The venue's JSON is not what its documentation says. Names the field, never repeats a secret."""


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise Malformed("a key occurs twice")
    return row


def _no_constant(name: str) -> object:
    raise Malformed(f"{name} is no number")


def decode(body: bytes) -> Row:
    """The JSON object of a reply; numbers with a point as Decimal. Raises Malformed."""
    try:
        value: object = json.loads(
            body.decode(), parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_no_duplicates
        )
    except (ValueError, RecursionError) as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed("the answer is not JSON") from None
    return row_of(value, "the answer")


def row_of(value: object, name: str) -> Row:
    if not isinstance(value, dict):
        raise Malformed(f"{name} is not an object")
    return value


def rows(row: Row, key: str) -> Sequence[Row]:
    """A list of objects; absent and null are an empty list."""
    value = row.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Malformed(f"{key} is not a list")
    return [row_of(item, key) for item in value]


def text(row: Row, key: str) -> str:
    """A text that must be there and not be empty."""
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise Malformed(f"{key} is missing")
    return value


def text_or_empty(row: Row, key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def flag(row: Row, key: str, *, default: bool | None = None) -> bool:
    """true or false, also as text; absent, null and "" are the default, and an error where there is none."""
    value = row.get(key)
    if isinstance(value, bool):
        return value
    if value in {"true", "false"}:
        return value == "true"
    if (value is None or value == "") and default is not None:
        return default
    raise Malformed(f"{key} is neither true nor false")


def decimal_or_none(row: Row, key: str) -> Decimal | None:
    """A number, as text (the rule) or as a JSON number (transaction_summary); "" and null are None."""
    value = row.get(key)
    if type(value) is str and _PLAIN.fullmatch(value):
        return Decimal(value)  # as nearly all are: finite, and small enough
    if value is None or value == "":
        return None
    if isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
        return _finite(Decimal(value), key)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return _finite(Decimal(value), key)
    raise Malformed(f"{key} is no number")


class Decimals:
    """Several numbers of a row, each as `decimal_or_none` reads it. Nearly always all of them are there, as plain
    texts, which one look tells."""

    __slots__ = ("_keys", "_taken")

    def __init__(self, *keys: str) -> None:
        self._keys = keys
        self._taken = itemgetter(*keys)

    def of(self, row: Row) -> Iterable[Decimal | None]:
        """They, in the order of their keys. Raises Malformed."""
        try:
            values = self._taken(row)
            lines = "\n".join(values)
        except (KeyError, TypeError):
            return [decimal_or_none(row, key) for key in self._keys]
        if _PLAIN_LINES.fullmatch(lines) and lines.count("\n") == len(values) - 1:
            return map(Decimal, values)
        return [decimal_or_none(row, key) for key in self._keys]


def _finite(number: Decimal, key: str) -> Decimal:
    try:
        if number.is_finite() and number.adjusted() < 40:
            return number
    except InvalidOperation:
        pass
    raise Malformed(f"{key} is no number")


def decimal(row: Row, key: str) -> Decimal:
    """A number that must be there."""
    value = decimal_or_none(row, key)
    if value is None:
        raise Malformed(f"{key} is missing")
    return value


def decimal_or_zero(row: Row, key: str) -> Decimal:
    value = decimal_or_none(row, key)
    return Decimal(0) if value is None else value


def instant_or_none(row: Row, key: str) -> datetime | None:
    """RFC 3339 with up to nine digits, cut to microseconds; null, "" and Go's zero time are None."""
    value = row.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Malformed(f"{key} is no time")
    if value.startswith(_ZERO_TIME):
        return None
    if _UTC.fullmatch(value):
        try:
            return datetime.fromisoformat(value)  # which cuts to microseconds itself
        except ValueError:
            raise Malformed(f"{key} is no time") from None
    match = _INSTANT.fullmatch(value)
    if match is None:
        raise Malformed(f"{key} is no time")
    date, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in {"Z", "z"} else zone
    try:
        return datetime.fromisoformat(f"{date}T{clock}.{(fraction or '').ljust(6, '0')[:6]}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed(f"{key} is no time") from None


def instant(row: Row, key: str) -> datetime:
    """A time that must be there."""
    value = instant_or_none(row, key)
    if value is None:
        raise Malformed(f"{key} is missing")
    return value


def epoch(row: Row, key: str, *, unit: timedelta) -> datetime:
    """A time as a text of whole units since 1970 (candles, server time)."""
    value = row.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return datetime(1970, 1, 1, tzinfo=UTC) + int(value) * unit
    raise Malformed(f"{key} is no time")
