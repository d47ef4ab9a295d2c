"""`manage.py audit_verify`: is the log what was written?"""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from apps.audit.services.verification import Report, verify

RESULTS = {0: "intact", 1: "tampered", 2: "incomplete"}


class Command(BaseCommand):
    help = "Recomputes the audit log from its stored bytes. Exit code: 0 intact, 1 tampered, 2 incomplete."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--stream", help="only this stream, such as proposal:<id>")
        parser.add_argument("--json", action="store_true", help="one JSON object instead of text")

    def handle(self, *args: Any, **options: Any) -> None:
        on_terminal = self.stderr.isatty()
        report = verify(stream=options["stream"], progress=self._progress if on_terminal else None)
        if on_terminal:
            self.stderr.write("\r\x1b[K", ending="")
        if options["json"]:
            self.stdout.write(json.dumps({"result": RESULTS[report.exit_code], **asdict(report)}))
        else:
            self._write(report)
        if report.exit_code:
            raise SystemExit(report.exit_code)

    def _progress(self, events: int) -> None:
        self.stderr.write(f"\r{events:,} events read", ending="")

    def _write(self, report: Report) -> None:
        for finding in report.findings:
            self.stdout.write(f"{finding.code} at {finding.where}: {finding.message}")
        if report.cut_off:
            self.stdout.write("... and more: the list stops here.")
        for reason in report.incomplete:
            self.stdout.write(f"incomplete: {reason}")
        result = RESULTS[report.exit_code]
        self.stdout.write(f"{result}: {report.events:,} events in {report.streams:,} streams")
