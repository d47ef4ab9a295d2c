"""manage.py write_reason_codes: the table in docs, from the enum."""

from apps.common.commands import PageCommand
from apps.policies.rules import reason_codes_page


class Command(PageCommand):
    help = "Write docs/reason-codes.md from the reason codes and rule kinds. A test compares the two."
    page_name = "reason-codes.md"

    def page(self) -> str:
        return reason_codes_page()
