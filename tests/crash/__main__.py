"""`python -m tests.crash`: the crash matrix in real processes, many times, and docs/reliability.md from it.

`--database postgres` needs DATABASE_URL and REDIS_URL; beside the database named there it makes and drops its own. With
`--database both` the two run side by side. With `--report` the naive executor is tried too: the matrix must find it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests import sections

SECTION = "crash soak"
DATABASES = {"sqlite": ("sqlite",), "postgres": ("postgres",), "both": ("sqlite", "postgres")}
# Where the venue has the order and the worker does not know it: what sends first and writes afterwards sends twice.
NAIVE = {
    "executor": "naive",
    "runs": 2,
    "postgres_runs": None,
    "halts": 100,
    "processes": 1,
    "only": "kill -9 at socket.answered (worker), message redelivered",
}
# What says which cells a process runs.
DEALT = ("runs", "seed", "only", "part", "parts")
Tally = dict[str, Any]
# Processes of this one, each with a venue, a database and workers of its own.
RUNNING: list["subprocess.Popen[bytes]"] = []


def leave(_signal: int, _frame: object) -> None:
    """Told to end: whatever runs for us ends first, and drops its database."""
    for process in RUNNING:
        process.terminate()
    sys.exit(128 + signal.SIGTERM)


def options_of(words: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--runs", type=int, default=50, help="runs on each database")
    parser.add_argument("--postgres-runs", type=int, help="so many on PostgreSQL, where a run takes longer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--executor", choices=("ours", "naive"), default="ours")
    parser.add_argument("--only", default="", help="only cells whose description contains this")
    parser.add_argument("--processes", type=int, default=1, help="on each database, and one more for the halts")
    parser.add_argument("--halts", type=int, default=0, help="interleavings of a halt with requests, on each database")
    parser.add_argument(
        "--report", type=Path, help="write the section here, each cell beside it, and try the naive executor"
    )
    parser.add_argument("--tally", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--part", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--parts", type=int, default=1, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def environment(database: str, home: str) -> dict[str, str]:
    """Of a process that runs the matrix on this database; `home` is its own, and names its rows elsewhere too."""
    found = dict(os.environ) | {"AIKA_DATA_DIR": home, "DJANGO_SETTINGS_MODULE": "tests.crash.settings"}
    if database == "sqlite":
        found.pop("DATABASE_URL", None)
        found.pop("REDIS_URL", None)
    else:
        url = urlsplit(found["DATABASE_URL"])
        found["DATABASE_URL"] = url._replace(path=f"{url.path}_crash_{home_mark(home)}").geturl()
    return found


def home_mark(home: str) -> str:
    """What tells the database of one process from those beside it."""
    return Path(home).name.removeprefix("aika-crash-").lower()


def on(database: str, options: dict[str, Any]) -> Tally:
    """The tally of a process of its own: settings cannot be changed in one that has begun. Of one that died it is what
    there was by then, and that it died."""
    with tempfile.TemporaryDirectory(prefix="aika-crash-") as home:
        tally = Path(home) / "tally.json"
        words = [f"--{name}={options[name]}" for name in (*DEALT, "executor", "halts")]
        running = subprocess.Popen(
            [sys.executable, "-m", "tests.crash", *words, f"--tally={tally}"], env=environment(database, home)
        )
        RUNNING.append(running)
        code = running.wait()
        found: Tally = {"database": database, "cells": 0, "pairs": 0, "seconds": 0.0, "broken": [], "runs": []}
        if tally.exists():
            found = json.loads(tally.read_text(encoding="utf-8"))
        if code:
            found["broken"].append(f"the soak itself ended with code {code} after {len(found['runs'])} runs")
        return found


def play(options: argparse.Namespace) -> None:
    """In the process of one database: run, and write the tally."""
    from tests.crash.clock import Clock

    clock = Clock().install()
    import django

    django.setup()
    from tests.crash.soak import cells_of, soak

    def keep(tally: Tally) -> None:
        beside = options.tally.with_suffix(".new")
        beside.write_text(json.dumps(tally), encoding="utf-8")
        beside.replace(options.tally)

    chosen = {name: getattr(options, name) for name in DEALT}
    others = {name: getattr(options, name) for name in ("halts", "seed", "only")}
    keep(soak(clock, cells_of(**chosen), naive=options.executor == "naive", keep=keep, **others))


def shares_of(database: str, options: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """What each process of a database does: its part of the runs. Several leave the halts to one more."""
    runs, processes = options["runs"], options["processes"]
    if database == "postgres" and options["postgres_runs"] is not None:
        runs = options["postgres_runs"]
    whole = {**options, "runs": runs, "seed": seed, "part": 0, "parts": processes}
    if processes == 1:
        return [whole]
    shares = [{**whole, "part": number, "halts": 0} for number in range(processes)]
    return [*shares, {**whole, "runs": 0}] if options["halts"] else shares


def merged(tallies: Sequence[Tally]) -> Tally:
    """What the processes of one database found, as one tally."""
    found = {
        **tallies[0],
        "cells": max(tally["cells"] for tally in tallies),
        "pairs": max(tally["pairs"] for tally in tallies),
        "seconds": max(tally["seconds"] for tally in tallies),
        "broken": [line for tally in tallies for line in tally["broken"]],
        "runs": [row for tally in tallies for row in tally["runs"]],
    }
    halted = [tally["halts"] for tally in tallies if "halts" in tally]
    return found | {"halts": halted[0]} if halted else found


def side_by_side(databases: tuple[str, ...], options: dict[str, Any]) -> list[Tally]:
    """A tally for each database, each with a seed of its own, so that they do not begin with the same cells."""
    shares = [
        (database, share)
        for number, database in enumerate(databases)
        for share in shares_of(database, options, options["seed"] + number)
    ]
    with ThreadPoolExecutor(len(shares)) as pool:
        tallies = list(pool.map(lambda share: on(*share), shares))
    names = [database for database, _share in shares]
    return [
        merged([tally for name, tally in zip(names, tallies, strict=True) if name == database])
        for database in databases
    ]


def main(words: list[str]) -> int:
    """Exit code 0 where every promise was kept in every run, and the naive executor, where it was tried, was found."""
    options = options_of(words)
    signal.signal(signal.SIGTERM, leave)
    if options.tally:
        play(options)
        return 0
    databases = DATABASES[options.database]
    tallies = side_by_side(databases, vars(options))
    from tests.crash.report import page, rows_of_cells, summary, unstruck

    for tally in tallies:
        tally["broken"] += [f"no process ever stopped at {place}" for place in unstruck(tally["runs"])]
        sys.stdout.write(summary(tally))
    broken = any(tally["broken"] for tally in tallies)
    if options.report:
        naive = side_by_side(databases, vars(options) | NAIVE)
        unfound = [
            tally["database"] for tally in naive if not any("duplicate" in row["findings"] for row in tally["runs"])
        ]
        sys.stdout.writelines(f"{name}: the naive executor was not found\n" for name in unfound)
        broken = broken or bool(unfound)
        sections.write(options.report, SECTION, page(tallies, naive, seed=options.seed))
        options.report.with_name(f"{options.report.stem}-cells.csv").write_text(
            rows_of_cells(tallies), encoding="utf-8"
        )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
