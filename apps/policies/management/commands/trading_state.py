"""manage.py trading_state: what would be denied right now and why, and the way back."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from apps.common.commands import AnswerCommand
from apps.connectors.selectors import all_connections
from apps.policies.selectors import gate_findings, latches_on, trading_state
from apps.policies.types import LatchKind

if TYPE_CHECKING:
    from apps.policies.models import Latch

WAY_BACK = (
    "The way back, in the admin under Trading state: two people reset what has tripped, then two people resume, on a "
    "clean reconciliation and an intact audit log."
)


class Command(AnswerCommand):
    help = "Show, for each connection, the trading state, what has tripped, and all that is denied whatever is asked."

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
        everything = trading_state(None)
        lines = [f"Everything: {everything}", *([] if found else ["There is no connection yet."])]
        lines += [line for row in found for line in _lines(row)]
        self.finish({"global": everything, "connections": found}, as_json=options["json"], lines=lines)


def _lines(row: dict[str, Any]) -> Iterator[str]:
    yield f"\n{row['connection']} ({row['environment']}): {row['state']}"
    for latch in row["tripped"]:
        yield f"  Tripped {latch['tripped_at']}: {latch['kind']}  {latch['message']} {latch['fix']}"
    if not row["denied"]:
        yield "  An ordinary ask is let through to a person."
    for finding in row["denied"]:
        yield f"  {finding['code']}  {finding['message']} {finding['fix']}"
    if row["state"] != "ACTIVE" or row["tripped"]:
        yield f"  {WAY_BACK}"


def _said(latch: "Latch") -> dict[str, str]:
    kind = LatchKind(latch.kind)
    return {
        "kind": latch.kind,
        "of": "everything" if latch.connection_id is None else "the connection",
        "tripped_at": f"{latch.tripped_at:%Y-%m-%d %H:%M:%S} UTC",
        "message": f"{kind.sentence} {latch.message}",
        "fix": kind.loosening,
    }
