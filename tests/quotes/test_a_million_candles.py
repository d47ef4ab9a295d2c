"""One million candles stay quick to query: every read is a range of the one index, whatever is asked."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.connectors.types import Candle
from apps.quotes.models import CandleSeries
from apps.quotes.rules.candles import Source
from apps.quotes.selectors.candles import candles
from apps.quotes.services.candle_rows import Block, put
from apps.quotes.services.candles import keep_candles
from apps.quotes.types import Length

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no COPY and no plan to read"),
    pytest.mark.django_db,
]

MARKET = "coinbase|http://localhost:9"
START = datetime(2024, 1, 1, tzinfo=UTC)
INSTRUMENTS = [f"C{number}-USD" for number in range(10)]
EACH = 100_000
ONE = Decimal(1)


@pytest.fixture
def million() -> None:
    """Ten instruments of a hundred thousand minutes, by COPY."""
    values = [Candle(START + timedelta(minutes=n), ONE, ONE, ONE, ONE, ONE) for n in range(EACH)]
    hours = [Candle(START + timedelta(hours=n), ONE, ONE, ONE, ONE, ONE) for n in range(1, EACH // 60)]
    keep_candles(MARKET, dict.fromkeys(INSTRUMENTS, values[:60]), source=Source.VENUE)
    for series in CandleSeries.objects.filter(seconds=60):
        put([Block(series.pk, values[60:], Source.VENUE, True, fresh=True)])
    for series in CandleSeries.objects.filter(seconds=3_600):
        put([Block(series.pk, hours, Source.DERIVED, True, fresh=True)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE quotes_candle")
        cursor.execute("SELECT count(*) FROM quotes_candle")
        assert cursor.fetchone()[0] >= EACH * len(INSTRUMENTS)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def plans(captured: CaptureQueriesContext) -> list[dict[str, Any]]:
    """What PostgreSQL did for each read of candles."""
    found = []
    for query in [query["sql"] for query in captured.captured_queries if 'FROM "quotes_candle"' in query["sql"]]:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}".replace("%", "%%"), [])
            answer = cursor.fetchone()[0]
        found.append((json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"])
    return found


@pytest.mark.usefixtures("million")
def test_every_read_is_a_range_of_the_index() -> None:
    middle = START + timedelta(days=30)
    for length in Length:
        for asked in ({}, {"since": middle}, {"until": middle}, {"since": middle, "until": middle + timedelta(days=1)}):
            with CaptureQueriesContext(connection) as captured:
                page = candles(market=MARKET, instrument="C7-USD", granularity=length, limit=100, **asked)  # type: ignore[arg-type]
            assert page.items
            found = plans(captured)
            assert found, length
            for plan in found:
                kinds = {node["Node Type"] for node in nodes(plan)}
                assert kinds <= {"Limit", "Index Scan", "Index Scan Backward"}, (length, asked, kinds)
                read = max(node["Actual Rows"] for node in nodes(plan))
                assert read <= 102 * 30, (length, asked, read)
                touched = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
                assert touched < 200, (length, asked, touched)
