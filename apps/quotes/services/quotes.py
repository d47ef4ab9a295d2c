"""The latest quote per connection and instrument, in the cache. Never one database row per tick."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.core.cache import cache

from apps.connectors.services import venue
from apps.connectors.types import Quote

if TYPE_CHECKING:
    from apps.connectors.models import Connection

# How long a quote stays readable. Older ones are of no use to anybody: every reader has a far smaller bound.
KEEP_S: Final = 120


def _key(connection_id: UUID, code: str) -> str:
    return f"quote:{connection_id}:{code}"


def latest(connection_id: UUID, code: str) -> Quote | None:
    """The newest quote heard, whatever its age; None where none is kept. The reader judges `received_at`."""
    quote: Quote | None = cache.get(_key(connection_id, code))
    return quote


def latest_of(connection_id: UUID, codes: Iterable[str]) -> dict[str, Quote]:
    """The newest quotes heard, by code; codes without one are absent."""
    found: Mapping[str, Quote] = cache.get_many([_key(connection_id, code) for code in codes])
    return {quote.instrument: quote for quote in found.values()}


def latest_of_all(codes: Mapping[UUID, Iterable[str]]) -> dict[UUID, dict[str, Quote]]:
    """As `latest_of`, for many connections in one read of the cache."""
    keys = {_key(connection_id, code): connection_id for connection_id, wanted in codes.items() for code in wanted}
    found: dict[UUID, dict[str, Quote]] = {}
    for key, quote in cache.get_many(list(keys)).items():
        found.setdefault(keys[key], {})[quote.instrument] = quote
    return found


def keep(connection_id: UUID, quotes: Iterable[Quote]) -> None:
    """Keep each quote unless a newer one (by the venue's clock) is kept already."""
    offered = {_key(connection_id, quote.instrument): quote for quote in quotes}
    kept: Mapping[str, Quote] = cache.get_many(list(offered))
    newer = {
        key: quote for key, quote in offered.items() if key not in kept or quote.occurred_at >= kept[key].occurred_at
    }
    if newer:
        cache.set_many(newer, timeout=KEEP_S)


def refresh(connection: "Connection", codes: Sequence[str]) -> Mapping[str, Quote]:
    """Ask the venue for these quotes and keep them. Raises what the connector raises; not inside a transaction."""
    if not codes:
        return {}
    quotes = venue.connect(connection).quotes(codes)
    keep(connection.pk, quotes.values())
    return quotes


def fresh(connection: "Connection", code: str, *, now: datetime, max_age: timedelta) -> Quote | None:
    """The kept quote if it is at most `max_age` old, else a new one from the venue (None if it names none)."""
    quote = latest(connection.pk, code)
    if quote is not None and now - quote.received_at <= max_age:
        return quote
    return refresh(connection, [code]).get(code)
