"""`manage.py audit_keygen`: the key that seals the audit log."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from apps.audit.services import keys
from apps.common.commands import AnswerCommand
from apps.common.errors import Conflict


class Command(AnswerCommand):
    help = (
        "Makes an Ed25519 key for sealing the audit log, in a new file that only its owner may read, and prints the "
        "public key for AUDIT_SEAL_PUBLIC_KEYS. An old public key stays in that list: it signed what it signed."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--output", type=Path, help="the new file; by default AUDIT_SEAL_KEY_FILE")
        parser.add_argument("--if-missing", action="store_true", help="do nothing where the file is there already")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path | None = options["output"] or (Path(settings.AUDIT_SEAL_KEY_FILE or "") or None)
        if path is None or str(path) == ".":
            raise CommandError("Name the new file: --output PATH, or AUDIT_SEAL_KEY_FILE.")
        if options["if_missing"] and path.exists():
            return
        try:
            public_key = keys.generate(path=path)
        except (Conflict, OSError) as error:
            raise CommandError(str(error)) from error
        record = {"public_key": public_key.hex(), "file": str(path)}
        self.finish(record, as_json=options["json"], lines=[public_key.hex()])
