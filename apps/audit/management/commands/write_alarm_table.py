"""manage.py write_alarm_table: the table in docs/alarms.md, from the code."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.common.alarm_kinds import ALARM_KINDS, table

BEGIN = "<!-- table: manage.py write_alarm_table -->\n"
END = "<!-- end of table -->\n"


class Command(BaseCommand):
    help = "Write the table of docs/alarms.md from the kinds of alarms and the bounds as they are set now."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Replace what stands between the two marks."""
        bounds = {kind.bound: getattr(settings, kind.bound) for kind in ALARM_KINDS.values() if kind.bound}
        path = Path(settings.BASE_DIR) / "docs" / "alarms.md"
        before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        path.write_text(before + BEGIN + table(bounds) + END + after, encoding="utf-8")
        self.stdout.write(f"Wrote {path}.")
