"""Proposals and positions as one caller may see them, page by page."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.accounts.types import Principal
from apps.connectors.selectors import connections_for
from apps.connectors.types import Environment
from apps.trades.models import Position, Proposal
from apps.trades.types import ProposalState


def proposals_for(principal: Principal) -> QuerySet[Proposal]:
    """A person sees what was asked at their desks; a key what its owner asked on connections it may use."""
    return _on(connections_for(principal).order_by().values("pk"), principal)


def _on(connections: "Sequence[UUID] | QuerySet[Any, Any]", principal: Principal) -> QuerySet[Proposal]:
    rows = Proposal.objects.filter(connection__in=connections).select_related("decision", "known_then")
    return rows if principal.is_person else rows.filter(proposer_id=principal.user_id)


def proposal_for(principal: Principal, proposal_id: UUID) -> Proposal | None:
    """One of those proposals; None for any other, whether it is there or not."""
    return proposals_for(principal).filter(pk=proposal_id).first()


def page_of_proposals(
    principal: Principal,
    *,
    now: datetime,
    limit: int,
    after: tuple[datetime, UUID] | None,
    state: ProposalState | None,
    connection: str | None,
    instrument: str | None,
) -> list[Proposal]:
    """Newest first, one more than `limit` where there are more. States count by the clock, as they are shown.

    The connections are asked for first: how many proposals one has is known for its id only, and so whether to read
    them or the newest of all.
    """
    rows = _on(list(connections_for(principal).order_by().values_list("pk", flat=True)), principal)
    if state is not None:
        rows = rows.filter(_in_state(state, now))
    if connection is not None:
        rows = rows.filter(connection__slug=connection)
    if instrument is not None:
        rows = rows.filter(instrument=instrument)
    if after is not None:
        at, row_id = after
        # The first says where in the index the page begins: an OR does not.
        rows = rows.filter(Q(created_at__lte=at), Q(created_at__lt=at) | Q(created_at=at, pk__lt=row_id))
    return list(rows.order_by("-created_at", "-pk")[: limit + 1])


def _in_state(state: ProposalState, now: datetime) -> Q:
    waiting = Q(state=ProposalState.AWAITING_APPROVAL)
    if state is ProposalState.AWAITING_APPROVAL:
        return waiting & Q(expires_at__gt=now)
    if state is ProposalState.EXPIRED:
        return Q(state=ProposalState.EXPIRED) | (waiting & Q(expires_at__lte=now))
    return Q(state=state)


def waiting_for(
    desk_ids: Sequence[UUID], *, not_by: UUID, now: datetime, limit: int, alone_at: Collection[UUID] = ()
) -> list[Proposal]:
    """What waits at these desks and was asked by somebody else, or by an own key on paper at the desks `alone_at`; the
    soonest deadline first."""
    rows = Proposal.objects.filter(
        state=ProposalState.AWAITING_APPROVAL, expires_at__gt=now, connection__desk_id__in=desk_ids
    )
    others = ~Q(proposer_id=not_by)
    if alone_at:
        others |= Q(api_key__isnull=False, connection__environment=Environment.PAPER, connection__desk_id__in=alone_at)
    rows = rows.filter(others).select_related("decision", "known_then", "proposer", "api_key")
    return list(rows.order_by("expires_at", "pk")[:limit])


def page_of_positions(connection_ids: Sequence[UUID], *, limit: int, after: tuple[str, UUID] | None) -> list[Position]:
    """Positions by instrument, flat ones too (they hold realised P&L); one more than `limit` where there are more."""
    rows = Position.objects.filter(connection_id__in=connection_ids)
    if after is not None:
        instrument, row_id = after
        rows = rows.filter(Q(instrument__gt=instrument) | Q(instrument=instrument, pk__gt=row_id))
    return list(rows.order_by("instrument", "pk")[: limit + 1])
