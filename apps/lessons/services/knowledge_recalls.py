"""Questions to the documents are kept with what they were answered, for a year."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction

from apps.common.decimals import decimal_text
from apps.lessons.models import KnowledgeRecall, KnowledgeRecallItem
from apps.lessons.recall_types import Viewer
from apps.lessons.rules.kept_scores import kept_score
from apps.lessons.rules.passages import Passage

KEPT_FOR: Final = timedelta(days=365)
"""Unlike a recalled lesson, no decision and no figure goes by one later."""
FORGOTTEN_AT_ONCE: Final = 1_000


def keep(
    *,
    text: str,
    passages: Sequence[Passage],
    desk_id: UUID | None,
    viewer: Viewer,
    space: str,
    degraded: bool,
    now: datetime,
) -> KnowledgeRecall:
    """One question with its answer, best first, in a transaction of its own."""
    kept = KnowledgeRecall(
        desk_id=desk_id,
        viewer_id=viewer.person_id,
        viewer_key=viewer.key[:80],
        text=text,
        space=space,
        degraded=degraded,
        asked_at=now,
    )
    items = [
        KnowledgeRecallItem(
            recall=kept,
            chunk_id=one.chunk,
            rank=place,
            score=kept_score(one.score),
            components={
                "meaning": None if one.meaning is None else decimal_text(kept_score(one.meaning)),
                "keywords": decimal_text(kept_score(one.keywords)),
                "coverage": decimal_text(kept_score(one.coverage)),
            },
        )
        for place, one in enumerate(passages, start=1)
    ]
    with transaction.atomic():
        kept.save(force_insert=True)
        KnowledgeRecallItem.objects.bulk_create(items)
    return kept


def forget(*, now: datetime) -> int:
    """Delete questions older than a year with their answers, so many at a time. Returns how many questions."""
    over = KnowledgeRecall.objects.filter(asked_at__lt=now - KEPT_FOR).order_by("asked_at", "id")
    forgotten = 0
    while page := list(over.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE]):
        KnowledgeRecall.objects.filter(pk__in=page).delete()
        forgotten += len(page)
    return forgotten
