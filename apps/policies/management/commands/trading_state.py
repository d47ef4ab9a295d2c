"""manage.py trading_state: what would be denied right now, and why."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.connectors.selectors import all_connections
from apps.policies.selectors import gate_findings, trading_state


class Command(BaseCommand):
    help = "Show, for each connection, the trading state and everything that is denied now whatever is asked."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        found = [
            {
                "connection": connection.slug,
                "environment": connection.environment,
                "state": trading_state(connection.pk),
                "denied": [finding._asdict() for finding in gate_findings(connection)],
            }
            for connection in all_connections()
        ]
        if options["json"]:
            self.stdout.write(json.dumps({"global": trading_state(None), "connections": found}, indent=2))
            return
        self.stdout.write(f"Everything: {trading_state(None)}")
        if not found:
            self.stdout.write("There is no connection yet.")
        for row in found:
            self._show(row)

    def _show(self, row: dict[str, Any]) -> None:
        self.stdout.write(f"\n{row['connection']} ({row['environment']}): {row['state']}")
        if not row["denied"]:
            self.stdout.write("  An ordinary ask is let through to a person.")
        for finding in row["denied"]:
            self.stdout.write(f"  {finding['code']}  {finding['message']} {finding['fix']}")
