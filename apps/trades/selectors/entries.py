"""How positions were entered, and what was known then."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Min

from apps.connectors.types import Side, TradeType
from apps.trades.models import Proposal, ProposalFacts


def entries_into(
    *, connection_id: UUID, instrument: str, since: datetime, until: datetime, limit: int
) -> list[Proposal]:
    """The proposals whose orders bought an instrument in [since, until], at most `limit`, first fill first."""
    bought: Any = Proposal.objects.filter(
        orders__fills__connection_id=connection_id,
        orders__fills__instrument=instrument,
        orders__fills__side=Side.BUY,
        orders__fills__trade_type=TradeType.FILL,
        orders__fills__occurred_at__gte=since,
        orders__fills__occurred_at__lte=until,
    )
    return list(bought.annotate(bought_at=Min("orders__fills__occurred_at")).order_by("bought_at", "pk")[:limit])


def known_then(proposals: Sequence[Proposal]) -> dict[UUID, ProposalFacts]:
    """What was frozen of each, by its id; what was proposed before that was done is missing."""
    return ProposalFacts.objects.in_bulk([one.pk for one in proposals])
