"""Where a caller's connections stand: what they hold, whether they trade, what would be denied whatever is asked."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from apps.accounts.types import Principal
from apps.connectors.selectors import connections_for
from apps.policies.selectors import gate_findings, trading_state
from apps.policies.types import ReasonCode
from apps.quotes.services import quotes
from apps.trades.selectors import listing
from apps.trades.selectors.records import position_record

CONNECTIONS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class PositionsPage:
    """Records, and where the next page begins; None where there is none."""

    items: list[dict[str, Any]]
    after: tuple[str, str] | None


def positions(
    principal: Principal, *, connection: str | None, limit: int, after: tuple[str, UUID] | None, now: datetime
) -> PositionsPage:
    """Positions by instrument, each marked with the last quote kept."""
    connections = connections_for(principal)
    if connection is not None:
        connections = connections.filter(slug=connection)
    slugs = {row.pk: row.slug for row in connections}
    rows = listing.page_of_positions(list(slugs), limit=limit, after=after)
    shown = rows[:limit]
    marks = {(row.connection_id, row.instrument): quotes.latest(row.connection_id, row.instrument) for row in shown}
    items = [
        position_record(
            row, connection=slugs[row.connection_id], quote=marks[row.connection_id, row.instrument], now=now
        )
        for row in shown
    ]
    last = shown[-1] if len(rows) > limit else None
    return PositionsPage(items, (last.instrument, str(last.pk)) if last else None)


def trading_states(principal: Principal, *, now: datetime) -> list[dict[str, Any]]:
    """Per connection (at most 100): the worst state in force, and the standing reasons to deny."""
    connections = list(connections_for(principal).order_by("slug")[:CONNECTIONS_MAX])
    latched = listing.latched_connections([connection.pk for connection in connections], now=now)
    records = []
    for connection in connections:
        findings = [finding._asdict() for finding in gate_findings(connection)]
        if connection.pk in latched:
            code = ReasonCode.DAILY_LOSS_LATCHED
            findings.append({"code": code.value, "message": code.sentence, "fix": "A person must reset it."})
        records.append(
            {
                "connection": connection.slug,
                "environment": connection.environment,
                "state": trading_state(connection.pk),
                "would_deny": findings,
            }
        )
    return records
