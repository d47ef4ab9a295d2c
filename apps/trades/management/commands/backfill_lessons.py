"""manage.py backfill_lessons: cases of what closed before there was a memory."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.common.commands import Exit, LongCommand
from apps.common.errors import AikaError
from apps.trades.rules.past_trades import COLUMNS, FACT_COLUMNS, NEEDED
from apps.trades.services import backfilling

SHOWN_MAX = 1_000


class Command(LongCommand):
    help = (
        "Hand every closed trade to the memory, so that losses become lessons: Aika's own outcomes, or with --csv past "
        "trades of a file. Safe to repeat: a trade is known by its id. Exit code 0: all of it is remembered; 2: not "
        "all could be, and which. "
        f"Columns of the file: {', '.join(NEEDED)}, and where known {', '.join(COLUMNS[len(NEEDED) :])} "
        f"(tags divided by ;), and facts known when it was decided: {', '.join(FACT_COLUMNS)}."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--csv", type=Path, help="a file of past trades, one a line")
        parser.add_argument("--desk", default="", help="the desk the file's trades belong to, by its short name")
        parser.add_argument("--resume", action="store_true", help="leave out what is remembered already")
        parser.add_argument("--dry-run", action="store_true", help="read and check all of it; write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if (options["csv"] is None) != (not options["desk"]):
            raise CommandError("--csv and --desk go together.", returncode=Exit.INCOMPLETE)
        how = {"resume": options["resume"], "dry_run": options["dry_run"], "clock": timezone.now}
        try:
            with self.progress("trades") as progress:
                if options["csv"] is None:
                    done = backfilling.of_outcomes(**how, report=progress)
                else:
                    done = backfilling.of_file(path=options["csv"], desk_slug=options["desk"], **how, report=progress)
        except AikaError as error:
            self.refuse(error)
        self._say(done, options)

    def _say(self, done: backfilling.Backfilled, options: dict[str, Any]) -> None:
        record = {
            "read": done.read,
            "remembered": done.remembered,
            "known": done.known,
            "problems": [{"where": where, "problem": what} for where, what in done.problems[:SHOWN_MAX]],
            "problem_count": len(done.problems),
            "dry_run": options["dry_run"],
        }
        said = f"{done.read:,} trades read, {done.remembered:,} remembered, {done.known:,} known already"
        wrong = f", {len(done.problems):,} left out" if done.problems else ""
        nothing = " Nothing was written." if options["dry_run"] else ""
        lines = [f"{where}: {what}" for where, what in done.problems[:SHOWN_MAX]]
        code = Exit.INCOMPLETE if done.problems else Exit.WELL
        self.finish(record, as_json=options["json"], lines=[*lines, f"{said}{wrong}.{nothing}"], code=code)
