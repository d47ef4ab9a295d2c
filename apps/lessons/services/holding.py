"""What policy held against somebody is kept with their name: until it is long past they leave its review to others."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.lessons.models import Recall, RecallItem
from apps.lessons.types import RecallPurpose

# Cases were counted, not ranked.
_NO_SCORE = Decimal(0)


def hold(*, desk_id: UUID, proposal_id: UUID, person_id: UUID, cases: Sequence[UUID], now: datetime) -> None:
    """Keep that these cases were counted against a proposal of this person, or of a key of theirs. In the caller's
    transaction, two statements however many they are."""
    held = Recall.objects.create(
        desk_id=desk_id, purpose=RecallPurpose.POLICY, proposal_id=proposal_id, viewer_id=person_id, asked_at=now
    )
    RecallItem.objects.bulk_create(
        [
            RecallItem(recall=held, case_id=case, rank=place, score=_NO_SCORE)
            for place, case in enumerate(cases, start=1)
        ]
    )
