"""`manage.py audit_verify`: is the log what was written?"""

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.audit.management.parts import SINCE, id_before
from apps.audit.services.anchors import AnchorFolder
from apps.audit.services.people import at_this_machine
from apps.audit.services.reports import Report
from apps.audit.services.verification import verify
from apps.audit.services.verifications import verify_and_record
from apps.common.commands import Exit, LongCommand


class Command(LongCommand):
    help = (
        "Recomputes the audit log from its stored bytes. Exit code: 0 intact, 1 tampered, 2 incomplete. The result is "
        "recorded in the log, and tampering raises an alarm, unless a part (--stream, --since) or --no-record is given."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--stream", help="only this stream, such as proposal:<id>")
        parser.add_argument("--since", metavar="INSTANT", help=SINCE)
        parser.add_argument("--anchors", type=Path, help="a folder of anchors; by default AUDIT_ANCHOR_DIR")
        parser.add_argument("--no-record", action="store_true", help="write nothing: for a role that may only read")

    def handle(self, *args: Any, **options: Any) -> None:
        stores = [AnchorFolder(options["anchors"])] if options["anchors"] else None
        if options["anchors"] and not options["anchors"].is_dir():
            raise CommandError(f"There is no folder {options['anchors']}.", returncode=Exit.INCOMPLETE)
        after = id_before(options["since"])
        with self.progress("events") as progress:
            if options["stream"] or after or options["no_record"]:
                report = verify(stream=options["stream"], after=after, stores=stores, progress=progress)
            else:
                by = at_this_machine("audit_verify")
                report = verify_and_record(by=by, now=timezone.now(), stores=stores, progress=progress)
        self.finish(
            {"result": report.result, **asdict(report)},
            as_json=options["json"],
            lines=_lines(report),
            code=Exit(report.exit_code),
        )


def _lines(report: Report) -> Iterator[str]:
    yield from map(str, report.findings)
    if report.cut_off:
        yield "... and more: the list stops here."
    if report.part:
        yield f"a part: {report.part}"
    for reason in report.incomplete:
        yield f"incomplete: {reason}"
    sealed = ""
    if report.unsealed is not None:
        checkpoints = f"{report.checkpoints:,} checkpoints, {report.anchored:,} anchored"
        sealed = f"; {checkpoints}, {report.unsealed:,} events not sealed"
    yield f"{report.result}: {report.events:,} events in {report.streams:,} streams{sealed}"
