"""manage.py write_facts_table: the table in docs/outcomes.md, from the detectors."""

from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.lessons.rules.detectors import table

BEGIN: Final = "<!-- table: manage.py write_facts_table -->\n"
END: Final = "<!-- end of table -->\n"


class Command(BaseCommand):
    help = "Write the table of docs/outcomes.md from the detectors."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Replace what stands between the two marks."""
        path = Path(settings.BASE_DIR) / "docs" / "outcomes.md"
        before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        path.write_text(before + BEGIN + table() + "\n" + END + after, encoding="utf-8")
        self.stdout.write(f"Wrote {path}.")
