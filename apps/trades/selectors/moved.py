"""Where proposals, orders and differences belong and stand, many at once: for who hears that something moved."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count

from apps.trades.models import Difference, Order, Proposal
from apps.trades.types import ProposalState


class Place(NamedTuple):
    """The connection a row belongs to, who proposed it (None: nobody), and the state it is in now."""

    connection_id: UUID
    proposer_id: UUID | None
    state: str


def places(
    *, proposals: Iterable[UUID] = (), orders: Iterable[UUID] = (), differences: Iterable[UUID] = ()
) -> dict[UUID, Place]:
    """Where each of these is now, by id; at most one query for each kind."""
    asked = list(proposals), list(orders), list(differences)
    found: dict[UUID, Place] = {}
    if asked[0]:
        rows = Proposal.objects.filter(pk__in=asked[0]).order_by()
        fields = ("pk", "connection_id", "proposer_id", "state")
        found |= {row[0]: Place(row[1], row[2], row[3]) for row in rows.values_list(*fields)}
    if asked[1]:
        orders_found = Order.objects.filter(pk__in=asked[1]).order_by()
        fields = ("pk", "connection_id", "proposal__proposer_id", "state")
        found |= {row[0]: Place(row[1], row[2], row[3]) for row in orders_found.values_list(*fields)}
    if asked[2]:
        differing = Difference.objects.filter(pk__in=asked[2]).order_by()
        for pk, connection_id, settled_at in differing.values_list("pk", "connection_id", "settled_at"):
            found[pk] = Place(connection_id, None, "OPEN" if settled_at is None else "SETTLED")
    return found


def waiting_counts(now: datetime) -> dict[tuple[UUID, UUID], int]:
    """How many proposals wait, by connection and proposer: one query."""
    rows = Proposal.objects.filter(state=ProposalState.AWAITING_APPROVAL, expires_at__gt=now).order_by()
    counted = rows.values_list("connection_id", "proposer_id").annotate(waiting=Count("pk"))
    return {(connection_id, proposer_id): waiting for connection_id, proposer_id, waiting in counted}
