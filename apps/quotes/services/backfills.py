"""Filling in the past: only what is missing, in pages, several at a time, and never faster than the venue bears.

What a page told is written in one transaction with the span it covers; so a run that is killed loses at most the pages
in flight, and the next one asks for those and no others. A span of which the venue knew nothing is covered too.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.db import transaction
from django.db.models import F

from apps.common.errors import Invalid, NotFound, Unavailable
from apps.connectors.selectors import market_of
from apps.connectors.services import venue
from apps.connectors.types import Candle, Connector, Granularity
from apps.quotes.models import CandleBackfill
from apps.quotes.rules.candles import Source
from apps.quotes.rules.spans import Span, floor, length, missing, pages, union
from apps.quotes.selectors.candles import covers_of, kept_between, series_of
from apps.quotes.services.candles import Told, keep, series_for

if TYPE_CHECKING:
    from apps.connectors.models import Connection

# Coinbase documents 350 candles a call; 300 has always worked (coinbase.md 4), and is whole hours of minutes.
PAGE_CANDLES: Final = 300
# A third of what the venue allows a key: orders, cancels and the live desk always find room beside it.
CALLS_PER_S: Final = 10
PARALLEL: Final = 4
TRIES: Final = 3
PAUSE_S: Final = 2.0
# Pages are written together once there are so many, or once the oldest has waited so long.
WRITTEN_PAGES: Final = 50
WRITTEN_EVERY_S: Final = 1.0
# A venue may still add a trade to a candle that is just over.
SETTLED: Final = timedelta(seconds=5)
CANDLES_MAX: Final = 5_000_000

GRANULARITIES: Final = {
    "1m": Granularity.ONE_MINUTE,
    "5m": Granularity.FIVE_MINUTE,
    "15m": Granularity.FIFTEEN_MINUTE,
    "30m": Granularity.THIRTY_MINUTE,
    "1h": Granularity.ONE_HOUR,
    "2h": Granularity.TWO_HOUR,
    "6h": Granularity.SIX_HOUR,
    "1d": Granularity.ONE_DAY,
}

Clock = Callable[[], datetime]
Report = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked for, whole candles that are over, and what of it is missing."""

    connection: "Connection"
    instrument: str
    granularity: Granularity
    span: Span
    gaps: Sequence[Span]

    @property
    def market(self) -> str:
        return market_of(self.connection)

    @property
    def page(self) -> timedelta:
        return timedelta(seconds=self.granularity.seconds * PAGE_CANDLES)

    @property
    def pages(self) -> list[Span]:
        """The calls to the venue, oldest first."""
        return list(pages(self.gaps, self.page))

    @property
    def intervals(self) -> int:
        """How many candles are missing, if something traded in every interval."""
        return length(self.gaps) // timedelta(seconds=self.granularity.seconds)


@dataclass(kw_only=True)
class Filled:
    """How far a run came. `problem` says why it ended early: empty where everything asked is kept."""

    calls: int = 0
    candles: int = 0
    intervals: int = 0
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A candle that is not here what it is at the venue; None where there is none."""

    start: datetime
    here: Candle | None
    venue: Candle | None


@dataclass(kw_only=True)
class Verified:
    calls: int = 0
    candles: int = 0
    differences: list[Difference] = field(default_factory=list)


def plan(
    *, connection: "Connection", instrument: str, granularity: str, since: datetime, until: datetime, now: datetime
) -> Plan:
    """What of [since, until) is missing. What is not over yet, by the venue's clock and by ours, is left out.

    Raises Invalid GRANULARITY_UNKNOWN, VENUE_TELLS_NO_CANDLES, SPAN_EMPTY, TOO_MANY_CANDLES, and what asking the venue
    for its time raises.
    """
    if granularity not in GRANULARITIES:
        raise Invalid(
            "GRANULARITY_UNKNOWN",
            f"Nothing is backfilled in candles of {granularity!r}.",
            fix=f"One of {', '.join(GRANULARITIES)}; longer ones are derived.",
            field="granularity",
        )
    chosen, connector = GRANULARITIES[granularity], venue.connect(connection)
    if not connector.capabilities.candles:
        raise Invalid(
            "VENUE_TELLS_NO_CANDLES",
            f"{connection.name} tells no candles.",
            fix="Name a connection to a venue that does.",
            field="connection",
        )
    over = min(now, connector.server_time().at) - SETTLED
    span = floor(since, chosen.seconds), floor(min(until, over), chosen.seconds)
    if span[0] >= span[1]:
        raise Invalid(
            "SPAN_EMPTY", "No whole candle that is over lies in this time.", fix="Begin earlier, or end later."
        )
    if (span[1] - span[0]) // timedelta(seconds=chosen.seconds) > CANDLES_MAX:
        raise Invalid(
            "TOO_MANY_CANDLES",
            f"At most {CANDLES_MAX:,} candles at once.",
            fix="Ask for a shorter time or longer candles.",
        )
    series = series_of(market_of(connection), [instrument], [chosen.seconds]).get((instrument, chosen.seconds))
    known = covers_of([series.pk], near=span)[series.pk] if series else []
    gaps = missing(span, known)
    return Plan(connection=connection, instrument=instrument, granularity=chosen, span=span, gaps=gaps)


def unfinished(*, connection: "Connection", instrument: str, granularity: str) -> CandleBackfill | None:
    """The newest run over this that did not come to its end."""
    chosen = GRANULARITIES.get(granularity)
    series = series_of(market_of(connection), [instrument], [chosen.seconds]) if chosen else {}
    rows = CandleBackfill.objects.filter(series__in=series.values(), ended_at__isnull=True)
    return rows.order_by("-started_at").first()


def run(*, plan: Plan, resumed: CandleBackfill | None = None, clock: Clock, report: Report) -> Filled:
    """Ask for what is missing and keep it. Stops at the first page that the venue does not give after three tries.

    Raises Invalid INSTRUMENT_UNKNOWN and what `venue.connect` raises; not inside a transaction.
    """
    connector = venue.connect(plan.connection)
    series = series_for(plan.market, [plan.instrument], plan.granularity.seconds)[plan.instrument]
    now = clock()
    row = resumed or CandleBackfill.objects.create(
        series=series, since=plan.span[0], until=plan.span[1], started_at=now, progress_at=now
    )
    filled, total, step = Filled(), plan.intervals, timedelta(seconds=plan.granularity.seconds)
    report(0, total)
    for batch in _batches(_asked(connector, plan, plan.pages, filled)):
        for span, found, calls in _joined(batch):
            with transaction.atomic():
                keep([Told(series=series, candles=found, source=Source.VENUE, span=span)])
                CandleBackfill.objects.filter(pk=row.pk).update(
                    calls=F("calls") + calls, candles=F("candles") + len(found), progress_at=clock()
                )
            filled.candles += len(found)
            filled.intervals += (span[1] - span[0]) // step
            report(filled.intervals, total)
    if not filled.problem:
        CandleBackfill.objects.filter(pk=row.pk).update(ended_at=clock())
    return filled


def verify(*, plan: Plan, report: Report) -> Verified:
    """Read all of the span from the venue again and compare; changes nothing. Raises what the venue's answers raise."""
    connector, step = venue.connect(plan.connection), timedelta(seconds=plan.granularity.seconds)
    series = series_of(plan.market, [plan.instrument], [plan.granularity.seconds])
    row, filled, found = series.get((plan.instrument, plan.granularity.seconds)), Filled(), Verified()
    done, total = 0, (plan.span[1] - plan.span[0]) // step
    for span, told in _asked(connector, plan, list(pages([plan.span], plan.page)), filled):
        theirs = {one.start: one for one in told}
        kept = kept_between([row.pk], span)[row.pk] if row else []
        ours = {one.candle.start: one.candle for one in kept}
        found.differences += [
            Difference(start=start, here=ours.get(start), venue=theirs.get(start))
            for start in sorted(ours.keys() | theirs.keys())
            if ours.get(start) != theirs.get(start)
        ]
        found.candles += len(theirs)
        done += (span[1] - span[0]) // step
        report(done, total)
    if filled.problem:
        raise Unavailable("CANDLES_NOT_READ", filled.problem, fix="Verify again later.")
    found.calls = filled.calls
    return found


