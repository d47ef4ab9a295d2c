"""`manage.py audit_export`: the log as JSON lines, with all that its hashes were made of."""

import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from apps.audit.services.export import Line, lines


class Command(BaseCommand):
    help = (
        "Writes one JSON object a line: each event in id order (body is the hashed text), then each stream's head. "
        "hash = SHA-256 of a zero byte, then stream, seq, prev_hash and body, each after its length in 8 bytes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", type=Path, help="a file, written whole or not at all; default: standard output")
        parser.add_argument("--stream", help="only this stream")
        parser.add_argument("--after", type=int, default=0, metavar="ID", help="only events with a higher id")

    def handle(self, *args: Any, **options: Any) -> None:
        found = lines(stream=options["stream"], after=options["after"])
        output: Path | None = options["output"]
        if output is None:
            for line in found:
                self.stdout.write(_text(line))
            return
        partial = output.with_name(output.name + ".part")
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            count = sum(1 for line in found if file.write(_text(line) + "\n"))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(output)
        self.stdout.write(f"{count:,} lines in {output}")


def _text(line: Line) -> str:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))
