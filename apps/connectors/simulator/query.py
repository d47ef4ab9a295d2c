"""Reading query strings the way the venue does: repeated plural keys, opaque cursors, bounded limits."""

import base64
import binascii

from starlette.datastructures import QueryParams

from apps.connectors.simulator.clock import micros_of
from apps.connectors.simulator.errors import invalid_argument

_MAX_INTEGER = 2**53


def words(query: QueryParams, name: str) -> tuple[str, ...]:
    """All values of a repeated key, empty ones left out."""
    return tuple(value for value in query.getlist(name) if value)


def integer(query: QueryParams, name: str) -> int | None:
    """A whole number of at least 0, or None if it is not given."""
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text[:20]) > _MAX_INTEGER:
        raise invalid_argument(f"{name} must be a whole number")
    return int(text)


def limit(query: QueryParams, default: int, maximum: int) -> int:
    """The page size: absent or 0 is the default, too much is the most there is."""
    return min(integer(query, "limit") or default, maximum)


def moment(query: QueryParams, name: str) -> int | None:
    """Microseconds of an RFC 3339 time, or None if it is not given."""
    text = query.get(name, "")
    if not text:
        return None
    micros = micros_of(text)
    if micros is None:
        raise invalid_argument(f"{name} must be an RFC 3339 time")
    return micros


def cursor(query: QueryParams, kind: str) -> int | None:
    """The position in a cursor made by `cursor_at`, or None for the first page."""
    text = query.get("cursor", "")
    if not text:
        return None
    try:
        label, _, position = base64.b64decode(text, validate=True).decode().partition("|")
        if label != kind:
            raise ValueError(label)
        return int(position)
    except (binascii.Error, ValueError) as error:
        raise invalid_argument("invalid cursor") from error


def cursor_at(kind: str, position: int) -> str:
    """An opaque cursor. It is padded base64, so a client that does not percent-encode finds out."""
    return base64.b64encode(f"{kind}|{position}".encode()).decode()
