"""`backfill`: candles into PostgreSQL as a backfill writes them, beside one raw COPY of the same candles.

Seconds are those of processor, this process's and the database backend's together: the machine has other work. With
BENCH_QUICK set, a tenth of the candles.
"""

import os
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from django.db import connection, transaction

from apps.connectors.types import Candle
from apps.quotes.models import CandleSeries
from apps.quotes.rules.candles import MINUTE_S, Source
from apps.quotes.selectors.candles import candles
from apps.quotes.services.backfills import PAGE_CANDLES, WRITTEN_PAGES
from apps.quotes.services.candles import Told, keep, series_for
from apps.quotes.types import Length
from tests.benchmarks.cpu import TICKS_A_SECOND
from tests.benchmarks.report import Found, Row

CANDLES = 100_000 if os.environ.get("BENCH_QUICK") else 1_000_000
RUNS = 3
READS = 30
MARKET, BTC = "coinbase|http://localhost:9", "BTC-USD"
MINUTE = timedelta(seconds=MINUTE_S)
START = datetime(2022, 1, 1, tzinfo=UTC)
RAW = "COPY quotes_candle (series_id, start, open, high, low, close, volume, source, is_final) FROM STDIN"


def month_after_month(count: int) -> list[Candle]:
    """Minutes with the digits that a venue's have."""
    order, made, price = random.Random(7), [], Decimal("46319.00")
    for number in range(count):
        close = price + Decimal(order.randrange(-5_000, 5_001)).scaleb(-2)
        volume = Decimal(order.randrange(10**6, 10**11)).scaleb(-8)
        high, low = max(price, close) + Decimal("1.25"), min(price, close) - Decimal("0.75")
        made.append(Candle(START + number * MINUTE, price, high, low, close, volume))
        price = max(close, Decimal(100))
    return made


def as_a_backfill(values: Sequence[Candle]) -> None:
    """Each write a transaction: the candles, their hours, and the span they cover."""
    series = series_for(MARKET, [BTC], MINUTE_S)[BTC]
    step = PAGE_CANDLES * WRITTEN_PAGES
    for at in range(0, len(values), step):
        part = values[at : at + step]
        with transaction.atomic():
            span = (part[0].start, part[-1].start + MINUTE)
            keep([Told(series=series, candles=part, source=Source.VENUE, span=span)])


def as_one_copy(values: Sequence[Candle]) -> None:
    """Nothing but the rows, in one transaction, their text made by hand."""
    series = series_for(MARKET, [BTC], MINUTE_S)[BTC]
    with transaction.atomic(), connection.cursor() as cursor, cursor.copy(RAW) as copy:  # type: ignore[attr-defined]
        for at in range(0, len(values), 1_000):
            copy.write(
                "".join(
                    f"{series.pk}\t{one.start.isoformat()}\t{one.open}\t{one.high}\t{one.low}\t{one.close}\t"
                    f"{one.volume}\t3\tt\n"
                    for one in values[at : at + 1_000]
                )
            )


def backend_s() -> float:
    """Seconds of processor that this connection's backend has used, on this machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def timed(write: Callable[[Sequence[Candle]], None], values: Sequence[Candle]) -> tuple[float, float]:
    """Candles a second of processor and a second of the clock, into empty tables."""
    empty()
    spent, began = time.process_time() + backend_s(), time.perf_counter()
    write(values)
    clock = time.perf_counter() - began
    return len(values) / (time.process_time() + backend_s() - spent), len(values) / clock


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE quotes_candle, quotes_candlecover, quotes_candlebackfill, quotes_candleseries")


def reads() -> dict[str, list[float]]:
    """Milliseconds of a chart's page out of all of them."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE quotes_candle")
    found: dict[str, list[float]] = {}
    for length in (Length.M1, Length.M15, Length.D1):
        for _ in range(READS):
            began = time.perf_counter()
            page = candles(market=MARKET, instrument=BTC, granularity=length, limit=300)
            found.setdefault(length.value, []).append((time.perf_counter() - began) * 1000)
            assert page.items
    return found


def measure() -> Found:
    """Both ways in turn, then a chart's pages out of what was written last."""
    values = month_after_month(CANDLES)
    raw, ours = [], []
    for _ in range(RUNS):
        raw.append(timed(as_one_copy, values))
        ours.append(timed(as_a_backfill, values))
    series = CandleSeries.objects.get(seconds=MINUTE_S)
    assert series.candles.count() == CANDLES
    rows = [
        Row(
            what="candles written",
            unit="a CPU second",
            aika=[cpu for cpu, _ in ours],
            other="one raw COPY",
            others=[cpu for cpu, _ in raw],
            aim="0.5x",
        ),
        Row(
            what="candles written",
            unit="a second",
            aika=[clock for _, clock in ours],
            other="one raw COPY",
            others=[clock for _, clock in raw],
        ),
    ]
    rows += [Row(what=f"300 candles of {name} read", unit="ms", aika=times) for name, times in reads().items()]
    empty()
    return Found(
        name="backfill",
        work=f"{CANDLES:,} one-minute candles into empty tables with their index. Aika writes them as a backfill does, "
        f"{PAGE_CANDLES * WRITTEN_PAGES:,} a transaction, each with the hours they make, the span they cover, and a "
        "look whether a number is more exact than its column. The raw COPY writes the rows alone, in one transaction.",
        rows=tuple(rows),
        notes=("Processor seconds are the writing process's and its database backend's together.",),
    )
