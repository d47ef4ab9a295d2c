"""Whether the vector index holds what SQL says, in both directions, and how it comes to hold it again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db.models import QuerySet

from apps.common.tasks import publish
from apps.lessons import index
from apps.lessons.index.values import Standing, collection_of, point_id
from apps.lessons.models import IndexEntry, IndexLook, IndexSpace
from apps.lessons.selectors.index import active_space, spaces_in_use
from apps.lessons.services import outbox, spaces
from apps.lessons.types import EntryKind, EntryState

if TYPE_CHECKING:
    from apps.lessons.index.vector_store import VectorStore

LOOKS_APART_S: Final = 600
"""Between the two looks at a point that SQL does not know: longer than any worker has an entry."""
PAGE: Final = 1000

Report = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One collection beside SQL. `missing` and `stale` are subjects that SQL calls indexed, `orphans` are points that
    SQL does not know. Points of texts that wait are none of these: they are on their way."""

    collection: str
    kind: EntryKind
    indexed: int
    standing: int
    missing: frozenset[UUID] = field(default_factory=frozenset)
    stale: frozenset[UUID] = field(default_factory=frozenset)
    orphans: frozenset[UUID] = field(default_factory=frozenset)

    @property
    def agrees(self) -> bool:
        """Whether there is nothing to put right."""
        return not (self.missing or self.stale or self.orphans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What a check found and queued: texts that no entry was of, points lost, entries given up and tried again."""

    unqueued: int = 0
    lost: int = 0
    retried: int = 0
    aliases_moved: bool = False
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep did with points that SQL does not know: seen for the first time, deleted at the second; and how many
    texts it queued, whose points are lost or hold what a text said before."""

    noticed: int = 0
    deleted: int = 0
    queued: int = 0


def compare(*, space: IndexSpace, kind: EntryKind, report: Report = lambda points: None) -> Comparison:
    """Every point of a collection beside every entry. Raises what the index raises.

    It reads all ids of the collection: for a command, or where the counts differ. `report` is told how many it has
    read.
    """
    store = index.store()
    collection = collection_of(kind, space.name)
    met: set[UUID] = set()
    stale: set[UUID] = set()
    orphans: set[UUID] = set()
    standing = 0
    for page in _pages(store, collection):
        standing += len(page)
        report(standing)
        entries = _entries_of(space, kind, page)
        for point in page:
            entry = _entry_of(point, kind, entries)
            if entry is None:
                orphans.add(point.id)
                continue
            met.add(entry.subject)
            if entry.state == EntryState.INDEXED and entry.content_hash != point.content_hash:
                stale.add(entry.subject)
    indexed = _subjects(space, kind)
    return Comparison(
        collection=collection,
        kind=kind,
        indexed=len(indexed),
        standing=standing,
        missing=frozenset(indexed - met),
        stale=frozenset(stale),
        orphans=frozenset(orphans),
    )


def check_drift(*, now: datetime) -> Drift:
    """Queue what the index lacks, in every space in use; put the aliases right; drop spaces whose time is over.

    Raises what the index raises; what SQL alone can find is queued before that.
    """
    used = spaces_in_use()
    unqueued = sum(outbox.fill(space=space, now=now) for space in used)
    retried = sum(outbox.retry_failed(space=space, now=now) for space in used)
    store = index.store()
    lost = 0
    for space in used:
        spaces.ensure_collections(store, space)
        for kind in EntryKind:
            if store.count(collection_of(kind, space.name)) < _indexed(space, kind).count():
                lost += repair(space=space, comparison=compare(space=space, kind=kind), now=now)
    active = active_space()
    moved = active is not None and spaces.point_aliases(store, active)
    dropped = tuple(spaces.drop_old(now=now))
    if unqueued or retried or lost:
        publish("lessons.embed_pending")
    return Drift(unqueued=unqueued, lost=lost, retried=retried, aliases_moved=moved, dropped=dropped)


def repair(*, space: IndexSpace, comparison: Comparison, now: datetime) -> int:
    """Queue what is missing or stale again. Returns how many; orphans are the sweep's."""
    subjects = sorted(comparison.missing | comparison.stale)
    return sum(
        outbox.requeue(_indexed(space, comparison.kind).filter(subject__in=subjects[start : start + PAGE]), now=now)
        for start in range(0, len(subjects), PAGE)
    )


def sweep_orphans(*, now: datetime, report: Report = lambda points: None) -> Sweep:
    """Look at every point; delete those that SQL knew neither at a look `LOOKS_APART_S` ago nor now, and queue what is
    lost or out of date: a change of a text that the index lost leaves as many points as there were.

    One look is not enough to delete: between reading the index and reading SQL an entry may be on its way. `report` is
    told how many points it has looked at. Raises what the index raises.
    """
    store = index.store()
    noticed = deleted = queued = seen = 0
    for space in spaces_in_use():
        for kind in EntryKind:
            found = compare(space=space, kind=kind, report=_after(seen, report))
            seen += found.standing
            one, other = _look(store, found, now)
            noticed, deleted = noticed + one, deleted + other
            queued += repair(space=space, comparison=found, now=now)
    if queued:
        publish("lessons.embed_pending")
    return Sweep(noticed=noticed, deleted=deleted, queued=queued)


def _after(before: int, report: Report) -> Report:
    return lambda points: report(before + points)


def _look(store: "VectorStore", found: Comparison, now: datetime) -> tuple[int, int]:
    looks = {look.point: look.seen_at for look in IndexLook.objects.filter(collection=found.collection)}
    due = now - timedelta(seconds=LOOKS_APART_S)
    twice = sorted(point for point in found.orphans if point in looks and looks[point] <= due)
    for start in range(0, len(twice), PAGE):
        store.delete(found.collection, twice[start : start + PAGE])
    over = (set(looks) - found.orphans) | set(twice)
    IndexLook.objects.filter(collection=found.collection, point__in=over).delete()
    first = found.orphans - set(looks)
    IndexLook.objects.bulk_create(
        [IndexLook(collection=found.collection, point=point, seen_at=now) for point in sorted(first)],
        batch_size=PAGE,
        ignore_conflicts=True,
    )
    return len(first), len(twice)


def _pages(store: "VectorStore", collection: str) -> Iterator[list[Standing]]:
    after: UUID | None = None
    while True:
        page, after = store.scroll(collection, after=after)
        yield page
        if after is None:
            return


def _entries_of(space: IndexSpace, kind: EntryKind, page: list[Standing]) -> dict[UUID, IndexEntry]:
    known = IndexEntry.objects.filter(space=space, kind=kind).exclude(state=EntryState.GONE).defer("weights")
    return {
        entry.subject: entry for entry in known.filter(subject__in=[point.subject for point in page if point.subject])
    }


def _entry_of(point: Standing, kind: EntryKind, entries: dict[UUID, IndexEntry]) -> IndexEntry | None:
    """The entry this point is of; None for one that is not where it belongs."""
    if point.subject is None or point.id != point_id(kind, point.subject):
        return None
    return entries.get(point.subject)


def _indexed(space: IndexSpace, kind: EntryKind) -> QuerySet[IndexEntry]:
    return IndexEntry.objects.filter(space=space, kind=kind, state=EntryState.INDEXED)


def _subjects(space: IndexSpace, kind: EntryKind) -> set[UUID]:
    return set(_indexed(space, kind).values_list("subject", flat=True).iterator())
