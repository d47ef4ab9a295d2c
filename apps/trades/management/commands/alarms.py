"""manage.py alarms: look for what has been unresolved for too long, tell of it, and list what is open."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final

from django.core.management.base import CommandError
from django.utils import timezone

from apps.audit.selectors import OpenLine, open_lines
from apps.audit.services import alarms
from apps.audit.services.people import at_this_machine
from apps.common.alarm_kinds import ALARM_KINDS
from apps.common.commands import AnswerCommand, Exit, stopped_by_signal
from apps.common.errors import AikaError
from apps.common.words import ago
from apps.trades.services import watching

# A desk that nobody swept for a minute counts as having been off.
EVERY_S_MIN: Final = 5
EVERY_S_MAX: Final = 50


class Command(AnswerCommand):
    """The same sweep as beat's, for when beat is what has stopped, and for a machine that wants to know."""

    help = (
        "Look for alarms, tell of those that are due, and list the open ones, oldest first. Safe to repeat, and beside "
        "the one that beat runs. Exit code 1 where an alarm is open that nobody has acknowledged, else 0."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--list-only", action="store_true", help="look for nothing, tell nobody")
        parser.add_argument(
            "--every", type=int, metavar="SECONDS", help="sweep again and again until SIGTERM or Ctrl-C"
        )
        parser.add_argument("--acknowledge", type=int, metavar="ID", help="acknowledge this alarm first")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Acknowledge, sweep, list; with --every, sweep until a signal comes."""
        if options["every"] is not None:
            self._follow(options["every"])
            return
        if options["acknowledge"] is not None:
            self._acknowledge(options["acknowledge"])
        if not options["list_only"]:
            watching.sweep(clock=timezone.now)
        found = open_lines()
        code = Exit.WELL if all(line.acknowledged_by for line in found) else Exit.DIFFERS
        record = {"alarms": [line.as_dict() for line in found]}
        self.finish(record, as_json=options["json"], lines=_lines(found), code=code)

    def _follow(self, every_s: int) -> None:
        if not EVERY_S_MIN <= every_s <= EVERY_S_MAX:
            raise CommandError(f"--every takes {EVERY_S_MIN} to {EVERY_S_MAX} seconds.")
        stop = stopped_by_signal()
        self.stdout.write(f"Alarms are looked for every {every_s} s. Ctrl-C stops.")
        self.stdout.flush()
        watching.follow(stop, clock=timezone.now, every_s=every_s)

    def _acknowledge(self, alarm_id: int) -> None:
        try:
            alarms.acknowledge(alarm_id=alarm_id, actor=at_this_machine("manage.py alarms"), now=timezone.now())
        except AikaError as error:
            raise CommandError(error.message) from error


def _lines(found: list[OpenLine]) -> Iterator[str]:
    now = timezone.now()
    for line in found:
        seen = f"acknowledged by {line.acknowledged_by}" if line.acknowledged_by else "NOT ACKNOWLEDGED"
        yield f"{line.id}  {line.code}  {line.subject}  since {ago(line.since, now)}, {seen}"
        yield f"    {line.message}"
        if kind := ALARM_KINDS.get(line.code):
            yield f"    {kind.do}"
    yield f"{len(found)} open." if found else "No alarm is open."
