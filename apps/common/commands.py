"""One style for every command: `--json` where a machine would read the answer, progress where it takes long, exit codes
that `--help` says, and a clean end by Ctrl-C.

Exit codes: 0 all is well; 1 what was looked at is not as it should be; 2 not all of it could be done, or what was asked
cannot be understood; 130 stopped by Ctrl-C.
"""

import json
import signal
import sys
import threading
from abc import ABC, abstractmethod
from argparse import ArgumentParser
from collections.abc import Iterable
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn, TextIO, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.common.decimals import parse_instant
from apps.common.errors import AikaError, Invalid
from apps.common.progress import Progress


class Exit(IntEnum):
    """What a command ends with."""

    WELL = 0
    DIFFERS = 1
    INCOMPLETE = 2
    STOPPED = 130


CODES: Final = (
    "Exit codes: 0 all is well; 1 what was looked at is not as it should be; 2 not all of it could be done, or the "
    "question is wrong; 130 stopped by Ctrl-C."
)
CODES_OF_SERVICES: Final = "Exit codes: 0 stopped by SIGTERM or Ctrl-C; 2 it could not begin."
CODES_OF_PAGES: Final = "Exit codes: 0 written; 2 it could not be."
UNSAID: Final = 1  # a CommandError that says no code


class StyledCommand(BaseCommand):
    """What every command of Aika is: its exit codes are said in `--help` and are of the one kind."""

    codes: ClassVar[str] = CODES

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=self.codes, **options)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except KeyboardInterrupt:
            self.stderr.write("Stopped.")
            sys.exit(Exit.STOPPED)
        except CommandError as error:
            # Django ends with 1 where nothing is said, which here is the code of what differs.
            if error.returncode == UNSAID:
                error.returncode = Exit.INCOMPLETE
            raise

    def refuse(self, error: AikaError) -> NoReturn:
        """End with what is wrong and what to do."""
        raise CommandError(f"{error} {error.fix}".strip(), returncode=Exit.INCOMPLETE) from error


class AnswerCommand(StyledCommand):
    """A command whose answer a program may read. `handle` ends with `finish`."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object in one line instead of words")

    def finish(self, record: Any, *, as_json: bool, lines: Iterable[str] = (), code: Exit = Exit.WELL) -> None:
        """The last words: the record in one line of JSON, or the lines; then, unless all is well, the exit code."""
        for line in [json.dumps(record, sort_keys=True)] if as_json else lines:
            self.stdout.write(line)
        if code is not Exit.WELL:
            sys.exit(code)


class LongCommand(AnswerCommand):
    """A command that takes long: `handle` also reports by `progress`, on standard error."""

    codes = f"{CODES} Progress goes to standard error."

    def progress(self, what: str) -> Progress:
        """How far it is, in numbers of these things."""
        return Progress(what, stream=cast(TextIO, self.stderr._out))


class ServiceCommand(StyledCommand):
    """A command that goes on until a signal comes. Its log says how it does."""

    codes = CODES_OF_SERVICES


def stopped_by_signal() -> threading.Event:
    """Set once SIGTERM or Ctrl-C comes, which then end nothing by themselves: what is in hand is finished first."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


class PageCommand(StyledCommand, ABC):
    """A command that writes a page of docs/ from the code. A test compares the two, so that the page cannot drift."""

    codes = CODES_OF_PAGES
    page_name: ClassVar[str]

    @abstractmethod
    def page(self) -> str:
        """The page as it must be."""

    @property
    def path(self) -> Path:
        """Where it stands."""
        return Path(settings.BASE_DIR) / "docs" / self.page_name

    def add_arguments(self, parser: ArgumentParser) -> None:
        # Not `--stdout`: by that name Django takes a stream to write on.
        parser.add_argument("--print", action="store_true", help="print instead of writing")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write it, or print it."""
        if options["print"]:
            self.stdout.write(self.page(), ending="")
            return
        self.path.write_text(self.page(), encoding="utf-8")
        self.stdout.write(f"Wrote {self.path}.")


class TableCommand(PageCommand):
    """A page of which the code writes one table, between two marks; the rest is a person's."""

    end: ClassVar[str] = "<!-- end of table -->\n"

    @abstractmethod
    def table(self) -> str:
        """The table, ending with its line."""

    def page(self) -> str:
        begin = f"<!-- table: manage.py {type(self).__module__.rpartition('.')[2]} -->\n"
        before, _, rest = self.path.read_text(encoding="utf-8").partition(begin)
        _, _, after = rest.partition(self.end)
        return before + begin + self.table() + self.end + after


def instant_option(text: str | None, name: str) -> datetime | None:
    """An instant or a day (its first moment, UTC) of the command line. Raises CommandError for anything else."""
    if text is None:
        return None
    try:
        return parse_instant(f"{text}T00:00:00Z" if len(text) == len("2026-11-22") else text, field=name)
    except Invalid as error:
        raise CommandError(f"{error.message} Or a day: 2026-11-22.", returncode=Exit.INCOMPLETE) from error
