"""manage.py replay_decisions: every stored decision again, byte for byte."""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import Exit, LongCommand, instant_option
from apps.policies.services import replays


class Command(LongCommand):
    help = (
        "Judge every stored decision's inputs again and compare with what was stored. Exit code: 0 none differs, "
        "1 some do, 2 the question is wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--since", metavar="INSTANT", help="only decisions from then on, 2026-11-22T00:00:00Z")

    def handle(self, *args: Any, **options: Any) -> None:
        with self.progress("decisions") as progress:
            report = replays.replay_all(since=instant_option(options["since"], "--since"), progress=progress)
        other = f", {report.other_evaluator} are of another evaluator." if report.other_evaluator else "."
        lines = [f"{finding.decision}  {finding.problem}" for finding in report.differing]
        self.finish(
            report.as_dict(),
            as_json=options["json"],
            lines=[*lines, f"{report.checked} decisions replayed, {len(report.differing)} differ{other}"],
            code=Exit.DIFFERS if report.differing else Exit.WELL,
        )
