"""Candles of what is heard, and of what the venue tells: written in bulk, the venue's figures above our own.

Every write of minutes also writes the hours they belong to, in one transaction, so that an hour always says what its
minutes say. Writers of one series wait for each other.
"""

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import lt
from typing import Final

from django.core.cache import cache
from django.db import DatabaseError, connection, transaction

from apps.common.errors import AikaError
from apps.connectors.stream_types import StreamEvent
from apps.connectors.types import Candle
from apps.quotes.models import CandleCover, CandleSeries
from apps.quotes.rules.candles import HOUR_S, MINUTE_S, CandleBuilder, Kept, Source, derive, overlay
from apps.quotes.rules.spans import Span, covers, floor, union
from apps.quotes.selectors.candles import covers_of, kept_between, open_key, series_of
from apps.quotes.services.candle_rows import Block, put

OPEN_SAID_EVERY: Final = timedelta(seconds=1)
OPEN_KEPT_S: Final = 180
# Minutes that could not be written wait in memory; beyond so many the oldest are left to the venue's correction.
PENDING_MAX: Final = 20_000
_HOUR: Final = timedelta(seconds=HOUR_S)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one series is told: candles, and the span of which nothing more is to be told (None: heard, may lack some).

    Candles of a span lie in it.
    """

    series: CandleSeries
    candles: Sequence[Candle]
    source: Source
    span: Span | None = None


def heard(market: str, events: Iterable[StreamEvent], now: datetime) -> None:
    """What the feed of a market has just heard. Minutes that are over are written, all of them at once; the open ones
    are in the cache about once a second. To be called about once a second also where nothing was heard.

    Never raises for the database: what could not be written is written with the next minutes. Minutes with numbers that
    no column holds are logged and left to the venue.
    """
    with _lock:
        hearing = _hearings.setdefault(market, _Hearing(market))
    hearing.hear(events, now)


class _Hearing:
    """One market's minutes in memory, for the one thread that hears it."""

    def __init__(self, market: str) -> None:
        self._market = market
        self._builder = CandleBuilder()
        self._pending: dict[tuple[str, datetime], Candle] = {}
        self._said_at: datetime | None = None
        self._lock = threading.Lock()

    def hear(self, events: Iterable[StreamEvent], now: datetime) -> None:
        with self._lock:
            for event in events:
                self._builder.hear(event, now=now)
            over = self._builder.closed(now=now)
            for instrument, closed in over.items():
                self._pending |= {(instrument, one.start): one for one in closed}
            if over:  # before they are rows, so that no reader counts one twice
                cache.delete_many([open_key(self._market, instrument) for instrument in over])
            if self._pending:
                self._write()
            if over or self._said_at is None or now - self._said_at >= OPEN_SAID_EVERY:
                self._said_at = now
                minutes = self._builder.open().items()
                cache.set_many({open_key(self._market, name): one for name, one in minutes}, timeout=OPEN_KEPT_S)

    def _write(self) -> None:
        candles: dict[str, list[Candle]] = {}
        for (instrument, _), one in sorted(self._pending.items()):
            candles.setdefault(instrument, []).append(one)
        try:
            keep_candles(self._market, candles, source=Source.FEED)
        except DatabaseError:
            logger.warning("%s minutes of %s wait to be written.", len(self._pending), self._market, exc_info=True)
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            for key in list(self._pending)[: max(len(self._pending) - PENDING_MAX, 0)]:
                del self._pending[key]
        except (AikaError, ValueError):
            logger.exception("%s minutes of %s are no candles that can be kept.", len(self._pending), self._market)
            self._pending.clear()
        else:
            self._pending.clear()


_hearings: dict[str, _Hearing] = {}
_lock = threading.Lock()


def keep_candles(
    market: str, candles: Mapping[str, Sequence[Candle]], *, source: Source, seconds: int = MINUTE_S
) -> None:
    """Write candles by instrument. What a higher source has said stays; the venue's candles are over when they are
    given here. Raises what `candle_rows.put` raises for numbers that no column holds."""
    series = series_for(market, candles, seconds)
    with transaction.atomic():
        keep([Told(series=series[name], candles=found, source=source) for name, found in candles.items() if found])


def series_for(market: str, instruments: Iterable[str], seconds: int) -> dict[str, CandleSeries]:
    """By instrument, its series of this length; made where there is none, and the hours' beside the minutes'."""
    wanted = {(name, length) for name in instruments for length in _beside(seconds)}
    names = {name for name, _ in wanted}
    found = series_of(market, names, _beside(seconds))
    if missing := sorted(wanted - found.keys()):
        rows = [CandleSeries(market=market, instrument=name, seconds=length) for name, length in missing]
        CandleSeries.objects.bulk_create(rows, ignore_conflicts=True)
        found = series_of(market, names, _beside(seconds))
    return {name: found[name, seconds] for name in names}


