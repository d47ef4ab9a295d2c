"""How far the space that is asked now is behind what is remembered."""

from datetime import datetime

from django.db.models import Count, Min

from apps.lessons.models import IndexEntry, IndexSpace
from apps.lessons.types import EntryState


def waiting_for(space: IndexSpace, now: datetime) -> tuple[int, int]:
    """How many texts wait for the space, and for how many seconds the oldest has."""
    rows = IndexEntry.objects.filter(space=space, state=EntryState.PENDING).order_by()
    found = rows.aggregate(pending=Count("pk"), oldest=Min("queued_at"))
    oldest = found["oldest"]
    return found["pending"], 0 if oldest is None else max(0, int((now - oldest).total_seconds()))
