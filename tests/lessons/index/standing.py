"""What stands in the index, and what should, as tests compare them."""

from collections import Counter
from uuid import UUID

from apps.lessons import index
from apps.lessons.index.values import collection_of
from apps.lessons.models import Case, IndexEntry, IndexSpace
from apps.lessons.selectors.index import active_space
from apps.lessons.types import EntryKind, EntryState


def active() -> IndexSpace:
    space = active_space()
    assert space is not None
    return space


def points(space: IndexSpace, kind: EntryKind = EntryKind.CASE) -> dict[UUID | None, str]:
    """Every point's subject and the hash it was written with; a subject that stands twice is an error."""
    found: list[tuple[UUID | None, str]] = []
    after = None
    while True:
        page, after = index.store().scroll(collection_of(kind, space.name), after=after)
        found += [(point.subject, point.content_hash) for point in page]
        if after is None:
            break
    assert max(Counter(subject for subject, _ in found).values(), default=1) == 1
    return dict(found)


def states(space: IndexSpace) -> dict[str, int]:
    return dict(Counter(IndexEntry.objects.filter(space=space).values_list("state", flat=True)))


def is_right(space: IndexSpace) -> bool:
    """Whether every case stands in the index exactly as it is now, and nothing else does."""
    cases = dict(Case.objects.values_list("pk", "content_hash"))
    return points(space) == cases and set(states(space)) <= {EntryState.INDEXED}
