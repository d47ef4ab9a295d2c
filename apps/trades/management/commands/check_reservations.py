"""manage.py check_reservations: does what orders hold of the budgets add up?"""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.trades.services.conservation import check

_BAR = 30


class Command(BaseCommand):
    help = (
        "Compare every budget with its reservations, and those with orders, fills and positions. Changes nothing. "
        "Exit code: 0 everything adds up, 1 something does not, and where."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object instead of words")

    def handle(self, *args: Any, **options: Any) -> None:
        report = check(since=None, progress=self._progress)
        if sys.stderr.isatty():
            self.stderr.write("\r" + " " * (_BAR + 40) + "\r", ending="")
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict(), indent=2))
        else:
            for row in report.broken:
                self.stdout.write(f"{row.code} at {row.where}: {row.message}")
            said = f"{len(report.broken)} do not add up" if report.broken else "everything adds up"
            self.stdout.write(f"{report.orders:,} orders compared: {said}.")
        if report.broken:
            sys.exit(1)

    def _progress(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            filled = _BAR * done // max(total, 1)
            self.stderr.write(f"\r[{'#' * filled}{'.' * (_BAR - filled)}] {done:,} of {total:,} orders", ending="")
