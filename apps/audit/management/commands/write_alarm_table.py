"""manage.py write_alarm_table: the table in docs/alarms.md, from the code."""

from django.conf import settings

from apps.common.alarm_kinds import ALARM_KINDS, table
from apps.common.commands import TableCommand


class Command(TableCommand):
    help = "Write the table of docs/alarms.md from the kinds of alarms and the bounds as they are set now."
    page_name = "alarms.md"

    def table(self) -> str:
        bounds = {kind.bound: getattr(settings, kind.bound) for kind in ALARM_KINDS.values() if kind.bound}
        return table(bounds)
