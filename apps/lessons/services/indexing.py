"""Embedding of what waits: taken from the outbox, written to the vector index, marked as done.

A worker may die anywhere in between: an entry is only marked after its point stands, and a point is only ever written
again in its own place.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from apps.common import fault_places as places
from apps.common import faults
from apps.common.errors import AikaError, Unavailable
from apps.lessons import index
from apps.lessons.embeddings.base import EmbeddingProvider
from apps.lessons.index.values import Point, collection_of, point_id
from apps.lessons.models import IndexEntry, IndexSpace
from apps.lessons.selectors.index import spaces_in_use
from apps.lessons.services import outbox, spaces, weighing
from apps.lessons.services.points import points_of
from apps.lessons.types import EntryKind, EntryState

if TYPE_CHECKING:
    from apps.lessons.index.vector_store import VectorStore

logger = logging.getLogger(__name__)

BATCH: Final = 256
TURN_S: Final = 20
"""How long one task goes on; the next message or turn of the clock takes what is left."""
AWAY_S: Final = 30
"""Before an index that was away is tried again: as long as its breaker stays open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What came of one turn: entries done, entries whose text failed, and why it ended early (a code), if it did."""

    done: int = 0
    failed: int = 0
    stopped: str = ""


_Drafted = tuple[IndexEntry, Point | None]


class _Batch(NamedTuple):
    """Entries with what is to stand for them; `written` returns once it does."""

    drafted: Sequence[_Drafted]
    written: Callable[[], None]


def embed_pending(*, clock: Callable[[], datetime], batch: int = BATCH, seconds: float = TURN_S) -> Turn:
    """Embed what is due in every space in use, and put a filled space in its place. May run many times at once.

    An index that is away, or open in another process, ends the turn and changes nothing. Raises Misconfigured where an
    operator must act; what waits goes on waiting.
    """
    until = clock() + timedelta(seconds=seconds)
    spaces.ensure(now=clock())
    total = Turn()
    for space in spaces_in_use():
        turn = _turn(space, clock, batch, until)
        total = replace(
            total, done=total.done + turn.done, failed=total.failed + turn.failed, stopped=total.stopped or turn.stopped
        )
    return total


def _turn(space: IndexSpace, clock: Callable[[], datetime], batch: int, until: datetime) -> Turn:
    try:
        if not IndexEntry.objects.filter(space=space, state=EntryState.INDEXED).exists():
            # Nothing to find is an answer; that there is no collection would be none.
            spaces.prepare(index.store(), space)
        turn = drain(space=space, clock=clock, batch=batch, until=until)
        if not turn.stopped:
            spaces.activate_if_complete(space, now=clock())
            weighing.catch_up(space=space, provider=spaces.provider_of(space), clock=clock, until=until)
    except Unavailable as away:
        logger.warning("What waits for the index goes on waiting: %s", away)
        return Turn(stopped=away.code)
    return turn


def drain(
    *,
    space: IndexSpace,
    clock: Callable[[], datetime],
    batch: int = BATCH,
    until: datetime | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Turn:
    """Embed what is due in this space, batch after batch, until nothing is due or it is `until`.

    `progress` hears how many are done so far. Raises as `embed_pending` does.
    """
    total = Turn()
    try:
        store = index.store()
    except Unavailable as away:
        return Turn(stopped=away.code)  # before anything is taken: another process has the index, and takes it itself
    provider: EmbeddingProvider | None = None
    begun: deque[_Batch] = deque()
    with _Writer(store, space) as writer:
        while True:
            in_time = until is None or clock() < until
            entries = outbox.claim(space=space, limit=batch, now=clock()) if in_time else []
            if not entries and not begun:
                return total
            ahead = writer.ahead if entries else 0
            try:
                if entries:
                    if provider is None:
                        provider = spaces.provider_of(space)
                        spaces.ensure_collections(store, space)
                    drafted, failed = _drafted(entries, provider, clock)
                    total = replace(total, failed=total.failed + failed)
                    begun.append(writer.begin(drafted))
                    entries = []
                while len(begun) > ahead:
                    total = replace(total, done=total.done + _settle(begun[0], clock))
                    begun.popleft()
            except AikaError as error:
                held = [*entries, *(entry for one in begun for entry, _ in one.drafted)]
                outbox.postpone(claimed=held, error=str(error), delay_s=AWAY_S, now=clock())
                if not isinstance(error, Unavailable):
                    raise
                logger.warning("What waits for the index goes on waiting: %s", error)
                return replace(total, stopped=error.code)
            progress(total.done)


def _drafted(
    entries: Sequence[IndexEntry], provider: EmbeddingProvider, clock: Callable[[], datetime]
) -> tuple[list[_Drafted], int]:
    """Each entry with its point, and how many have none since their text cannot be embedded. Such a text fails alone:
    where a batch breaks, each of it is tried by itself."""
    try:
        return list(zip(entries, points_of(entries, provider), strict=True)), 0
    except AikaError:
        raise
    except Exception as error:
        # A model's library may raise anything over a text; one that it cannot take must not keep the others waiting.
        if len(entries) > 1:
            parts = [_drafted([entry], provider, clock) for entry in entries]
            return [one for drafted, _ in parts for one in drafted], sum(failed for _, failed in parts)
        logger.exception("A text cannot be embedded: %s %s", entries[0].kind, entries[0].subject)
        outbox.fail(entry=entries[0], error=f"{type(error).__name__}: {error}", now=clock())
        return [], 1


class _Writer:
    """Writes batches in their order; beside what this process does meanwhile, where something else does the work. No
    more than `ahead` batches are begun and not marked."""

    def __init__(self, store: "VectorStore", space: IndexSpace) -> None:
        self._store = store
        self._space = space
        self.ahead = 1 if store.works_elsewhere else 0
        self._thread = ThreadPoolExecutor(1, "index-writer") if self.ahead else None

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            # What is on its way arrives: an entry that is let go must not be overtaken by what stood here before.
            self._thread.shutdown(wait=True, cancel_futures=True)

    def begin(self, drafted: Sequence[_Drafted]) -> _Batch:
        """The batch is on its way; whoever settles it waits, and hears what went wrong."""
        if self._thread is not None:
            return _Batch(drafted, self._thread.submit(self._write, drafted).result)
        return _Batch(drafted, partial(self._write, drafted))

    def _write(self, drafted: Sequence[_Drafted]) -> None:
        with faults.call(places.INDEX_WRITE):
            _write(self._store, self._space, [entry for entry, _ in drafted], [point for _, point in drafted])


def _settle(batch: _Batch, clock: Callable[[], datetime]) -> int:
    """Wait until it is written, and mark it. Returns how many are done; raises what writing raised."""
    batch.written()
    hashes = {entry.pk: point.content_hash if point else "" for entry, point in batch.drafted}
    return outbox.settle(claimed=[entry for entry, _ in batch.drafted], written=hashes, now=clock())


def _write(
    store: "VectorStore", space: IndexSpace, entries: Sequence[IndexEntry], points: Sequence[Point | None]
) -> None:
    for kind in EntryKind:
        collection = collection_of(kind, space.name)
        store.upsert(collection, [point for point in points if point is not None and point.kind == kind])
        gone = [entry for entry, point in zip(entries, points, strict=True) if point is None and entry.kind == kind]
        store.delete(collection, [point_id(kind, entry.subject) for entry in gone])
