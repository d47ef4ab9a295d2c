"""`python -m tests.crash`: the crash matrix in real processes, many times, and docs/reliability.md from it.

`--database postgres` needs DATABASE_URL and REDIS_URL; beside the database named there it makes and drops its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

DATABASES = {"sqlite": ("sqlite",), "postgres": ("postgres",), "both": ("sqlite", "postgres")}


def options_of(words: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--runs", type=int, default=50, help="runs on each database")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--executor", choices=("ours", "naive"), default="ours")
    parser.add_argument("--only", default="", help="only cells whose description contains this")
    parser.add_argument("--halts", type=int, default=0, help="interleavings of a halt with requests, on each database")
    parser.add_argument("--report", type=Path, help="write the page here")
    parser.add_argument("--tally", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def environment(database: str, home: str) -> dict[str, str]:
    """Of a process that runs the matrix on this database."""
    found = dict(os.environ) | {"AIKA_DATA_DIR": home, "DJANGO_SETTINGS_MODULE": "tests.crash.settings"}
    if database == "sqlite":
        found.pop("DATABASE_URL", None)
        found.pop("REDIS_URL", None)
    else:
        url = urlsplit(found["DATABASE_URL"])
        found["DATABASE_URL"] = url._replace(path=f"{url.path}_crash_{os.getpid()}").geturl()
    return found


def on(database: str, options: argparse.Namespace) -> dict[str, object]:
    """The tally of a process of its own: settings cannot be changed in one that has begun."""
    with tempfile.TemporaryDirectory(prefix="aika-crash-") as home:
        tally = Path(home) / "tally.json"
        words = [f"--{name}={getattr(options, name)}" for name in ("runs", "seed", "executor", "only", "halts")]
        subprocess.run(
            [sys.executable, "-m", "tests.crash", *words, f"--tally={tally}"],
            env=environment(database, home),
            check=True,
        )
        return dict(json.loads(tally.read_text(encoding="utf-8")))


def play(options: argparse.Namespace) -> None:
    """In the process of one database: run, and write the tally."""
    from tests.crash.clock import Clock

    clock = Clock().install()
    import django

    django.setup()
    from tests.crash.soak import soak

    naive = options.executor == "naive"
    found = soak(clock, runs=options.runs, halts=options.halts, seed=options.seed, only=options.only, naive=naive)
    options.tally.write_text(json.dumps(found), encoding="utf-8")


def main(words: list[str]) -> int:
    """Exit code 0 where every promise was kept in every run."""
    options = options_of(words)
    if options.tally:
        play(options)
        return 0
    tallies = [on(database, options) for database in DATABASES[options.database]]
    from tests.crash.report import page, summary

    for tally in tallies:
        sys.stdout.write(summary(tally))
    if options.report:
        options.report.write_text(page(tallies, seed=options.seed), encoding="utf-8")
    return 1 if any(tally["broken"] for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
