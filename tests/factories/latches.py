"""Latches as they trip, and as two people reset them; and what a measure of worth needs."""

from datetime import datetime
from decimal import Decimal

from apps.audit.types import Actor
from apps.connectors.models import Connection
from apps.policies.models import Latch
from apps.policies.services import latches
from apps.policies.types import LatchKind
from apps.quotes.services import quotes
from apps.trades.selectors.watch import watched_codes
from apps.trades.services import latches as trades_latches
from tests.factories.desk import PaperDesk


def connected(paper: PaperDesk) -> Connection:
    """The desk's connection as it is in the database now."""
    return Connection.objects.select_related("desk").get(pk=paper.connection.pk)


def prices_of_everything(paper: PaperDesk) -> None:
    """A live price of each currency the connection holds, so that what it holds can be valued."""
    quotes.refresh(paper.connection, sorted(watched_codes(connected(paper))))


def trip(paper: PaperDesk, kind: LatchKind, *, now: datetime, everything: bool = False) -> Latch:
    """A latch of the desk's connection, or of everything, tripped by the test."""
    return latches.trip(
        kind=kind,
        connection_id=None if everything else paper.connection.pk,
        message="Because the test says so.",
        evidence={"observed": str(Decimal(11)), "limit": str(Decimal(10))},
        actor=Actor.system("test"),
        now=now,
    )


def reset(paper: PaperDesk, now: datetime) -> Latch:
    """The open latch of the desk's connection, reset by two of its people."""
    latch = Latch.objects.get(connection=paper.connection, reset_at=None)
    latches.request_reset(latch_id=latch.pk, requester=paper.risk, reason="Understood.", now=now)
    return trades_latches.second_reset(latch_id=latch.pk, seconder=paper.approver, now=now)
