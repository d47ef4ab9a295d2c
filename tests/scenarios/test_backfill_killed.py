"""backfill_candles as a process of its own, killed with -9 in the middle, and another that goes on."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.quotes.rules.spans import floor
from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90.0
PAGE = timedelta(hours=300)
PAGES = 30

Manage = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def manage(home: Path) -> Iterator[Manage]:
    """Start a management command on a data folder of its own; what still runs at the end is killed."""
    environment = {**os.environ, "AIKA_DATA_DIR": str(home), "DJANGO_SETTINGS_MODULE": "config.settings.local"}
    for name in ("DATABASE_URL", "REDIS_URL"):
        environment.pop(name, None)
    with ExitStack() as stack:

        def begin(*words: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "manage.py", *words],
                cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True,
            )  # fmt: skip
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield begin


def finished(process: "subprocess.Popen[str]") -> tuple[str, str]:
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    return out, err


def ask(home: Path, question: str) -> Any:
    """One value of the database."""
    with closing(sqlite3.connect(home / "aika.sqlite3", timeout=10)) as database:
        return database.execute(question).fetchone()[0]


def test_a_killed_backfill_goes_on_where_it_was(manage: Manage, home: Path, simulator: SimulatorProcess) -> None:
    finished(manage("migrate", "--noinput"))
    finished(manage("sync_roles"))
    finished(
        manage(
            *("seed_demo", "--url", "http://localhost:1", "--simulator-url", simulator.url),
            *("--simulator-key-file", str(simulator.key_file)),
        )
    )
    simulator.reset()
    simulator.add_fault("candles", "latency", milliseconds=800, probability="1")
    since = floor(datetime.now(UTC) - (PAGES + 5) * PAGE, int(PAGE.total_seconds()))
    words = ("--connection", "coinbase-paper", "--instrument", "BTC-USD", "--granularity", "1h")
    span = ("--since", since.isoformat(), "--until", (since + PAGES * PAGE).isoformat())
    calls = "select coalesce(sum(calls), 0) from quotes_candlebackfill"

    first = manage("backfill_candles", *words, *span)
    deadline = time.monotonic() + PATIENCE_S
    while ask(home, calls) == 0:
        assert first.poll() is None, first.communicate()[1]
        assert time.monotonic() < deadline, "nothing was written"
        time.sleep(0.05)
    first.kill()
    first.communicate()

    written = ask(home, calls)
    assert 0 < written < PAGES
    assert ask(home, "select count(*) from quotes_candlebackfill where ended_at is null") == 1
    assert ask(home, "select count(*) from quotes_candle") == written * 300

    simulator.clear_faults()
    before = len(simulator.requests("/candles"))
    said = json.loads(finished(manage("backfill_candles", *words, "--resume", "--json"))[0])
    asked = len(simulator.requests("/candles")) - before

    assert (said["candles"], said["calls"], asked) == ((PAGES - written) * 300, PAGES - written, PAGES - written)
    assert ask(home, "select count(*) from quotes_candle") == PAGES * 300
    assert ask(home, "select count(*) from quotes_candlebackfill where ended_at is null") == 0
    verified = json.loads(finished(manage("backfill_candles", *words, *span, "--verify", "--json"))[0])
    assert (verified["candles"], verified["differences"]) == (PAGES * 300, 0)
    again = json.loads(finished(manage("backfill_candles", *words, *span, "--json"))[0])
    assert (again["missing"], again["calls"]) == (0, 0)
