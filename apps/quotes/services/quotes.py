"""The latest quote per connection and instrument, in the cache. Never one database row per tick.

Whoever learns a price keeps it here: the feed what it is told, the poller and a decision what they asked. Of two, the
one that is news stays (`rules.news`), and what stays goes on to the sockets: they show what is decided on. Kept as
texts and whole microseconds: most are replaced before they are read.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.core.cache import cache

from apps.connectors.selectors import market_of
from apps.connectors.services import venue
from apps.connectors.types import Quote
from apps.quotes.rules.news import Moment, is_newer, is_news, micros
from apps.quotes.services import fan_out
from apps.quotes.types import Tick

if TYPE_CHECKING:
    from apps.connectors.models import Connection

# How long a quote stays readable. Older ones are of no use to anybody: every reader has a far smaller bound.
KEEP_S: Final = 120

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Packed = tuple[str, str, str, str, str, str | None, str | None, int, int]
"""Instrument, bid, ask, their quantities, last, change, occurred_at, received_at."""


def _key(connection_id: UUID, code: str) -> str:
    return f"{_begin(connection_id)}{code}"


def _begin(connection_id: UUID) -> str:
    return f"quote:{connection_id}:"


def _packed(quote: Quote) -> Packed:
    return (
        quote.instrument,
        str(quote.bid),
        str(quote.ask),
        str(quote.bid_quantity),
        str(quote.ask_quantity),
        None if quote.last is None else str(quote.last),
        None if quote.change_24h is None else str(quote.change_24h),
        micros(quote.occurred_at),
        micros(quote.received_at),
    )


def _unpacked(packed: Packed) -> Quote:
    code, bid, ask, bid_quantity, ask_quantity, last, change, occurred, received = packed
    return Quote(
        code,
        Decimal(bid),
        Decimal(ask),
        Decimal(bid_quantity),
        Decimal(ask_quantity),
        _EPOCH + timedelta(microseconds=occurred),
        _EPOCH + timedelta(microseconds=received),
        None if last is None else Decimal(last),
        None if change is None else Decimal(change),
    )


def _moment(packed: Packed) -> Moment:
    return Moment(packed[7], packed[8], (packed[1], packed[2]))


def latest(connection_id: UUID, code: str) -> Quote | None:
    """The newest quote heard, whatever its age; None where none is kept. The reader judges `received_at`."""
    packed: Packed | None = cache.get(_key(connection_id, code))
    return None if packed is None else _unpacked(packed)


def latest_of(connection_id: UUID, codes: Iterable[str]) -> dict[str, Quote]:
    """The newest quotes heard, by code; codes without one are absent."""
    found: Mapping[str, Packed] = cache.get_many([_key(connection_id, code) for code in codes])
    return {packed[0]: _unpacked(packed) for packed in found.values()}


def latest_of_all(codes: Mapping[UUID, Iterable[str]]) -> dict[UUID, dict[str, Quote]]:
    """As `latest_of`, for many connections in one read of the cache."""
    keys = {_key(connection_id, code): connection_id for connection_id, wanted in codes.items() for code in wanted}
    found: dict[UUID, dict[str, Quote]] = {}
    for key, packed in cache.get_many(list(keys)).items():
        found.setdefault(keys[key], {})[packed[0]] = _unpacked(packed)
    return found


def keep(connection_id: UUID, quotes: Iterable[Quote]) -> dict[str, Quote]:
    """Keep each quote that the venue gave when it was asked, unless a newer one (by its clock) is kept already. Those
    that were, as they are kept now."""
    return _keep([connection_id], {quote.instrument: quote for quote in quotes}, asked=True)


def keep_told(market: str, connection_ids: Sequence[UUID], quotes: Mapping[str, Quote]) -> dict[str, Quote]:
    """Keep quotes by instrument that a market told its socket, for every connection to it, and pass on those that are
    news on any: they are what it returns."""
    kept = _keep(connection_ids, quotes, asked=False)
    _pass_on(market, kept)
    return kept


def _pass_on(market: str, kept: Mapping[str, Quote]) -> None:
    fan_out.send([Tick.of(market, quote) for quote in kept.values()])


def _keep(connection_ids: Sequence[UUID], offered: Mapping[str, Quote], *, asked: bool) -> dict[str, Quote]:
    packed = {code: _packed(quote) for code, quote in offered.items()}
    keys = {f"{begin}{code}": code for begin in map(_begin, connection_ids) for code in offered}
    known_of: Mapping[str, Packed] = cache.get_many(list(keys)) if keys else {}
    newer: dict[str, Packed] = {}
    kept: dict[str, Quote] = {}
    for key, code in keys.items():
        told, known = packed[code], known_of.get(key)
        if (
            known is None
            or is_newer(told[7], told[8], known[7], known[8])
            or is_news(_moment(told), _moment(known), asked=asked)
        ):
            newer[key] = told if known is None or told[5] is not None else _with_last(told, known)
            # Of two connections to a market one may not know its last trade yet: what the other knows is no less true.
            if code not in kept or kept[code].last is None:
                kept[code] = offered[code] if newer[key] is told else _unpacked(newer[key])
    if newer:
        cache.set_many(newer, timeout=KEEP_S)
    return kept


def _with_last(told: Packed, known: Packed) -> Packed:
    """An answer about the book says nothing of the last trade: what was told of it stays."""
    return (*told[:5], known[5], known[6], *told[7:])


def refresh(connection: "Connection", codes: Sequence[str]) -> Mapping[str, Quote]:
    """Ask the venue for these quotes, keep those that are news and pass them on. What it answered, where it was kept
    with the last trade that is known. Raises what the connector raises; not inside a transaction."""
    if not codes:
        return {}
    told = venue.connect(connection).quotes(codes)
    kept = keep(connection.pk, told.values())
    _pass_on(market_of(connection), kept)
    return {**told, **kept}


def fresh(connection: "Connection", code: str, *, now: datetime, max_age: timedelta) -> Quote | None:
    """The kept quote if it is at most `max_age` old, else a new one from the venue (None if it names none)."""
    quote = latest(connection.pk, code)
    if quote is not None and now - quote.received_at <= max_age:
        return quote
    return refresh(connection, [code]).get(code)
