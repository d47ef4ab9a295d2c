"""What must get into the vector index is written down beside what it is about; a worker takes it from there.

An entry is worked on by one worker at a time. It is marked as done only where what was written is what is true now, so
that a text that changed meanwhile is written again.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from apps.common import fault_places as places
from apps.common import faults
from apps.common.tasks import publish
from apps.lessons.models import Case, IndexEntry, IndexSpace, KnowledgeChunk
from apps.lessons.selectors.index import spaces_in_use
from apps.lessons.types import EntryKind, EntryState

CLAIMED_S: Final = 60
"""How long a worker may take for a batch. One that died holds its entries no longer."""
ATTEMPTS_MAX: Final = 8
RETRY_S: Final = 10
"""Before the second attempt; before each further one twice as long as before the last."""
FAILED_RETRY_S: Final = 3600
PAGE: Final = 1000
ERROR_CHARS_MAX: Final = 300
# What whoever works on an entry looks at. All of each, here and in `settle`, takes nearly twice as long.
_OF_CLAIMED: Final = ("kind", "subject", "attempts", "claimed_until", "queued_at")


def enqueue(*, kind: EntryKind, subject: UUID, content_hash: str, now: datetime) -> int:
    """Say, in the caller's transaction, that this text is to be embedded anew in every space that is in use.

    `content_hash` is of all that the index holds of it. Returns in how many spaces. A text that waits or failed is to
    be tried at once. Without any space nothing is written: the first space begins by taking in all there is.
    """
    return enqueue_all(kind=kind, content_hashes={subject: content_hash}, now=now)


def enqueue_all(*, kind: EntryKind, content_hashes: Mapping[UUID, str], now: datetime) -> int:
    """As `enqueue`, of many texts at once: subject -> hash of its content."""
    spaces = spaces_in_use()
    if spaces and content_hashes:
        for space in spaces:
            _queue(space=space, kind=kind, content_hashes=content_hashes, now=now)
        publish("lessons.embed_pending")
    return len(spaces) * len(content_hashes)


def _queue(*, space: IndexSpace, kind: EntryKind, content_hashes: Mapping[UUID, str], now: datetime) -> None:
    # `claimed_until` stays: while a worker has the entry no other may, and that one will see that the hash moved.
    IndexEntry.objects.bulk_create(
        [
            IndexEntry(kind=kind, subject=subject, space=space, content_hash=content, next_try_at=now, queued_at=now)
            for subject, content in content_hashes.items()
        ],
        batch_size=500,
        update_conflicts=True,
        unique_fields=["kind", "subject", "space"],
        update_fields=["content_hash", "state", "attempts", "next_try_at", "error", "queued_at", "weights"],
    )


def lacking(space: IndexSpace, kind: EntryKind, *, done: bool = False) -> "QuerySet[Case] | QuerySet[KnowledgeChunk]":
    """Rows without an entry of their present content in the space; with `done`, without one that is through."""
    entries = IndexEntry.objects.filter(space=space, kind=kind, subject=OuterRef("pk"))
    if done:
        entries = entries.filter(state__in=(EntryState.INDEXED, EntryState.GONE))
    if kind is EntryKind.CASE:
        return Case.objects.filter(~Exists(entries.filter(content_hash=OuterRef("content_hash")))).order_by("pk")
    # A chunk that is current always has a text, so it is not gone.
    known = entries.filter(content_hash=OuterRef("digest")).exclude(state=EntryState.GONE)
    return KnowledgeChunk.objects.filter(~Exists(known), current=True).order_by("pk")


def outlived(space: IndexSpace) -> QuerySet[IndexEntry]:
    """Entries whose points stand although their row is gone or out of date."""
    indexed = IndexEntry.objects.filter(space=space, state=EntryState.INDEXED)
    current = KnowledgeChunk.objects.filter(pk=OuterRef("subject"), current=True)
    case = Case.objects.filter(pk=OuterRef("subject"))
    return indexed.filter(Q(~Exists(current), kind=EntryKind.CHUNK) | Q(~Exists(case), kind=EntryKind.CASE))


def fill(*, space: IndexSpace, now: datetime) -> int:
    """Queue whatever the space lacks: new rows, changed rows, points of rows that are gone. Returns how many.

    Page by page in the order of the ids, each its own transaction: it may end anywhere, and is begun again.
    """
    filled = 0
    for kind in EntryKind:
        name = "content_hash" if kind is EntryKind.CASE else "digest"
        after: UUID | None = None
        while True:
            rows = lacking(space, kind)
            page = dict((rows if after is None else rows.filter(pk__gt=after)).values_list("pk", name)[:PAGE])
            if not page:
                break
            with faults.commit(places.INDEX_FILL):
                _queue(space=space, kind=kind, content_hashes=page, now=now)
            filled += len(page)
            after = max(page)
    return filled + requeue(outlived(space), now=now)


def requeue(entries: QuerySet[IndexEntry], *, now: datetime) -> int:
    """They wait again, at once and from the first attempt. Returns how many."""
    return entries.update(state=EntryState.PENDING, attempts=0, next_try_at=now, error="", queued_at=now)


def claim(*, space: IndexSpace, limit: int, now: datetime) -> list[IndexEntry]:
    """Up to `limit` entries that are due, for the caller alone until `CLAIMED_S` from now.

    Two workers never get the same one: on PostgreSQL each steps over what the other has locked; on SQLite a transaction
    begins by taking the one right to write.
    """
    until = now + timedelta(seconds=CLAIMED_S)
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    due = IndexEntry.objects.filter(free, state=EntryState.PENDING, space=space, next_try_at__lte=now)
    with faults.commit(places.INDEX_CLAIM):
        claimed = list(
            due.order_by("next_try_at").only(*_OF_CLAIMED).select_for_update(skip_locked=True, no_key=True)[:limit]
        )
        mine = IndexEntry.objects.filter(pk__in=[entry.pk for entry in claimed])
        mine.update(claimed_until=until, attempts=F("attempts") + 1)
    for entry in claimed:
        entry.claimed_until = until
        entry.attempts += 1
    return claimed


def settle(*, claimed: Collection[IndexEntry], written: Mapping[int, str], now: datetime) -> int:
    """Mark what was written: entry -> hash of what now stands in the index, "" where nothing is to stand there.

    An entry whose text changed meanwhile waits again, at once. Returns how many are done.
    """
    with faults.commit(places.INDEX_SETTLE):
        rows = IndexEntry.objects.select_for_update(no_key=True).filter(pk__in=list(written), state=EntryState.PENDING)
        # Columns and no instances: a rebuild asks this of everything there is.
        columns = rows.order_by("pk").values_list("pk", "claimed_until", "queued_at", "content_hash")
        mine = {pk: (claimed_until, queued_at, content) for pk, claimed_until, queued_at, content in columns}
        taken = {entry.pk: entry for entry in claimed}
        still = [pk for pk, (claimed_until, _, _) in mine.items() if claimed_until == taken[pk].claimed_until]
        gone = [pk for pk in still if not written[pk] and mine[pk][1] == taken[pk].queued_at]
        done = [pk for pk in still if written[pk] and written[pk] == mine[pk][2]]
        moved = sorted({*still} - {*gone, *done})
        ended = {"claimed_until": None, "error": "", "indexed_at": now}
        IndexEntry.objects.filter(pk__in=done).update(state=EntryState.INDEXED, **ended)
        IndexEntry.objects.filter(pk__in=gone).update(state=EntryState.GONE, **ended)
        IndexEntry.objects.filter(pk__in=moved).update(claimed_until=None, next_try_at=now)
        # Taken from us after our time was up: what we wrote may be older than what its next worker wrote.
        requeue(IndexEntry.objects.filter(pk__in=set(written) - set(still)), now=now)
    return len(done) + len(gone)


def postpone(*, claimed: Collection[IndexEntry], error: str, delay_s: int, now: datetime) -> None:
    """The index was away, which says nothing of the texts: they wait, and it counts as no attempt."""
    until = {entry.claimed_until for entry in claimed}
    mine = IndexEntry.objects.filter(pk__in=[entry.pk for entry in claimed], claimed_until__in=until)
    mine.filter(state=EntryState.PENDING).update(
        claimed_until=None,
        attempts=F("attempts") - 1,
        next_try_at=now + timedelta(seconds=delay_s),
        error=error[:ERROR_CHARS_MAX],
    )


def fail(*, entry: IndexEntry, error: str, now: datetime) -> None:
    """Its text could not be embedded: tried again later, each time later, and given up after `ATTEMPTS_MAX`."""
    given_up = entry.attempts >= ATTEMPTS_MAX
    delay_s = FAILED_RETRY_S if given_up else RETRY_S * 2 ** (entry.attempts - 1)
    IndexEntry.objects.filter(pk=entry.pk, claimed_until=entry.claimed_until).update(
        state=EntryState.FAILED if given_up else EntryState.PENDING,
        claimed_until=None,
        next_try_at=now + timedelta(seconds=delay_s),
        error=error[:ERROR_CHARS_MAX],
    )


def retry_failed(*, space: IndexSpace, now: datetime) -> int:
    """What was given up is tried again an hour later: what it failed of may have been put right."""
    failed = IndexEntry.objects.filter(space=space, state=EntryState.FAILED, next_try_at__lte=now)
    return requeue(failed, now=now)
