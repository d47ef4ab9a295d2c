"""manage.py check_reservations: does what orders hold of the budgets add up?"""

from typing import Any

from apps.common.commands import Exit, LongCommand
from apps.trades.services.conservation import check


class Command(LongCommand):
    help = (
        "Compare every budget with its reservations, and those with orders, fills and positions. Changes nothing. "
        "Exit code: 0 everything adds up, 1 something does not, and where."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with self.progress("orders") as progress:
            report = check(since=None, progress=progress)
        said = f"{len(report.broken)} do not add up" if report.broken else "everything adds up"
        lines = [f"{row.code} at {row.where}: {row.message}" for row in report.broken]
        self.finish(
            report.as_dict(),
            as_json=options["json"],
            lines=[*lines, f"{report.orders:,} orders compared: {said}."],
            code=Exit.DIFFERS if report.broken else Exit.WELL,
        )
