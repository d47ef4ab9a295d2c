"""manage.py write_reason_codes: the table in docs, from the enum."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from apps.policies.rules import reason_codes_page


class Command(BaseCommand):
    help = "Write docs/reason-codes.md from the reason codes and rule kinds. A test compares the two."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--stdout", action="store_true", help="print instead of writing")

    def handle(self, *args: Any, **options: Any) -> None:
        page = reason_codes_page()
        if options["stdout"]:
            self.stdout.write(page, ending="")
            return
        path = Path(settings.BASE_DIR) / "docs" / "reason-codes.md"
        path.write_text(page, encoding="utf-8")
        self.stdout.write(f"Wrote {path}.")
