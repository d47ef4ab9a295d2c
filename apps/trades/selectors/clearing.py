"""How far the canceling after a halt has come, for whoever shows it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.conf import settings

from apps.connectors.selectors import all_connections
from apps.policies.selectors import halted_since
from apps.trades.models import HaltClearing
from apps.trades.types import ClearingOutcome

GLOBAL: Final = "global"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionClearing:
    """One halted connection: what the venue's last list showed, and what may still turn up there."""

    connection: str
    slug: str
    outcome: str
    started_at: datetime | None
    finished_at: datetime | None
    listed_at: datetime | None
    open_orders: int | None
    in_flight_orders: int
    foreign_orders: int
    empty_lists: int
    problem: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearing:
    """Everything halted within a scope. `is_done` says that nothing of ours is open any more, as far as was asked."""

    cancels: bool
    connections: tuple[ConnectionClearing, ...]

    @property
    def is_done(self) -> bool:
        return self.cancels and all(row.outcome == ClearingOutcome.DONE for row in self.connections)

    @property
    def sentence(self) -> str:
        """The whole in one line."""
        if not self.cancels:
            return "Halting leaves open orders at the venue: HALT_CANCELS_ORDERS is off."
        if not self.connections:
            return "Nothing is halted here."
        waiting = [row for row in self.connections if row.outcome != ClearingOutcome.DONE]
        if not waiting:
            return "Nothing of ours is open at the venue: its list was empty twice."
        names = ", ".join(row.connection for row in waiting[:3])
        return f"Canceling goes on at {names}."


def clearing_of(scope: str) -> Clearing:
    """How far canceling has come within "global" or the id of a connection: of what is halted there now."""
    found = []
    for connection in all_connections():
        halt = halted_since(connection.pk) if scope in {GLOBAL, str(connection.pk)} else None
        if halt is None:
            continue
        row = HaltClearing.objects.filter(connection_id=connection.pk, halted_at=halt[0]).first()
        found.append(
            ConnectionClearing(
                connection=connection.name,
                slug=connection.slug,
                outcome=row.outcome if row is not None else "",
                started_at=row.started_at if row is not None else None,
                finished_at=row.finished_at if row is not None else None,
                listed_at=row.listed_at if row is not None else None,
                open_orders=row.open_orders if row is not None else None,
                in_flight_orders=row.in_flight_orders if row is not None else 0,
                foreign_orders=row.foreign_orders if row is not None else 0,
                empty_lists=row.empty_lists if row is not None else 0,
                problem=row.reason if row is not None else "",
                sentence=_sentence(row),
            )
        )
    return Clearing(cancels=settings.HALT_CANCELS_ORDERS, connections=tuple(found))


def _sentence(row: HaltClearing | None) -> str:
    if row is None:
        return "Nobody has asked the venue yet what is open."
    others = f" {row.foreign_orders} orders of others were left alone." if row.foreign_orders else ""
    if row.outcome == ClearingOutcome.DONE:
        return f"Nothing of ours is open: the venue's list was empty twice.{others}"
    if row.reason:
        return f"What is open could not be listed: {row.reason} It is asked again.{others}"
    if row.open_orders:
        return f"{row.open_orders} of our orders are still open; they are asked to be canceled again.{others}"
    if row.in_flight_orders:
        return f"{row.in_flight_orders} orders may still turn up at the venue; each is canceled when it does.{others}"
    return f"The list has been empty {row.empty_lists} of two times.{others}"