def keep(told: Sequence[Told]) -> None:
    """Write candles and what is known to be complete; inside a transaction, which holds the series to its end. No two
    of one series."""
    hours = _hour_series(told)
    ids = sorted({one.series.pk for one in told} | {row.pk for row in hours.values()})
    list(CandleSeries.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))
    for one in told:
        if one.span is not None:
            _cover(one.series, one.span)
    given = [(one, _ordered(one.candles)) for one in told]
    spans = {one.series.pk: span for one, values in given if (span := _span(one, values)) is not None}
    if not spans:
        return
    whole = (min(since for since, _ in spans.values()), max(until for _, until in spans.values()))
    stored, known = kept_between(list(spans), whole), covers_of(spans, near=whole)
    blocks = []
    for one, values in given:
        key, is_final = one.series.pk, one.source is Source.VENUE
        near = [kept for kept in stored.get(key, ()) if spans[key][0] <= kept.candle.start < spans[key][1]]
        blocks.append(Block(key, values, one.source, is_final, fresh=not near))
        if (target := hours.get(key)) is not None:
            minutes, open_hours = _minutes(near, values, one.source, is_final)
            blocks += _hours(target, minutes, open_hours, known.get(key, ()))
    put(blocks)


def _hour_series(told: Sequence[Told]) -> dict[int, CandleSeries]:
    """By series of minutes, that of its hours."""
    minutes = [one.series for one in told if one.series.seconds == MINUTE_S]
    if not minutes:
        return {}
    found = series_of(minutes[0].market, {row.instrument for row in minutes}, [HOUR_S])
    return {row.pk: found[row.instrument, HOUR_S] for row in minutes}


def _beside(seconds: int) -> tuple[int, ...]:
    return (MINUTE_S, HOUR_S) if seconds == MINUTE_S else (seconds,)


def _ordered(candles: Sequence[Candle]) -> Sequence[Candle]:
    """In order and no two of one start: the later one counts."""
    starts = [one.start for one in candles]
    if all(map(lt, starts, starts[1:])):
        return candles
    by_start = {one.start: one for one in candles}
    return [by_start[start] for start in sorted(by_start)]


def _cover(series: CandleSeries, span: Span) -> None:
    """This span too is known, and one row says so of all that touches it."""
    touching = covers_of([series.pk], near=span)[series.pk]
    if covers(touching, span):
        return
    ((since, until),) = union([*touching, span])
    CandleCover.objects.filter(series=series, since__in=[found[0] for found in touching]).delete()
    CandleCover.objects.create(series=series, since=since, until=until)


def _span(told: Told, candles: Sequence[Candle]) -> Span | None:
    """The whole hours that may change. `candles` are in order."""
    ends = [(candles[0].start, candles[-1].start)] if candles else []
    if told.span is not None:
        ends.append((told.span[0], told.span[1] - timedelta(seconds=MINUTE_S)))
    if not ends:
        return None
    first, last = min(since for since, _ in ends), max(until for _, until in ends)
    return floor(first, HOUR_S), floor(last, HOUR_S) + _HOUR


def _minutes(
    near: Sequence[Kept], candles: Sequence[Candle], source: Source, is_final: bool
) -> tuple[Sequence[Candle], set[datetime]]:
    """The minutes there will be, in order, and the hours of which some are not final."""
    if not near:
        return candles, set() if is_final else {floor(one.start, HOUR_S) for one in candles}
    after = overlay(near, (Kept(one, source, is_final) for one in candles))
    starts = sorted(after)
    return [after[at].candle for at in starts], {floor(at, HOUR_S) for at in starts if not after[at].final}


def _hours(
    series: CandleSeries, minutes: Sequence[Candle], open_hours: set[datetime], known: Sequence[Span]
) -> Iterator[Block]:
    """The hours of these minutes; final where every part is and the venue has told all of their time."""
    hours = derive(minutes, HOUR_S)
    final = {
        one.start for one in hours if one.start not in open_hours and covers(known, (one.start, one.start + _HOUR))
    }
    for is_final in (True, False):
        chosen = [one for one in hours if (one.start in final) is is_final]
        if chosen:
            yield Block(series.pk, chosen, Source.DERIVED, is_final)
