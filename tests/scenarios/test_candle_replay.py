"""A real day played again: simulator, feed, candles, each a process of its own. What comes out is what went in.

AIKA_RECORDING=FILE plays another recording of BTC-USD instead, a whole month for instance.
"""

import csv
import gzip
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.scenarios.commands import ROOT, Manage, done, seeded, wait_until
from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.slow

DAY = ROOT / "tests" / "quotes" / "data" / "btc_usd_1m_2022-01-21.csv.gz"
RECORDING = Path(os.environ.get("AIKA_RECORDING", DAY))
SPEED = 14_400 if RECORDING == DAY else 60_000
FEED, VENUE = 1, 3

Candle = tuple[datetime, Decimal, Decimal, Decimal, Decimal, Decimal]


@pytest.fixture
def venue() -> Iterator[SimulatorProcess]:
    process = SimulatorProcess(arguments=("--replay", str(RECORDING), "--speed", str(SPEED), "--replay-wait")).start()
    yield process
    process.stop()


def of_the_file() -> list[tuple[Candle, Decimal]]:
    """Its candles (base volume left at zero), and its volumes in quote currency."""
    with gzip.open(RECORDING, "rt", newline="") as file:
        return [
            (
                (
                    datetime.fromisoformat(row["start_at"]),
                    *(Decimal(row[name]) for name in ("open", "high", "low", "close")),
                    Decimal(0),
                ),
                Decimal(row["volume_quote"]),
            )
            for row in csv.DictReader(file)
        ]


def stored(home: Path, seconds: int, source: int | None = None) -> list[Candle]:
    """What the database has of 2022, straight from its file."""
    question = (
        "SELECT start, open, high, low, close, volume FROM quotes_candle JOIN quotes_candleseries s ON s.id = series_id"
        " WHERE instrument = 'BTC-USD' AND seconds = ? AND start < '2023-01-01' AND (? IS NULL OR source = ?)"
        " ORDER BY start"
    )
    with closing(sqlite3.connect(home / "aika.sqlite3", timeout=10)) as database:
        return [
            (datetime.fromisoformat(start).replace(tzinfo=UTC), *map(Decimal, numbers))  # type: ignore[misc]
            for start, *numbers in database.execute(question, (seconds, source, source)).fetchall()
        ]


def equals_the_file(found: list[Candle]) -> None:
    """Every minute, every price, and every volume to the file's last digit."""
    expected = of_the_file()
    assert [one[:5] for one in found] == [one[:5] for one, _ in expected]
    for one, (_, volume_quote) in zip(found, expected, strict=True):
        assert (one[5] * one[4]).quantize(volume_quote) == volume_quote, one


def hours_of(minutes: list[Candle]) -> list[Candle]:
    """Counted here once more, the plain way."""
    hours: dict[datetime, list[Candle]] = {}
    for one in minutes:
        hours.setdefault(one[0].replace(minute=0), []).append(one)
    return [
        (
            begins,
            inside[0][1],
            max(one[2] for one in inside),
            min(one[3] for one in inside),
            inside[-1][4],
            sum((one[5] for one in inside), Decimal(0)),
        )
        for begins, inside in hours.items()
    ]


def test_the_candles_that_come_out_are_those_that_went_in(manage: Manage, home: Path, venue: SimulatorProcess) -> None:
    seeded(manage, venue)
    went_in = [one for one, _ in of_the_file()]
    minutes, first, last = len(went_in), went_in[0][0], went_in[-1][0]

    feed = manage("stream_quotes")
    wait_until(lambda: len(stored(home, 60, FEED)) >= minutes, while_running=feed, times=max(1, minutes // 10_000))
    feed.terminate()
    done(feed)

    heard = stored(home, 60, FEED)
    equals_the_file(heard)
    assert stored(home, 3_600) == hours_of(heard)

    span = ("--since", f"{first:%Y-%m-%dT%H:%M:%SZ}", "--until", f"{last + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}")
    words = ("--connection", "coinbase-paper", "--instrument", "BTC-USD", *span)
    said = json.loads(done(manage("backfill_candles", *words, "--json")))
    assert said["candles"] == minutes
    assert RECORDING != DAY or (minutes, said["calls"]) == (1_440, 6)
    told = stored(home, 60, VENUE)
    equals_the_file(told)
    assert told == heard
    assert json.loads(done(manage("backfill_candles", *words, "--verify", "--json")))["differences"] == 0
