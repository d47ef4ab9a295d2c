"""What an answer says of the space it was asked in."""

from datetime import datetime

from django.db.models import Count, Min

from apps.lessons.index.values import collection_of
from apps.lessons.models import IndexEntry, IndexSpace
from apps.lessons.recall_types import IndexState
from apps.lessons.selectors.index import active_space
from apps.lessons.types import EntryKind, EntryState


def asked_space() -> IndexSpace | None:
    """None before the first one was made."""
    return active_space()


def state_of(space: IndexSpace, now: datetime) -> IndexState:
    """Its name, its collection of cases, how many texts wait for it, and for how long the oldest has."""
    waiting = IndexEntry.objects.filter(space=space, state=EntryState.PENDING).order_by()
    found = waiting.aggregate(pending=Count("pk"), oldest=Min("queued_at"))
    oldest = found["oldest"]
    return IndexState(
        space=space.name,
        collection=collection_of(EntryKind.CASE, space.name),
        pending=found["pending"],
        lag_s=0 if oldest is None else max(0, int((now - oldest).total_seconds())),
    )
