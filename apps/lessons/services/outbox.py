"""What must get into the vector index is written down beside what it is about; a worker takes it from there."""

from datetime import datetime
from uuid import UUID

from apps.common.tasks import publish
from apps.lessons.models import IndexEntry, IndexSpace
from apps.lessons.types import EntryKind, SpaceState


def enqueue(*, kind: EntryKind, subject: UUID, content_hash: str, now: datetime) -> int:
    """Say, in the caller's transaction, that this text is to be embedded anew in every space that is in use.

    Returns in how many. A text that waits or failed is to be tried at once. Without any space nothing is written: the
    first space begins by taking in all there is.
    """
    spaces = IndexSpace.objects.filter(state__in=(SpaceState.ACTIVE, SpaceState.BUILDING)).order_by("pk")
    entries = [
        IndexEntry(kind=kind, subject=subject, space=space, content_hash=content_hash, next_try_at=now, created_at=now)
        for space in spaces
    ]
    if entries:
        IndexEntry.objects.bulk_create(
            entries,
            update_conflicts=True,
            unique_fields=["kind", "subject", "space"],
            update_fields=["content_hash", "state", "attempts", "next_try_at", "error"],
        )
        publish("lessons.embed_pending")
    return len(entries)
