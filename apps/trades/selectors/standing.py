"""Where a caller's connections stand: what they hold, whether they trade, what would be denied whatever is asked."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from apps.accounts.types import Principal
from apps.common.decimals import instant_text
from apps.connectors.selectors import connections_for
from apps.policies.selectors import gate_findings, open_latches, trading_state
from apps.policies.types import LatchKind
from apps.quotes.services import quotes
from apps.trades.models import Order
from apps.trades.selectors import listing
from apps.trades.selectors.records import position_record
from apps.trades.types import OrderState

if TYPE_CHECKING:
    from apps.policies.models import Latch

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


def trading_states(principal: Principal) -> list[dict[str, Any]]:
    """Per connection (at most 100): the worst state in force, what has tripped, and the standing reasons to deny."""
    connections = list(connections_for(principal).order_by("slug")[:CONNECTIONS_MAX])
    tripped = list(open_latches())
    return [
        {
            "connection": connection.slug,
            "environment": connection.environment,
            "state": trading_state(connection.pk),
            "latches": [_latch(latch) for latch in tripped if latch.connection_id in (None, connection.pk)],
            "would_deny": [finding._asdict() for finding in gate_findings(connection)],
        }
        for connection in connections
    ]


def _latch(latch: "Latch") -> dict[str, Any]:
    kind = LatchKind(latch.kind)
    return {
        "kind": latch.kind,
        "everything": latch.connection_id is None,
        "state": kind.imposes.value,
        "tripped_at": instant_text(latch.tripped_at),
        "message": f"{kind.sentence} {latch.message}",
        "fix": f"{kind.loosening} Two people reset it.",
    }


def left_on_the_way(now: datetime) -> tuple[int, int]:
    """How many orders were claimed by a process that is gone (their lease has lapsed), and how many are UNKNOWN."""
    lapsed = Order.objects.filter(state=OrderState.SUBMITTED, lease_until__lt=now).count()
    return lapsed, Order.objects.filter(state=OrderState.UNKNOWN).count()
