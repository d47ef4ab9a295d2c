"""A real month through the whole of it: recording, venue, feed, candles, the page's questions, the chart's series."""

import csv
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from django.db import OperationalError, connections
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.quotes import feed
from apps.quotes.models import Candle
from apps.quotes.types import Length
from tests.browser.conftest import SignIn
from tests.factories.desk import PaperDesk, paper_desk
from tests.scenarios.callers import eventually
from tests.venues.simulator_process import SimulatorProcess

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

MONTH = Path(__file__).resolve().parents[1] / "quotes" / "data" / "btc_usd_1m_2022-01.csv.gz"
SPEED = 250_000
PATIENCE_S = 120
# All that the series of the page's own chart holds, once it has read on to the beginning.
HELD = """async () => {
    const { chart } = await import(document.querySelector('script[src*="watch/main"]').src);
    while (await chart.more());
    const volume = (bar) => chart.candles.bars.get(bar.time).volume;
    const rows = chart.series.data().map((bar) => [bar.time, bar.open, bar.high, bar.low, bar.close, volume(bar)]);
    return JSON.stringify(rows);
}"""

Prices = tuple[Decimal, Decimal, Decimal, Decimal]
"""Open, high, low, close."""


@pytest.fixture
def venue() -> Iterator[SimulatorProcess]:
    process = SimulatorProcess(arguments=("--replay", str(MONTH), "--speed", str(SPEED), "--replay-wait")).start()
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


def of_the_file() -> dict[datetime, tuple[Prices, Decimal]]:
    """What went in, by minute: prices, and the volume in quote currency."""
    with gzip.open(MONTH, "rt", newline="") as file:
        return {
            datetime.fromisoformat(row["start_at"]): (
                (Decimal(row["open"]), Decimal(row["high"]), Decimal(row["low"]), Decimal(row["close"])),
                Decimal(row["volume_quote"]),
            )
            for row in csv.DictReader(file)
        }


def longer(minutes: dict[datetime, Prices], seconds: int) -> dict[datetime, Prices]:
    """Candles of so many seconds, made of minutes the plain way."""
    grouped: dict[datetime, list[Prices]] = {}
    for start, prices in sorted(minutes.items()):
        begins = datetime.fromtimestamp(start.timestamp() // seconds * seconds, UTC)
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


def are_kept(minutes: dict[datetime, Prices]) -> bool:
    try:
        rows = Candle.objects.filter(series__instrument="BTC-USD", series__seconds=60, start__lte=max(minutes))
        return rows.count() == len(minutes)
    except OperationalError:
        # SQLite in memory, as tests have it, lets nobody wait who asks for a table that is being written.
        return False


def held(page: Page) -> dict[datetime, tuple[Prices, str]]:
    """What the chart draws, numbers as its series has them, and the volumes beside them."""
    return {
        datetime.fromtimestamp(int(at), UTC): (tuple(prices), volume)  # type: ignore[misc]
        for at, *prices, volume in json.loads(page.evaluate(HELD), parse_float=Decimal, parse_int=Decimal)
    }


def tabled(page: Page) -> dict[datetime, list[str]]:
    """The candles of the table, as people read them."""
    rows = page.locator("[data-candle]").evaluate_all(
        "rows => rows.map(row => [row.dataset.candle, ...[...row.cells].slice(1, 5).map(cell => cell.textContent)])"
    )
    return {datetime.fromisoformat(start): texts for start, *texts in rows}


def draw(page: Page, slug: str, length: Length) -> None:
    page.locator(f'[data-granularity="{length}"]').click()
    expect(page.locator("#chart")).to_have_attribute("data-drawn", f"{slug}|BTC-USD|{length}")


def test_the_chart_draws_the_candles_that_went_in(
    transactional_db: None, venue: SimulatorProcess, sign_in: SignIn
) -> None:
    went_in = of_the_file()
    minutes = {start: prices for start, (prices, _) in went_in.items()}
    assert len(minutes) == 45_031
    with followed(venue) as desk:
        assert eventually(lambda: venue.replay()["done"], seconds=PATIENCE_S)
        assert eventually(lambda: are_kept(minutes), seconds=PATIENCE_S)
    slug, page = desk.connection.slug, sign_in(desk.approver)
    page.context.set_default_timeout(PATIENCE_S * 1_000)
    page.goto(f"/#{slug}/BTC-USD/1m")
    draw(page, slug, Length.M1)
    came_out = held(page)
    assert {start: prices for start, (prices, _) in came_out.items()} == minutes
    for start, (prices, volume_quote) in went_in.items():
        assert (Decimal(came_out[start][1]) * prices[3]).quantize(volume_quote) == volume_quote, start
    for length in (Length.M5, Length.H1, Length.D1):
        draw(page, slug, length)
        assert {start: prices for start, (prices, _) in held(page).items()} == longer(minutes, length.seconds), length

    draw(page, slug, Length.M1)
    assert_goes_back_by_hand(page, minutes)


def assert_goes_back_by_hand(page: Page, minutes: dict[datetime, Prices]) -> None:
    """The newest candles first; screen by screen back, in the chart and in the table; and to the newest again."""
    newest = f"{max(minutes):%Y-%m-%dT%H:%M:%S.000Z}"
    page.locator("#chart-table summary").click()
    first = page.locator("[data-candle]").first
    expect(first).to_have_attribute("data-candle", newest)
    expect(page.locator("[data-candle]")).to_have_count(300)
    for _ in range(12):
        page.locator("#chart-earlier").click()
    expect(first).not_to_have_attribute("data-candle", newest)
    seen = tabled(page)
    assert len(seen) == 1_000
    assert seen == {start: [as_read(number) for number in minutes[start]] for start in seen}
    page.locator("#chart-newest").click()
    expect(first).to_have_attribute("data-candle", newest)


def as_read(number: Decimal) -> str:
    return f"{number.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"
