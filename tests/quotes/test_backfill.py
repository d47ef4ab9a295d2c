"""backfill_candles against a real simulator: asks for what is missing and no more, and says how far it came."""

import json
import threading
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.common.decimals import instant_text
from apps.connectors.models import Connection
from apps.connectors.selectors import market_of
from apps.quotes.models import Candle, CandleBackfill, CandleCover, CandleSeries
from apps.quotes.rules.candles import Source
from apps.quotes.rules.spans import floor
from apps.quotes.selectors.candles import candles
from apps.quotes.services import backfills
from apps.quotes.types import Length
from tests.factories.accounts import DeskFactory
from tests.factories.connectors import ConnectionFactory, simulator_connection
from tests.venues.robinhood.double import API_KEY
from tests.venues.simulator_process import SimulatorProcess

HOUR = timedelta(hours=1)
PAGE = 300 * HOUR


@pytest.fixture
def connection(db: None, simulator: SimulatorProcess) -> Connection:
    return simulator_connection(simulator, desk=DeskFactory())


@pytest.fixture
def since() -> datetime:
    """Forty days ago, where a page of hours begins."""
    return floor(timezone.now() - timedelta(days=40), int(PAGE.total_seconds()))


def backfill(connection: Connection, since: datetime | None, *flags: str, **options: Any) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of one run in hours."""
    said, code = StringIO(), 0
    if since is not None:
        options["since"] = instant_text(since)
    try:
        call_command(
            "backfill_candles",
            *("--connection", connection.slug, "--instrument", "BTC-USD", "--granularity", "1h", "--json", *flags),
            **{name: instant_text(v) if isinstance(v, datetime) else v for name, v in options.items()},
            stdout=said,
        )
    except SystemExit as end:
        code = int(end.code or 0)
    return code, json.loads(said.getvalue())


def asked(simulator: SimulatorProcess) -> list[tuple[int, int]]:
    """The spans asked for so far, in order."""
    found = [dict(part.split("=") for part in r["query"].split("&")) for r in simulator.requests("/candles")]
    return sorted((int(one["start"]), int(one["end"])) for one in found)


def test_a_run_fills_only_gaps_and_a_second_asks_for_nothing(
    connection: Connection, simulator: SimulatorProcess, since: datetime
) -> None:
    code, first = backfill(connection, since + PAGE, until=since + 2 * PAGE)
    assert (code, first["candles"], first["calls"], first["missing"]) == (0, 300, 1, 300)

    code, again = backfill(connection, since + PAGE, until=since + 2 * PAGE)
    assert (code, again["calls"], again["missing"]) == (0, 0, 0)
    assert len(asked(simulator)) == 1

    code, wider = backfill(connection, since, until=since + 3 * PAGE)
    assert (code, wider["candles"], wider["calls"], wider["gaps"]) == (0, 600, 2, 2)
    starts = [int((since + number * PAGE).timestamp()) for number in range(3)]
    assert [start for start, _ in asked(simulator)] == starts
    page = candles(market=market_of(connection), instrument="BTC-USD", granularity=Length.H1, since=since)
    assert [one.candle.start for one in page.items] == [since + n * HOUR for n in range(900)]
    assert all(one.final for one in page.items)
    assert [row.ended_at is not None for row in CandleBackfill.objects.all()] == [True] * 3


def test_what_the_venue_knew_nothing_of_is_not_asked_again(
    connection: Connection, simulator: SimulatorProcess, since: datetime
) -> None:
    simulator.freeze_clock(step=int(since.timestamp()))

    code, first = backfill(connection, since + HOUR, until=since + 20 * HOUR)
    assert (code, first["candles"], first["calls"], first["filled"]) == (0, 0, 1, 19)
    code, again = backfill(connection, since + HOUR, until=since + 20 * HOUR)

    assert (again["missing"], len(asked(simulator))) == (0, 1)


def test_a_rehearsal_says_what_would_be_asked_and_writes_nothing(
    connection: Connection, simulator: SimulatorProcess, since: datetime
) -> None:
    code, said = backfill(connection, since, "--dry-run", until=since + PAGE + HOUR)

    assert (code, said["missing"], said["calls"]) == (0, 301, 2)
    assert (asked(simulator), CandleSeries.objects.count(), CandleBackfill.objects.count()) == ([], 0, 0)


def test_only_what_is_over_is_asked_for(connection: Connection, simulator: SimulatorProcess) -> None:
    now = timezone.now()
    code, said = backfill(connection, floor(now, 3_600) - 3 * HOUR, until=now + timedelta(days=3))

    assert (code, said["candles"]) == (0, 3)
    assert candles(market=market_of(connection), instrument="BTC-USD", granularity=Length.H1).items[-1].final


@pytest.mark.parametrize("kind", ["5xx-before", pytest.param("429", marks=pytest.mark.slow), "garbage"])
def test_a_venue_that_fails_ends_the_run_and_resume_goes_on(
    connection: Connection,
    simulator: SimulatorProcess,
    since: datetime,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backfills, "PAUSE_S", 0.05)
    monkeypatch.setattr(backfills, "PARALLEL", 1)
    monkeypatch.setattr(backfills, "TRIES", 1)
    backfill(connection, since, until=since + PAGE)
    simulator.add_fault("candles", kind, probability="1")
    code, said = backfill(connection, since, until=since + 3 * PAGE)
    assert (code, said["candles"], bool(said["problem"])) == (2, 0, True)
    assert CandleBackfill.objects.filter(ended_at=None).count() == 1

    simulator.clear_faults()
    code, resumed = backfill(connection, None, "--resume")

    assert (code, resumed["candles"], resumed["problem"]) == (0, 600, "")
    assert CandleBackfill.objects.filter(ended_at=None).count() == 0
    with pytest.raises(CommandError, match="No run is left"):
        backfill(connection, None, "--resume")


def test_verify_finds_what_differs_and_changes_nothing(
    connection: Connection, simulator: SimulatorProcess, since: datetime
) -> None:
    until = since + PAGE
    backfill(connection, since, until=until)
    assert backfill(connection, since, "--verify", until=until)[1]["differences"] == 0

    rows = Candle.objects.filter(series__seconds=3_600)
    rows.filter(start=since + 3 * HOUR).update(close=Decimal("1.5"))
    rows.filter(start=since + 5 * HOUR).delete()
    code, found = backfill(connection, since, "--verify", until=until)

    assert (code, found["candles"], found["differences"]) == (1, 300, 2)
    assert [one["start"] for one in found["first"]] == [instant_text(since + n * HOUR) for n in (3, 5)]
    assert " 1.5 " in found["first"][0]["here"] and found["first"][1]["here"] == "none"
    assert rows.filter(start=since + 5 * HOUR).count() == 0


def test_minutes_make_their_hours(connection: Connection, since: datetime) -> None:
    options = {"connection": connection.slug, "instrument": "BTC-USD", "stdout": StringIO()}
    call_command(
        "backfill_candles", **options, since=instant_text(since), until=instant_text(since + timedelta(minutes=90))
    )

    assert Candle.objects.filter(series__seconds=60, source=Source.VENUE, is_final=True).count() == 90
    hours = Candle.objects.filter(series__seconds=3_600).order_by("start")
    assert [row.is_final for row in hours] == [True, False]
    assert list(CandleCover.objects.values_list("since", "until")) == [(since, since + timedelta(minutes=90))]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"connection": "elsewhere"}, "no connection"),
        ({"since": "yesterday"}, "instant"),
        ({"since": "2999-01-01"}, "SPAN_EMPTY"),
        ({"instrument": "NO-SUCH"}, "INSTRUMENT_UNKNOWN"),
        ({"since": "1990-01-01", "granularity": "1m"}, "TOO_MANY_CANDLES"),
        ({"since": None}, "--since"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    connection: Connection, since: datetime, changes: dict[str, Any], words: str
) -> None:
    options = {
        "connection": connection.slug,
        "instrument": "BTC-USD",
        "granularity": "1h",
        "since": instant_text(since),
        "until": instant_text(since + PAGE),
    } | changes
    with pytest.raises(CommandError, match=words) as refused:
        call_command("backfill_candles", **options, stdout=StringIO())
    assert refused.value.returncode == 2


def test_a_venue_without_candles_is_not_asked(db: None) -> None:
    hood = ConnectionFactory(venue="robinhood", key_name=API_KEY)
    options = {"connection": hood.slug, "instrument": "BTC-USD", "since": "2026-01-01", "until": "2026-01-02"}
    with pytest.raises(CommandError, match="VENUE_TELLS_NO_CANDLES"):
        call_command("backfill_candles", **options, stdout=StringIO())


def test_pages_are_asked_for_side_by_side(
    connection: Connection, since: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page waits until as many as may be in flight are: one after the other they would wait in vain."""
    meeting, asking = threading.Barrier(backfills.PARALLEL, timeout=20), backfills._page

    def met(*args: Any) -> Any:
        meeting.wait()
        return asking(*args)

    monkeypatch.setattr(backfills, "_page", met)
    code, said = backfill(connection, since - PAGE, until=since + (backfills.PARALLEL - 1) * PAGE)

    assert (code, said["calls"], said["candles"]) == (0, backfills.PARALLEL, backfills.PARALLEL * 300)


def test_no_faster_than_the_venue_bears(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    waited: list[float] = []
    pace = backfills._Pace(lambda: clock[0])
    monkeypatch.setattr(pace._stopped, "wait", lambda seconds: bool(waited.append(seconds)))
    for _ in range(4):
        assert pace.wait()
    clock[0] += 10
    pace.wait()

    assert waited == pytest.approx([0, 0.1, 0.2, 0.3, 0])
