"""backfill_candles as a process of its own, killed with -9 in the middle, and another that goes on."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.quotes.rules.spans import floor
from tests.scenarios.commands import Manage, done, seeded, wait_until
from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.slow

PAGE = timedelta(hours=300)
PAGES = 30


def ask(home: Path, question: str) -> Any:
    """One value of the database."""
    with closing(sqlite3.connect(home / "aika.sqlite3", timeout=10)) as database:
        return database.execute(question).fetchone()[0]


def test_a_killed_backfill_goes_on_where_it_was(manage: Manage, home: Path, simulator: SimulatorProcess) -> None:
    seeded(manage, simulator)
    simulator.reset()
    simulator.add_fault("candles", "latency", milliseconds=800, probability="1")
    since = floor(datetime.now(UTC) - (PAGES + 5) * PAGE, int(PAGE.total_seconds()))
    words = ("--connection", "coinbase-paper", "--instrument", "BTC-USD", "--granularity", "1h")
    span = ("--since", since.isoformat(), "--until", (since + PAGES * PAGE).isoformat())
    calls = "select coalesce(sum(calls), 0) from quotes_candlebackfill"

    first = manage("backfill_candles", *words, *span)
    wait_until(lambda: ask(home, calls) > 0, while_running=first)
    first.kill()
    first.wait()

    written = ask(home, calls)
    assert 0 < written < PAGES
    assert ask(home, "select count(*) from quotes_candlebackfill where ended_at is null") == 1
    assert ask(home, "select count(*) from quotes_candle") == written * 300

    simulator.clear_faults()
    before = len(simulator.requests("/candles"))
    said = json.loads(done(manage("backfill_candles", *words, "--resume", "--json")))
    asked = len(simulator.requests("/candles")) - before

    assert (said["candles"], said["calls"], asked) == ((PAGES - written) * 300, PAGES - written, PAGES - written)
    assert ask(home, "select count(*) from quotes_candle") == PAGES * 300
    assert ask(home, "select count(*) from quotes_candlebackfill where ended_at is null") == 0
    verified = json.loads(done(manage("backfill_candles", *words, *span, "--verify", "--json")))
    assert (verified["candles"], verified["differences"]) == (PAGES * 300, 0)
    again = json.loads(done(manage("backfill_candles", *words, *span, "--json")))
    assert (again["missing"], again["calls"]) == (0, 0)