Page = tuple[Span, tuple[Candle, ...]]


def _asked(connector: Connector, plan: Plan, wanted: Sequence[Span], filled: Filled) -> Iterator[Page]:
    """The pages as they come, several in flight; after one that cannot be had, those in flight and no more."""
    pace, waiting = _Pace(), iter(wanted)
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="backfill") as pool:
        flying: dict[Future[tuple[Candle, ...]], Span] = {}

        def launch() -> None:
            while not filled.problem and len(flying) < 2 * PARALLEL and (span := next(waiting, None)) is not None:
                flying[pool.submit(_page, connector, plan, span, pace)] = span

        try:
            launch()
            while flying:
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    span = flying.pop(future)
                    try:
                        told = future.result()
                    except Unavailable as error:
                        filled.problem = f"{error} {error.fix}".strip()
                        continue
                    filled.calls += 1
                    yield span, told
                launch()
        finally:
            pace.stop()
            for future in flying:
                future.cancel()


def _page(connector: Connector, plan: Plan, span: Span, pace: "_Pace") -> tuple[Candle, ...]:
    for number in range(TRIES):
        if not pace.wait():
            break
        try:
            return connector.candles(plan.instrument, plan.granularity, *span)
        except NotFound as error:
            raise Invalid(
                "INSTRUMENT_UNKNOWN",
                f"{plan.connection.name} does not list {plan.instrument}.",
                fix="GET /api/v1/quotes lists what it does.",
                field="instrument",
            ) from error
        except Unavailable:
            if number == TRIES - 1 or not pace.pause(PAUSE_S * (number + 1)):
                raise
    raise Unavailable("BACKFILL_STOPPED", "The backfill was stopped.")


class _Pace:
    """At most so many calls a second over all threads. Both waits answer False once it is stopped."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._clock = clock
        self._next = clock()

    def wait(self) -> bool:
        with self._lock:
            now = self._clock()
            at = self._next = max(self._next, now)
            self._next += 1 / CALLS_PER_S
        return not self._stopped.wait(at - now)

    def pause(self, seconds: float) -> bool:
        return not self._stopped.wait(seconds)

    def stop(self) -> None:
        self._stopped.set()


def _batches(found: Iterator[Page]) -> Iterator[list[Page]]:
    batch: list[Page] = []
    since = time.monotonic()
    for page in found:
        batch.append(page)
        if len(batch) >= WRITTEN_PAGES or time.monotonic() - since >= WRITTEN_EVERY_S:
            yield batch
            batch, since = [], time.monotonic()
    if batch:
        yield batch


def _joined(batch: Sequence[Page]) -> Iterator[tuple[Span, list[Candle], int]]:
    """Pages that follow each other as one, with their number."""
    ordered = sorted(batch, key=lambda page: page[0])
    for span in union(page[0] for page in ordered):
        within = [page for page in ordered if span[0] <= page[0][0] < span[1]]
        yield span, [one for _, told in within for one in told], len(within)
