"""`manage.py doctor`: is this installation well, and if not, what is to be done?"""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from apps.common.commands import AnswerCommand, Exit
from apps.dashboard.rules.doctor import Line, Process, Verdict, examine, exit_code
from apps.dashboard.services.doctor import read


class Command(AnswerCommand):
    help = (
        "Looks at settings, database, role, guards, Redis, keys, beat, workers, checkpoints, orders, trading state, "
        "comparisons, clocks, disk and alarms, and says what to do. Changes nothing. Exit code: 0 well, 1 to be looked "
        "at, 2 broken."
    )
    codes = "Exit codes: 0 well; 1 something is to be looked at; 2 something is broken; 130 stopped by Ctrl-C."
    requires_system_checks = ()  # a broken one is a line here, not the end

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--offline", action="store_true", help="do not ask the venues for their time")
        parser.add_argument(
            "--process", choices=[process.value for process in Process], default=Process.ANY.value,
            help="where this is called: the sealing key belongs to the worker of the queue default, to no web process",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        process = Process(options["process"])
        lines = examine(read(process=process, ask_venues=not options["offline"], clock=timezone.now))
        code = exit_code(lines)
        width = max(len(line.check) for line in lines)
        record = {"exit_code": code, "checks": [asdict(line) for line in lines]}
        said = [self._said(line, width) for line in lines]
        self.finish(record, as_json=options["json"], lines=said, code=Exit(code))

    def _said(self, line: Line, width: int) -> str:
        style = {Verdict.OK: self.style.SUCCESS, Verdict.WARN: self.style.WARNING, Verdict.FAIL: self.style.ERROR}
        todo = f". To do: {line.fix}" if line.fix else ""
        return f"{style[line.verdict](f'{line.verdict:4}')}  {line.check:{width}}  {line.found}{todo}"
