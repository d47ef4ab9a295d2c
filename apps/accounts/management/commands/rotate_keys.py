"""manage.py rotate_keys: every secret at rest under the first key of TOKEN_ENCRYPTION_KEY."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from apps.accounts.services import token_keys
from apps.audit.types import Actor
from apps.common.commands import Exit, LongCommand

SHOWN_MAX = 20


class Command(LongCommand):
    help = (
        "Put every secret at rest under the first key of TOKEN_ENCRYPTION_KEY, while everything runs. Safe to stop and "
        "repeat. First start every process with the new key in front of the old; afterwards the old one can go."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="only count; exit code 1 where any is left to do")

    def handle(self, *args: Any, **options: Any) -> None:
        only_count = options["dry_run"]
        with self.progress("secrets") as progress:
            tally = token_keys.rotate(
                actor=Actor.system("manage.py rotate_keys"), now=timezone.now(), report=progress, dry_run=only_count
            )
        verb = "would be given" if only_count else "given"
        lines = [f"{tally.rotated:,} secrets {verb} the first key; {tally.current:,} had it."]
        lines += tally.problems[:SHOWN_MAX]
        if tally.problems:
            lines.append(f"{len(tally.problems):,} are left as they are. Keep every key that is in use.")
        record = {"rotated": tally.rotated, "current": tally.current, "problems": tally.problems, "dry_run": only_count}
        code = Exit.INCOMPLETE if tally.problems else Exit.DIFFERS if only_count and tally.rotated else Exit.WELL
        self.finish(record, as_json=options["json"], lines=lines, code=code)
