"""What orders of a connection usually look like: what a proposal's size is held against."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

from apps.common.statements import Question, Select
from apps.trades.models import Proposal
from apps.trades.types import ProposalState

USUAL_MAX: Final = 100


class Approved(NamedTuple):
    """What an approved proposal came to, in reporting currency, and when it was made."""

    notional: Decimal
    created_at: datetime


# How far back is left to `notionals_since`. A database without statistics, fresh or restored, takes a span of time to
# hold one row, and would read all that was proposed in it instead of what was approved.
_NEWEST: Final[Select[Approved]] = Select(
    lambda connection, until: (
        Proposal.objects.filter(
            connection_id=connection, created_at__lt=until, state=ProposalState.APPROVED, notional__isnull=False
        )
        .order_by("-created_at")
        .values_list(*Approved._fields)[:USUAL_MAX]
    ),
    Approved,
    connection=UUID,
    until=datetime,
)


def approved_question(connection_id: UUID, *, until: datetime) -> Question[Approved]:
    """The newest proposals made before `until` and approved, at most a hundred."""
    return _NEWEST(connection=connection_id, until=until)


def notionals_since(newest: Iterable[Approved], since: datetime) -> list[Decimal]:
    """Notionals (reporting currency) of those that were made at `since` or later."""
    return [one.notional for one in newest if one.created_at >= since]
