"""The turn of the clock: what was heard is corrected, gaps are closed, and a crowd waits its turn."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.connectors.models import Connection, Lease
from apps.connectors.selectors import market_of
from apps.connectors.types import Candle as Value
from apps.quotes.models import Candle, CandleCover, CandleSeries
from apps.quotes.rules.candles import Source
from apps.quotes.rules.spans import floor
from apps.quotes.selectors.candles import candles, covers_of
from apps.quotes.services import current
from apps.quotes.services.candles import keep_candles, series_for
from apps.quotes.tasks import keep_candles as task
from apps.quotes.types import Length
from tests.factories.accounts import DeskFactory
from tests.factories.connectors import InstrumentFactory, simulator_connection
from tests.venues.simulator_process import SimulatorProcess

MINUTE = timedelta(minutes=1)
BTC = "BTC-USD"


@pytest.fixture
def connection(db: None, simulator: SimulatorProcess) -> Connection:
    return simulator_connection(simulator, desk=DeskFactory())


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator works candles out second by second: an hour of minutes is enough here."""
    monkeypatch.setattr(current, "BEGINS_BACK", timedelta(hours=1))
    monkeypatch.setattr(current, "HOURS_BACK", timedelta(hours=5))


def hear(connection: Connection, at: datetime, code: str = BTC) -> None:
    """A minute the feed made up its mind about, wrongly."""
    wrong = Value(at, *[Decimal("1.5")] * 5)
    keep_candles(market_of(connection), {code: [wrong]}, source=Source.FEED)


def test_what_was_heard_is_corrected_and_the_past_is_fetched(connection: Connection) -> None:
    now = timezone.now()
    hear(connection, floor(now, 60) - 10 * MINUTE)

    assert task() >= 2

    page = candles(market=market_of(connection), instrument=BTC, granularity=Length.M1)
    assert len(page.items) >= 60 and all(one.final for one in page.items)
    assert Decimal("1.5") not in {one.candle.close for one in page.items}
    hours = candles(market=market_of(connection), instrument=BTC, granularity=Length.H1)
    assert len(hours.items) >= 6


def test_a_second_turn_asks_only_for_what_is_new(connection: Connection, simulator: SimulatorProcess) -> None:
    hear(connection, floor(timezone.now(), 60) - 10 * MINUTE)
    task()
    before = len(simulator.requests("/candles"))
    now = timezone.now()

    current.keep_current(clock=lambda: now)
    in_three = now + 3 * MINUTE
    asks = current.wanted(market_of(connection), now=in_three)

    assert len(simulator.requests("/candles")) - before <= 1
    assert [ask.span[1] for ask in asks] == [floor(in_three - current.SETTLED, 60)]
    assert sum(((ask.span[1] - ask.span[0]) for ask in asks), timedelta()) <= 4 * MINUTE


def test_a_gap_between_what_is_known_is_closed(connection: Connection) -> None:
    now = timezone.now()
    hear(connection, floor(now, 60) - 10 * MINUTE)
    task()
    series = CandleSeries.objects.get(seconds=60)
    (cover,) = covers_of([series.pk])[series.pk]
    gap = (cover[0] + 20 * MINUTE, cover[0] + 25 * MINUTE)
    CandleCover.objects.filter(series=series).delete()
    CandleCover.objects.create(series=series, since=cover[0], until=gap[0])
    CandleCover.objects.create(series=series, since=gap[1], until=cover[1])
    Candle.objects.filter(series=series, start__gte=gap[0], start__lt=gap[1]).delete()

    task()

    assert Candle.objects.filter(series=series, start__gte=gap[0], start__lt=gap[1]).count() == 5
    assert len(covers_of([series.pk])[series.pk]) == 1


def test_of_many_the_one_that_waited_longest_comes_first_and_a_turn_has_an_end(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess
) -> None:
    now, market = timezone.now(), market_of(connection)
    over = floor(now, 60)
    for number, code in enumerate((BTC, "ETH-USD", "SOL-USD")):
        series = series_for(market, [code], 60)[code]
        CandleCover.objects.create(series=series, since=over - 90 * MINUTE, until=over - (10 + number) * MINUTE)
    monkeypatch.setattr(current, "CALLS_MAX", 2)

    assert [ask.series.instrument for ask in current.wanted(market, now=now)][:3] == ["SOL-USD", "ETH-USD", BTC]
    assert task() == 2
    asked = {request["path"].split("/")[-2] for request in simulator.requests("/candles")}
    assert asked == {"SOL-USD", "ETH-USD"}


def test_a_venue_that_is_away_or_knows_nothing_of_one_ends_nothing_else(
    connection: Connection, simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    recent = floor(timezone.now(), 60) - 10 * MINUTE
    hear(connection, recent, "NO-SUCH")
    hear(connection, recent)
    task()
    assert Candle.objects.filter(series__instrument=BTC, source=Source.VENUE).exists()
    assert not CandleCover.objects.filter(series__instrument="NO-SUCH").exists()
    assert "NO-SUCH" in {ask.series.instrument for ask in current.wanted(market_of(connection), now=timezone.now())}
    InstrumentFactory(connection=connection, code="NO-SUCH", tradable=False)
    before = len(simulator.requests("NO-SUCH/candles"))
    task()
    assert len(simulator.requests("NO-SUCH/candles")) == before >= 1

    CandleCover.objects.all().delete()
    simulator.add_fault("candles", "reset-before", probability="1")
    assert task() == 1
    assert not CandleCover.objects.exists()


def test_two_turns_do_not_run_at_once(connection: Connection, simulator: SimulatorProcess) -> None:
    hear(connection, floor(timezone.now(), 60) - 10 * MINUTE)
    Lease.objects.create(name=current.LEASE, holder="another", until=timezone.now() + MINUTE)

    assert (task(), simulator.requests("/candles")) == (0, [])
