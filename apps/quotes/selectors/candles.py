"""Candles as they are kept, and longer ones derived of them when they are asked for.

Minutes and hours are rows. Candles of less than an hour are made of minutes, longer ones of hours, in Python: exact
decimals are not summed in SQL. Where somebody backfilled a longer length itself, the venue's own row wins.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.core.cache import cache
from django.db import connection
from django.db.models import Q, QuerySet

from apps.common.decimals import decimal_text
from apps.common.statements import Question, Select
from apps.connectors.types import Candle as CandleValue
from apps.quotes.models import Candle, CandleCover, CandleSeries
from apps.quotes.rules.candles import HOUR_S, MINUTE_S, Kept, Source, derive, overlay
from apps.quotes.rules.spans import Span, ceil, covers, floor, union
from apps.quotes.types import Length

LIMIT_MAX: Final = 1_000
_SOURCES: Final = {source.value: source for source in Source}
_COLUMNS: Final = ("start", "open", "high", "low", "close", "volume", "source", "is_final")
_HOURS: Final[Select[CandleValue]] = Select(
    lambda market, instrument, since, until: (
        Candle.objects.filter(
            series__market=market,
            series__instrument=instrument,
            series__seconds=HOUR_S,
            start__gte=since,
            start__lte=until,
        )
        .order_by("start")
        .values_list("start", "open", "high", "low", "close", "volume")
    ),
    CandleValue,
    market=str,
    instrument=str,
    since=datetime,
    until=datetime,
)


@dataclass(frozen=True, slots=True)
class CandlePage:
    """Candles, oldest first; `following`: from when on there are others, where the oldest were asked for."""

    items: list[Kept]
    following: datetime | None


def series_of(market: str, instruments: Iterable[str], seconds: Iterable[int]) -> dict[tuple[str, int], CandleSeries]:
    """By instrument and length, the series there are."""
    rows = CandleSeries.objects.filter(market=market, instrument__in=set(instruments), seconds__in=set(seconds))
    return {(row.instrument, row.seconds): row for row in rows}


def minute_series(markets: Iterable[str]) -> QuerySet[CandleSeries]:
    """What is watched: every instrument of these markets whose minutes are kept."""
    return CandleSeries.objects.filter(market__in=set(markets), seconds=MINUTE_S).order_by("pk")


def covers_of(series_ids: Iterable[int], *, near: Span | None = None) -> dict[int, list[Span]]:
    """By series, the spans the venue has told completely, in order; `near`: only those that touch this one."""
    touching = Q() if near is None else Q(since__lte=near[1], until__gte=near[0])
    found: dict[int, list[Span]] = {series_id: [] for series_id in series_ids}
    rows = CandleCover.objects.filter(touching, series__in=list(found)).order_by("since")
    for series_id, since, until in rows.values_list("series_id", "since", "until"):
        found[series_id].append((since, until))
    return found


def kept_between(series_ids: Sequence[int], span: Span) -> dict[int, list[Kept]]:
    """By series, the rows whose candles begin in the span, oldest first."""
    found: dict[int, list[Kept]] = {series_id: [] for series_id in series_ids}
    rows = Candle.objects.filter(series__in=series_ids, start__gte=span[0], start__lt=span[1]).order_by("start")
    for series_id, *columns in rows.values_list("series_id", *_COLUMNS):
        found[series_id].append(_kept(columns))
    return found


def closed_hours_question(market: str, instrument: str, *, span: timedelta, until: datetime) -> Question[CandleValue]:
    """The hours that are kept of the time `span` before `until` and had closed by then, oldest first."""
    hour = timedelta(seconds=HOUR_S)
    return _HOURS(market=market, instrument=instrument, since=until - span, until=until - hour)


def open_key(market: str, instrument: str) -> str:
    """Where the minute that is just being heard stands in the cache."""
    return f"candle:{market}:{instrument}"


def candles(
    *,
    market: str,
    instrument: str,
    granularity: Length,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = LIMIT_MAX,
) -> CandlePage:
    """At most `limit` candles that begin in [since, until), oldest first: the first ones from `since` on, or, where
    that is not said, the newest. The newest may be the one that is still open.
    Where nothing is kept, the page is empty.
    """
    seconds = granularity.seconds
    base = MINUTE_S if seconds < HOUR_S else HOUR_S
    series = series_of(market, [instrument], {MINUTE_S, HOUR_S, seconds})
    ids = {length: row.pk for (_, length), row in series.items()}
    span = Q()
    if since is not None:
        span &= Q(start__gte=ceil(since, seconds))
    if until is not None:
        span &= Q(start__lt=ceil(until, seconds))
    # So many rows span two more than are shown, or are all there are. The outermost may be cut and is left out, and the
    # one before it says that the page is not the last.
    enough = (limit + 2) * (seconds // base)
    newest_first = since is None
    rows = _rows(ids.get(base), span, newest_first, enough)
    if newest_first and (until is None):
        rows = _with_open(rows, cache.get(open_key(market, instrument)), base)
    if base == seconds:
        return _cut(rows, newest_first, limit)
    known = union(one for found in covers_of([ids[x] for x in (MINUTE_S, base) if x in ids]).values() for one in found)
    made = _derived(rows, seconds, known)
    if len(rows) >= enough and made:  # the outermost bucket lacks what was not read
        made = made[1:] if newest_first else made[:-1]
    own = _rows(ids.get(seconds), span, newest_first, limit + 1)
    if own:
        made = _sorted(overlay(own, made))
    return _cut(made, newest_first, limit)


def _rows(series_id: int | None, span: Q, newest_first: bool, count: int) -> list[Kept]:
    """Rows oldest first, their numbers as the driver gives them: a page of days is made of thousands of rows, and only
    what is shown is put into normal form."""
    if series_id is None:
        return []
    found = Candle.objects.filter(span, series=series_id).order_by("-start" if newest_first else "start")
    sql, params = found.values_list(*_COLUMNS)[:count].query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        raw = cursor.fetchall()
    read = _of_postgresql if connection.vendor == "postgresql" else _of_sqlite
    rows = list(map(read, raw))
    return rows[::-1] if newest_first else rows


def _of_postgresql(row: Sequence[Any]) -> Kept:
    start, first, high, low, close, volume, source, final = row
    return Kept(CandleValue(start, first, high, low, close, volume), _SOURCES[source], final)


def _of_sqlite(row: Sequence[Any]) -> Kept:
    start, first, high, low, close, volume, source, final = row
    at = start.replace(tzinfo=UTC)  # kept naive, in UTC
    numbers = (Decimal(first), Decimal(high), Decimal(low), Decimal(close), Decimal(volume))
    return Kept(CandleValue(at, *numbers), _SOURCES[source], bool(final))


def _plain(kept: Kept) -> Kept:
    """Its numbers in normal form, as every exact decimal is read."""
    one = kept.candle
    numbers = (Decimal(decimal_text(number)) for number in (one.open, one.high, one.low, one.close, one.volume))
    return Kept(CandleValue(one.start, *numbers), kept.source, kept.final)


def _kept(columns: Sequence[Any]) -> Kept:
    return Kept(CandleValue(*columns[:6]), Source(columns[6]), columns[7])


def _with_open(rows: list[Kept], minute: CandleValue | None, base: int) -> list[Kept]:
    """The minute being heard, after (or, in hours, as a part of) the newest row. It is older than no row."""
    if minute is None or (rows and floor(minute.start, base) < rows[-1].candle.start):
        return rows
    start = floor(minute.start, base)
    same = rows[-1] if rows and rows[-1].candle.start == start else None
    if same is None:
        return [*rows, Kept(derive([minute], base)[0], Source.FEED, False)]
    if base == MINUTE_S or same.final:
        return rows  # the row is what became of it
    return [*rows[:-1], Kept(derive([same.candle, minute], base)[0], Source.FEED, False)]


def _derived(rows: Sequence[Kept], seconds: int, known: Sequence[Span]) -> list[Kept]:
    """Longer candles; final where every part is and the venue has told all of their time."""
    step = timedelta(seconds=seconds)
    open_parts = {floor(row.candle.start, seconds) for row in rows if not row.final}
    return [
        Kept(one, Source.DERIVED, one.start not in open_parts and covers(known, (one.start, one.start + step)))
        for one in derive((row.candle for row in rows), seconds)
    ]


def _sorted(found: Mapping[datetime, Kept]) -> list[Kept]:
    return [found[start] for start in sorted(found)]


def _cut(items: list[Kept], newest_first: bool, limit: int) -> CandlePage:
    shown = [_plain(one) for one in (items[-limit:] if newest_first else items[:limit])]
    more = not newest_first and len(items) > limit
    return CandlePage(shown, items[limit].candle.start if more else None)
