"""manage.py audit_rows: are the tables what the log says?"""

from typing import Any

from apps.approvals.services.log_comparison import compare
from apps.common.commands import Exit, LongCommand


class Command(LongCommand):
    help = (
        "Hold every proposal, vote, authority, order, fill and reservation against what its events say became of it. "
        "Whether the events are what was written, audit_verify says. Changes nothing. Exit code: 0 nothing differs, "
        "1 something does, and where."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with self.progress("proposals") as progress:
            report = compare(progress=progress)
        said = f"{len(report.findings)} places differ" if report.findings else "nothing differs"
        more = ["... and more: the list stops here."] if report.cut_off else []
        self.finish(
            report.as_dict(),
            as_json=options["json"],
            lines=[
                *map(str, report.findings),
                *more,
                f"{report.proposals:,} proposals and {report.votes:,} votes compared: {said}.",
            ],
            code=Exit.DIFFERS if report.findings else Exit.WELL,
        )
