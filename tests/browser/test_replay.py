"""A real day through the whole of it: recording, venue, feed, candles, the page's own question, the chart's series."""

import csv
import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import OperationalError, connections
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.connectors.selectors import market_of
from apps.quotes import feed
from apps.quotes.selectors.candles import candles
from apps.quotes.types import Length
from tests.browser.conftest import SignIn
from tests.factories.desk import PaperDesk, paper_desk
from tests.scenarios.callers import eventually
from tests.venues.simulator_process import SimulatorProcess

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

DAY = Path(__file__).resolve().parents[1] / "quotes" / "data" / "btc_usd_1m_2022-01-21.csv.gz"
SPEED = 14_400
SHOWN = 300
PATIENCE_S = 120

Prices = tuple[Decimal, Decimal, Decimal, Decimal]
"""Open, high, low, close."""


@pytest.fixture
def venue() -> Iterator[SimulatorProcess]:
    process = SimulatorProcess(arguments=("--replay", str(DAY), "--speed", str(SPEED), "--replay-wait")).start()
    yield process
    process.stop()


@contextmanager
def followed(venue: SimulatorProcess) -> Iterator[PaperDesk]:
    """A desk whose market a feed follows, as `stream_quotes` does, until the block ends."""
    desk, stop = paper_desk(venue), threading.Event()

    def follow() -> None:
        try:
            feed.run(stop, clock=timezone.now)
        finally:
            connections.close_all()

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield desk
    finally:
        stop.set()
        thread.join()


def of_the_file() -> dict[datetime, Prices]:
    """What went in, by minute."""
    with gzip.open(DAY, "rt", newline="") as file:
        return {
            datetime.fromisoformat(row["start_at"]): (
                Decimal(row["open"]),
                Decimal(row["high"]),
                Decimal(row["low"]),
                Decimal(row["close"]),
            )
            for row in csv.DictReader(file)
        }


def longer(minutes: dict[datetime, Prices], seconds: int) -> dict[datetime, Prices]:
    """Candles of so many seconds, made of minutes the plain way."""
    grouped: dict[datetime, list[Prices]] = {}
    for start, prices in sorted(minutes.items()):
        begins = datetime.fromtimestamp(start.timestamp() // seconds * seconds, start.tzinfo)
        grouped.setdefault(begins, []).append(prices)
    return {
        begins: (
            inside[0][0],
            max(one[1] for one in inside),
            min(one[2] for one in inside),
            inside[-1][3],
        )
        for begins, inside in grouped.items()
    }


def drawn(page: Page) -> dict[datetime, Prices]:
    """What the chart's series holds, as the page itself reads it out."""
    rows = page.locator("[data-candle]").evaluate_all(
        "rows => rows.map(row => [row.dataset.candle, ...[...row.cells].slice(1, 5).map(cell => cell.textContent)])"
    )
    return {
        datetime.fromisoformat(start): tuple(Decimal(text.replace(",", "")) for text in texts)  # type: ignore[misc]
        for start, *texts in rows
    }


def test_the_chart_draws_the_candles_that_went_in(
    transactional_db: None, venue: SimulatorProcess, sign_in: SignIn
) -> None:
    minutes = of_the_file()

    def are_kept(market: str) -> bool:
        try:
            kept = candles(market=market, instrument="BTC-USD", granularity=Length.M1, limit=len(minutes) + 1)
        except OperationalError:
            # SQLite in memory, as tests have it, lets nobody wait who asks for a table that is being written.
            return False
        return len([one for one in kept.items if one.candle.start in minutes]) == len(minutes)

    with followed(venue) as desk:
        market, slug = market_of(desk.connection), desk.connection.slug
        assert eventually(lambda: are_kept(market), seconds=PATIENCE_S)
    page = sign_in(desk.approver)
    page.context.set_default_timeout(PATIENCE_S * 1_000)
    page.goto(f"/#{slug}/BTC-USD/1m")
    page.locator("#chart-table summary").click()
    for length in (Length.M1, Length.M5, Length.H1, Length.D1):
        page.locator(f'[data-granularity="{length}"]').click()
        expect(page.locator("#chart")).to_have_attribute(
            "data-drawn", f"{slug}|BTC-USD|{length}", timeout=PATIENCE_S * 1_000
        )
        expected = longer(minutes, length.seconds)
        newest = sorted(expected)[-SHOWN:]
        expect(page.locator("[data-candle]")).to_have_count(len(newest), timeout=PATIENCE_S * 1_000)
        assert drawn(page) == {start: expected[start] for start in newest}, length
