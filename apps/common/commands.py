"""One style for commands that take long: progress, `--json`, exit codes, and a clean end by Ctrl-C; one for pages.

Exit codes: 0 all is well; 1 what was compared differs; 2 not all of it could be done, or what was asked cannot be
understood; 130 stopped by Ctrl-C.
"""

import json
import sys
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
    """What a long command ends with."""

    WELL = 0
    DIFFERS = 1
    INCOMPLETE = 2
    STOPPED = 130


CODES: Final = (
    "Exit codes of every command that takes long: 0 all is well; 1 what was compared differs; 2 not all of it could be "
    "done, or the question is wrong; 130 stopped by Ctrl-C. Progress goes to standard error."
)


class LongCommand(BaseCommand):
    """A command of this style. `handle` reports by `progress` and ends with `finish`."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object in one line instead of words")

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=CODES, **options)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except KeyboardInterrupt:
            self.stderr.write("Stopped.")
            sys.exit(Exit.STOPPED)

    def progress(self, what: str) -> Progress:
        """How far it is, in numbers of these things."""
        return Progress(what, stream=cast(TextIO, self.stderr._out))

    def finish(self, record: Any, *, as_json: bool, lines: Iterable[str] = (), code: Exit = Exit.WELL) -> None:
        """The last words: the record in one line of JSON, or the lines; then, unless all is well, the exit code."""
        for line in [json.dumps(record, sort_keys=True)] if as_json else lines:
            self.stdout.write(line)
        if code is not Exit.WELL:
            sys.exit(code)

    def refuse(self, error: AikaError) -> NoReturn:
        """End with what is wrong and what to do."""
        raise CommandError(f"{error} {error.fix}".strip(), returncode=Exit.INCOMPLETE) from error


class PageCommand(BaseCommand, ABC):
    """A command that writes a page of docs/ from the code. A test compares the two, so that the page cannot drift."""

    page_name: ClassVar[str]

    @abstractmethod
    def page(self) -> str:
        """The page as it must be."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--stdout", action="store_true", help="print instead of writing")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write it, or print it."""
        if options["stdout"]:
            self.stdout.write(self.page(), ending="")
            return
        path = Path(settings.BASE_DIR) / "docs" / self.page_name
        path.write_text(self.page(), encoding="utf-8")
        self.stdout.write(f"Wrote {path}.")


def instant_option(text: str | None, name: str) -> datetime | None:
    """An instant or a day (its first moment, UTC) of the command line. Raises CommandError for anything else."""
    if text is None:
        return None
    try:
        return parse_instant(f"{text}T00:00:00Z" if len(text) == len("2026-11-22") else text, field=name)
    except Invalid as error:
        raise CommandError(f"{error.message} Or a day: 2026-11-22.", returncode=Exit.INCOMPLETE) from error
