"""`manage.py audit_verify`: is the log what was written?"""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.audit.management.parts import SINCE, id_before
from apps.audit.services.anchors import AnchorFolder
from apps.audit.services.people import at_this_machine
from apps.audit.services.reports import Report
from apps.audit.services.verification import verify
from apps.audit.services.verifications import verify_and_record


class Command(BaseCommand):
    help = (
        "Recomputes the audit log from its stored bytes. Exit code: 0 intact, 1 tampered, 2 incomplete. The result is "
        "recorded in the log, and tampering raises an alarm, unless a part (--stream, --since) or --no-record is given."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--stream", help="only this stream, such as proposal:<id>")
        parser.add_argument("--since", metavar="INSTANT", help=SINCE)
        parser.add_argument("--anchors", type=Path, help="a folder of anchors; by default AUDIT_ANCHOR_DIR")
        parser.add_argument("--no-record", action="store_true", help="write nothing: for a role that may only read")
        parser.add_argument("--json", action="store_true", help="one JSON object instead of text")

    def handle(self, *args: Any, **options: Any) -> None:
        on_terminal = self.stderr.isatty()
        progress = self._progress if on_terminal else None
        stores = [AnchorFolder(options["anchors"])] if options["anchors"] else None
        if options["anchors"] and not options["anchors"].is_dir():
            raise CommandError(f"There is no folder {options['anchors']}.", returncode=2)
        after = id_before(options["since"])
        if options["stream"] or after or options["no_record"]:
            report = verify(stream=options["stream"], after=after, stores=stores, progress=progress)
        else:
            by = at_this_machine("audit_verify")
            report = verify_and_record(by=by, now=timezone.now(), stores=stores, progress=progress)
        if on_terminal:
            self.stderr.write("\r\x1b[K", ending="")
        if options["json"]:
            self.stdout.write(json.dumps({"result": report.result, **asdict(report)}))
        else:
            self._write(report)
        if report.exit_code:
            raise SystemExit(report.exit_code)

    def _progress(self, events: int) -> None:
        self.stderr.write(f"\r{events:,} events read", ending="")

    def _write(self, report: Report) -> None:
        for finding in report.findings:
            self.stdout.write(str(finding))
        if report.cut_off:
            self.stdout.write("... and more: the list stops here.")
        if report.part:
            self.stdout.write(f"a part: {report.part}")
        for reason in report.incomplete:
            self.stdout.write(f"incomplete: {reason}")
        sealed = ""
        if report.unsealed is not None:
            checkpoints = f"{report.checkpoints:,} checkpoints, {report.anchored:,} anchored"
            sealed = f"; {checkpoints}, {report.unsealed:,} events not sealed"
        self.stdout.write(f"{report.result}: {report.events:,} events in {report.streams:,} streams{sealed}")
