"""manage.py trading_state: what would be denied right now and why, and the way back."""

import json
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandParser

from apps.connectors.selectors import all_connections
from apps.policies.selectors import gate_findings, latches_on, trading_state
from apps.policies.types import LatchKind

if TYPE_CHECKING:
    from apps.policies.models import Latch

WAY_BACK = (
    "The way back, in the admin under Trading state: two people reset what has tripped, then two people resume, on a "
    "clean reconciliation and an intact audit log."
)


class Command(BaseCommand):
    help = "Show, for each connection, the trading state, what has tripped, and all that is denied whatever is asked."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        found = [
            {
                "connection": connection.slug,
                "environment": connection.environment,
                "state": trading_state(connection.pk),
                "tripped": [_said(latch) for latch in latches_on(connection.pk)],
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
        for latch in row["tripped"]:
            self.stdout.write(f"  Tripped {latch['tripped_at']}: {latch['kind']}  {latch['message']} {latch['fix']}")
        if not row["denied"]:
            self.stdout.write("  An ordinary ask is let through to a person.")
        for finding in row["denied"]:
            self.stdout.write(f"  {finding['code']}  {finding['message']} {finding['fix']}")
        if row["state"] != "ACTIVE" or row["tripped"]:
            self.stdout.write(f"  {WAY_BACK}")


def _said(latch: "Latch") -> dict[str, str]:
    kind = LatchKind(latch.kind)
    return {
        "kind": latch.kind,
        "of": "everything" if latch.connection_id is None else "the connection",
        "tripped_at": f"{latch.tripped_at:%Y-%m-%d %H:%M:%S} UTC",
        "message": f"{kind.sentence} {latch.message}",
        "fix": kind.loosening,
    }
