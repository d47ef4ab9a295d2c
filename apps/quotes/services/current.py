"""Candles kept current: what the venue has told since, and the gaps of the last month, a few calls at a time.

Watched is every instrument whose minutes are kept: those the feed hears, and those somebody backfilled. With many of
them each waits its turn; one call tells five hours, so none loses anything by waiting.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Final

from django.db import transaction

from apps.common.errors import AikaError, Misconfigured, Unavailable
from apps.connectors.selectors import active_connections, instruments_of, market_of
from apps.connectors.services import leases, venue
from apps.connectors.types import Connector, Granularity
from apps.quotes.models import CandleSeries
from apps.quotes.rules.candles import HOUR_S, MINUTE_S, Source
from apps.quotes.rules.spans import Span, floor, missing, pages
from apps.quotes.selectors.candles import covers_of, minute_series, series_of
from apps.quotes.services.backfills import PAGE_CANDLES, SETTLED
from apps.quotes.services.candles import Told, keep

if TYPE_CHECKING:
    from apps.connectors.models import Connection

# 1,200 calls an hour of the 10,000 that a key may make.
CALLS_MAX: Final = 20
TURN_S_MAX: Final = 8.0
LEASE: Final = "candles"
LEASE_TTL: Final = timedelta(seconds=120)
REPAIRED_BACK: Final = timedelta(days=30)
# What is fetched of an instrument that has just come under watch: a day of minutes, and a page of hours before it.
BEGINS_BACK: Final = timedelta(days=1)
PAGE: Final = timedelta(seconds=MINUTE_S * PAGE_CANDLES)
HOURS_BACK: Final = timedelta(seconds=HOUR_S * PAGE_CANDLES)

Clock = Callable[[], datetime]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """One call: what is missing of a series."""

    series: CandleSeries
    granularity: Granularity
    span: Span


def keep_current(*, clock: Clock) -> int:
    """One turn over all markets; how many calls it made. Does nothing while another turn runs."""
    held = leases.take(name=LEASE, holder=leases.new_holder(), ttl=LEASE_TTL, now=clock())
    if held is None:
        return 0
    try:
        return _turn(clock)
    finally:
        leases.release(held=held, now=clock())


def _turn(clock: Clock) -> int:
    markets: dict[str, list[Connection]] = {}
    for connection in active_connections().order_by("slug"):
        markets.setdefault(market_of(connection), []).append(connection)
    until, calls = time.monotonic() + TURN_S_MAX, 0
    for market, connections in markets.items():
        gone = instruments_of(connections[0].pk).filter(tradable=False).values_list("code", flat=True)
        asks = wanted(market, now=clock(), gone=frozenset(gone))
        if asks:
            calls += _ask(connections, asks[:CALLS_MAX], until, clock)
    return calls


def wanted(market: str, *, now: datetime, gone: Set[str] = frozenset()) -> list[Ask]:
    """What is missing in this market, the newest of every instrument first, whoever has waited longest before others.
    Those that are `gone` from the venue are left alone."""
    series = [row for row in minute_series([market]) if row.instrument not in gone]
    hours = series_of(market, {row.instrument for row in series}, [HOUR_S])
    known = covers_of([*(row.pk for row in series), *(row.pk for row in hours.values())])
    rows = sorted(series, key=lambda row: known[row.pk][-1][1] if known[row.pk] else now - REPAIRED_BACK)
    of_each = [list(_gaps(row, hours.get((row.instrument, HOUR_S)), known, now)) for row in rows]
    return [ask for ask in chain.from_iterable(zip_longest(*of_each)) if ask is not None]


def _gaps(
    minutes: CandleSeries, hours: CandleSeries | None, known: Mapping[int, Sequence[Span]], now: datetime
) -> Iterator[Ask]:
    """Of one instrument, newest first."""
    told = known[minutes.pk]
    over = floor(now - SETTLED, MINUTE_S)
    since = max(told[0][0], over - REPAIRED_BACK) if told else over - BEGINS_BACK
    for span in reversed(list(pages(missing((since, over), told), PAGE))):
        yield Ask(minutes, Granularity.ONE_MINUTE, span)
    if hours is not None and not known[hours.pk]:
        end = floor(since, HOUR_S)
        yield Ask(hours, Granularity.ONE_HOUR, (end - HOURS_BACK, end))


def _ask(connections: "Sequence[Connection]", asks: Sequence[Ask], until: float, clock: Clock) -> int:
    """Ask over the first connection that can, until the time is over or the venue is away."""
    calls = 0
    for connection in connections:
        try:
            connector = venue.connect(connection)
            if not connector.capabilities.candles:
                continue
            for ask in asks[calls:]:
                if time.monotonic() >= until:
                    return calls
                calls += 1
                _fill(connector, ask)
            return calls
        except Misconfigured as error:  # this key; another connection's may do
            logger.warning("%s gives no candles: %s", connection.slug, error.code)
        except Unavailable as error:
            logger.info("%s gives no candles now: %s", connection.slug, error.code)
            return calls
    return calls


def _fill(connector: Connector, ask: Ask) -> None:
    """One call, and what it told in rows. What the venue refuses about one instrument does not hold up the others."""
    try:
        told = connector.candles(ask.series.instrument, ask.granularity, *ask.span)
        with transaction.atomic():
            keep([Told(series=ask.series, candles=told, source=Source.VENUE, span=ask.span)])
    except (Unavailable, Misconfigured):
        raise
    except (AikaError, ValueError) as error:
        logger.warning("Candles of %s could not be kept: %s", ask.series, error)
