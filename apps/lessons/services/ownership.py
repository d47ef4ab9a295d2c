"""Who leaves a lesson to others: whoever asked for the trade, and whoever it was held against."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from apps.common.errors import Forbidden
from apps.lessons.models import Case, Recall, RecallItem
from apps.lessons.selectors.reviewing import stood_in_the_way_of
from apps.lessons.types import RecallPurpose

if TYPE_CHECKING:
    from apps.accounts.models import User

STOOD_IN_THE_WAY_FOR: Final = timedelta(days=90)
"""For how long after a decision that counted a lesson against a proposal its proposer stays out of the review: no
proposal waits for more than days, and who was told no tries again for weeks. It is as far back as "usual" goes."""


def check_not_own(case: Case, person: "User", *, now: datetime) -> None:
    """Raises Forbidden LESSON_OWN for whoever has an interest in this case: by themselves, or by a key of theirs."""
    if case.proposer_id == person.pk:
        raise _own("You, or a key of yours, asked for this trade. Somebody else must review what it teaches.")
    if stood_in_the_way_of(case_id=case.pk, person_id=person.pk, since=now - STOOD_IN_THE_WAY_FOR):
        raise _own("This lesson was held against a proposal of yours. Somebody else must review it.")


def left_to_others(proposers: Mapping[UUID, UUID | None], *, person_id: UUID, now: datetime) -> frozenset[UUID]:
    """Of these cases (with who asked for the trade) the ones `check_not_own` refuses this person: one query."""
    held = Recall.objects.filter(
        purpose=RecallPurpose.POLICY, viewer_id=person_id, asked_at__gte=now - STOOD_IN_THE_WAY_FOR
    )
    held_against = RecallItem.objects.filter(case__in=proposers, recall__in=held).order_by()
    own = {case for case, proposer in proposers.items() if proposer == person_id}
    return frozenset(own.union(held_against.values_list("case_id", flat=True)))


def _own(message: str) -> Forbidden:
    return Forbidden("LESSON_OWN", message, fix="Ask another approver to look at it.")
