"""`python -m tests.scale`: every page with a thousand proposals and with a million, and docs/scale.md from it.

Needs PostgreSQL: SCALE_DATABASE_URL names a database it may create and drop, and so one with `_few` behind its name.
"""

import argparse
import os
import sys
from pathlib import Path

from tests.scale import databases


def options_of(words: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("--few", type=int, default=1_000, help="proposals to compare with")
    parser.add_argument("--proposals", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, help="events of the audit log; three for each proposal if left out")
    parser.add_argument("--candles", type=int, help="as many as proposals if left out")
    parser.add_argument("--runs", type=int, default=5, help="times each page is opened by the clock")
    parser.add_argument("--report", type=Path, help="write the generated part of this page")
    parser.add_argument("--write-down", action="store_true", help="put what each page asks now into query_counts.json")
    parser.add_argument("--keep", action="store_true", help="leave the databases, to look into them")
    return parser.parse_args(words)


def say(line: str) -> None:
    """Progress, for who waits."""
    sys.stderr.write(line + "\n")


def prepare() -> None:
    """Django on a fresh database, for the rest of the process."""
    os.environ |= {"DATABASE_URL": databases.URL, "DJANGO_SETTINGS_MODULE": "tests.scale.settings"}
    os.environ.pop("REDIS_URL", None)
    databases.create(databases.NAME)
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("sync_roles", verbosity=0)


def main(words: list[str]) -> int:
    """Exit code 0 where nothing grows with the rows."""
    options = options_of(words)
    prepare()
    from tests.scale.walk import walk, write_down

    try:
        found = walk(options, say=say)
    finally:
        if not options.keep:
            from django.db import connections

            connections.close_all()
            databases.drop()
    from tests.scale import report

    sys.stdout.write(report.summary(found))
    if options.write_down:
        write_down(found)
    if options.report:
        report.write(options.report, found)
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
