"""What orders of a connection usually look like: what a proposal's size is held against."""

from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from apps.common.statements import Question, Select
from apps.trades.models import Proposal
from apps.trades.types import ProposalState

USUAL_MAX: Final = 100

_NOTIONALS: Final[Select[Decimal]] = Select(
    lambda connection, since, until: (
        Proposal.objects.filter(
            connection_id=connection,
            created_at__gte=since,
            created_at__lt=until,
            state=ProposalState.APPROVED,
            notional__isnull=False,
        )
        .order_by("-created_at")
        .values_list("notional")[:USUAL_MAX]
    ),
    lambda notional: notional,
    connection=UUID,
    since=datetime,
    until=datetime,
)


def notionals_question(connection_id: UUID, *, since: datetime, until: datetime) -> Question[Decimal]:
    """Notionals (reporting currency) of the newest approved proposals in [since, until), at most a hundred."""
    return _NOTIONALS(connection=connection_id, since=since, until=until)
