"""Which embedding spaces there are, and how far the index is behind what is remembered."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q

from apps.lessons.models import IndexEntry, IndexSpace
from apps.lessons.types import EntryState, SpaceState

IN_USE = (SpaceState.ACTIVE, SpaceState.BUILDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexLag:
    """How many texts wait for the index, for how long the oldest does, and how many were given up.

    `space` is the one that is asked, empty while there is none; `building` the one being filled beside it.
    """

    pending: int
    oldest_at: datetime | None
    oldest_age_s: int
    failed: int
    space: str
    building: str


def active_space() -> IndexSpace | None:
    """The space that questions are asked in; None before the first one was made."""
    return IndexSpace.objects.filter(state=SpaceState.ACTIVE).first()


def spaces_in_use() -> list[IndexSpace]:
    """Every space that new texts are written to, the active one first."""
    return list(IndexSpace.objects.filter(state__in=IN_USE).order_by("state", "pk"))


def index_lag(now: datetime) -> IndexLag:
    """How far the index is behind, of all spaces in use."""
    names = {space.state: space.name for space in IndexSpace.objects.filter(state__in=IN_USE)}
    waiting = IndexEntry.objects.filter(
        space__state__in=IN_USE, state__in=(EntryState.PENDING, EntryState.FAILED)
    ).aggregate(
        pending=Count("pk", filter=Q(state=EntryState.PENDING)),
        oldest=Min("queued_at", filter=Q(state=EntryState.PENDING)),
        failed=Count("pk", filter=Q(state=EntryState.FAILED)),
    )
    oldest = waiting["oldest"]
    return IndexLag(
        pending=waiting["pending"],
        oldest_at=oldest,
        oldest_age_s=0 if oldest is None else max(0, round((now - oldest).total_seconds())),
        failed=waiting["failed"],
        space=names.get(SpaceState.ACTIVE, ""),
        building=names.get(SpaceState.BUILDING, ""),
    )
