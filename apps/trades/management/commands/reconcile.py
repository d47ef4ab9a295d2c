"""Compare connections with their venues now: what differs is kept, and the venue wins on facts."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from itertools import count
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.audit.types import Actor
from apps.common.commands import Exit, LongCommand
from apps.common.errors import AikaError
from apps.connectors import selectors
from apps.trades.services.reconciliation import runs
from apps.trades.services.reconciliation.runs import Report
from apps.trades.types import RunOutcome, RunTrigger

EXIT_CODES = {
    RunOutcome.CLEAN: Exit.WELL,
    RunOutcome.DIFFERENCES: Exit.DIFFERS,
    RunOutcome.INCOMPLETE: Exit.INCOMPLETE,
}


class Command(LongCommand):
    help = (
        "Compare connections with their venues: orders, fills, balances. Exit code 0: nothing differs; 1: differences"
        " were found now or still wait for a person, or orders of unknown fate are left; 2: not everything could be"
        " read. Of several connections the worst counts. docs/trading-state.md says what --json has."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--connection", help="a connection's short name; every active one by default")
        parser.add_argument("--dry-run", action="store_true", help="look and say what differs; write nothing")
        parser.add_argument(
            "--since", type=_instant, help="from when, as 2026-03-02T14:00:00Z; by default the last run"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = options["connection"]
        found = selectors.connection_by_slug(chosen) if chosen else None
        if chosen and found is None:
            raise CommandError(f"There is no connection {chosen!r}.")
        connections = [found] if found else list(selectors.active_connections())
        # The words say by themselves how far it is; a program is told nothing else until the end.
        with self.progress("steps") if options["json"] else nullcontext() as progress:
            steps = count(1)

            def step() -> None:
                if progress is not None:
                    progress(next(steps))

            reports = [self._run(connection, options, step) for connection in connections]
        worst = max((EXIT_CODES[report.outcome] for report in reports), default=Exit.WELL)
        self.finish([_record(report) for report in reports], as_json=options["json"], code=worst)

    def _run(self, connection: Any, options: dict[str, Any], step: Callable[[], None]) -> Report:
        def say(line: str) -> None:
            step()
            if not options["json"]:
                self.stdout.write(f"  {line}")

        say_first = "rehearsal, nothing is written" if options["dry_run"] else "comparing"
        if not options["json"]:
            self.stdout.write(f"{connection.slug} ({connection.environment_words}): {say_first}")
        try:
            if options["dry_run"]:
                report = runs.rehearse(connection_id=connection.pk, clock=timezone.now, since=options["since"], say=say)
            else:
                report = runs.reconcile(
                    connection_id=connection.pk,
                    trigger=RunTrigger.COMMAND,
                    actor=Actor.system("manage.py reconcile"),
                    clock=timezone.now,
                    since=options["since"],
                    say=say,
                )
        except AikaError as error:
            self.refuse(error)
        if not options["json"]:
            self._print(report)
        return report

    def _print(self, report: Report) -> None:
        for finding in report.findings:
            self.stdout.write(self.style.WARNING(f"  {finding.kind.value} {finding.subject}"))
            self.stdout.write(f"    here:  {finding.ours}")
            self.stdout.write(f"    venue: {finding.theirs}")
            self.stdout.write(f"    {finding.done}")
        style = self.style.SUCCESS if report.outcome is RunOutcome.CLEAN else self.style.WARNING
        self.stdout.write(style(f"  {report.outcome.value} {report.reason_code} {report.reason}".rstrip()))


def _record(report: Report) -> dict[str, Any]:
    return {
        "connection": report.connection,
        "outcome": report.outcome.value,
        "reason_code": report.reason_code,
        "reason": report.reason,
        "since": report.since.isoformat(),
        "until": report.until.isoformat(),
        "counts": report.counts,
        "differences_open": report.differences_open,
        "run": str(report.run_id) if report.run_id else None,
        "findings": [
            {
                "kind": finding.kind.value,
                "subject": finding.subject,
                "ours": finding.ours,
                "theirs": finding.theirs,
                "done": finding.done,
                "order": str(finding.order_id) if finding.order_id else None,
            }
            for finding in report.findings
        ],
    }


def _instant(text: str) -> datetime:
    try:
        found = parse_datetime(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no date and time") from error
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no date and time such as 2026-03-02T14:00:00Z")
    return found if found.tzinfo else found.replace(tzinfo=UTC)
