"""kill -9 at each of five points on the way into the index: none lost, none double, no orphan after the sweep."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# The full count of twenty: `python -m tests.lessons.index.killed --runs 20`, or INDEX_KILLS=20 here.
RUNS = os.environ.get("INDEX_KILLS", "2")


@pytest.mark.slow
@pytest.mark.parametrize("where", [[], ["--server"]], ids=["folder", "server of the tests"])
def test_nothing_is_lost_or_double_or_left(where: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.lessons.index.killed", "--runs", RUNS, *where],
        cwd=Path(__file__).resolve().parents[3],
        # A database, queue and index of its own, whatever the other tests run on.
        env={
            name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL", "QDRANT_URL"}
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = [line for line in ended.stdout.splitlines() if " killed" in line]
    assert len(lines) == 5
    assert all(f"{RUNS} of {RUNS} killed, 0 wrong" in line for line in lines), ended.stdout
