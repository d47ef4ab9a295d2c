"""`manage.py audit_export`: the log as JSON lines, with all that its hashes and signatures were made of."""

import os
import shutil
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.audit.management.parts import SINCE, id_before
from apps.audit.services.export import VERIFIER, lines
from apps.common.commands import LongCommand


class Command(LongCommand):
    help = (
        "Writes one JSON object a line: each event in id order (body is the hashed text), each stream's head, then "
        "seals, checkpoints and anchors. hash = SHA-256 of a zero byte, then stream, seq, prev_hash and body, each "
        "after its length in 8 bytes. --with-verifier puts a Python file beside it that verifies it without Aika. A "
        "part (--stream, --since, --after) has no seals, checkpoints or anchors: only its chains can be verified."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--output", type=Path, help="a file, written whole or not at all; default: standard output")
        parser.add_argument("--stream", help="only this stream")
        parser.add_argument("--after", type=int, default=0, metavar="ID", help="only events with a higher id")
        parser.add_argument("--since", metavar="INSTANT", help=SINCE)
        parser.add_argument("--with-verifier", action="store_true", help=f"also {VERIFIER.name}, beside the output")

    def handle(self, *args: Any, **options: Any) -> None:
        after = max(options["after"], id_before(options["since"]))
        found = lines(now=timezone.now(), stream=options["stream"], after=after)
        output: Path | None = options["output"]
        if output is None:
            if options["with_verifier"]:
                raise CommandError("--with-verifier needs --output: it is put beside that file.")
            with self.progress("lines") as progress:
                for count, line in enumerate(found, 1):
                    self.stdout.write(line)
                    progress(count)
            return
        partial, count = output.with_name(output.name + ".part"), 0
        with partial.open("w", encoding="utf-8", newline="\n") as file, self.progress("lines") as progress:
            for count, line in enumerate(found, 1):
                file.write(line + "\n")
                progress(count)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(output)
        said = [f"{count:,} lines in {output}"]
        if options["with_verifier"]:
            beside = output.with_name(VERIFIER.name)
            shutil.copyfile(VERIFIER, beside)
            said.append(f"python3 -I -S {beside} {output} --key PUBLIC_KEY --anchors DIR")
        self.finish({"lines": count, "output": str(output)}, as_json=options["json"], lines=said)
