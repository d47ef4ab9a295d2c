"""manage.py replay_decisions: every stored decision again, byte for byte."""

import json
import sys
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.common.decimals import parse_instant
from apps.common.errors import Invalid
from apps.policies.services import replays

_BAR = 30
_EVERY = 50


class Command(BaseCommand):
    help = "Judge every stored decision's inputs again and compare with what was stored. Exit 1 if any differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", metavar="INSTANT", help="only decisions from then on, 2026-11-22T00:00:00Z")
        parser.add_argument("--json", action="store_true", help="one JSON object instead of words")

    def handle(self, *args: Any, **options: Any) -> None:
        report = replays.replay_all(since=_since(options["since"]), progress=self._progress)
        if sys.stderr.isatty():
            self.stderr.write("\r" + " " * (_BAR + 40) + "\r", ending="")
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict(), indent=2))
        else:
            for finding in report.differing:
                self.stdout.write(f"{finding.decision}  {finding.problem}")
            self.stdout.write(
                f"{report.checked} decisions replayed, {len(report.differing)} differ"
                + (f", {report.other_evaluator} are of another evaluator." if report.other_evaluator else ".")
            )
        if report.differing:
            sys.exit(1)

    def _progress(self, done: int, total: int) -> None:
        if sys.stderr.isatty() and (done % _EVERY == 0 or done == total):
            filled = _BAR * done // max(total, 1)
            self.stderr.write(f"\r[{'#' * filled}{'.' * (_BAR - filled)}] {done} of {total}", ending="")


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_instant(text, field="--since")
    except Invalid as error:
        raise CommandError(error.message) from error
