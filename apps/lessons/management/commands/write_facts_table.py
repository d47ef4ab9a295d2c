"""manage.py write_facts_table: the table in docs/outcomes.md, from the detectors."""

from apps.common.commands import TableCommand
from apps.lessons.rules.detectors import table


class Command(TableCommand):
    help = "Write the table of docs/outcomes.md from the detectors."
    page_name = "outcomes.md"

    def table(self) -> str:
        return table() + "\n"
