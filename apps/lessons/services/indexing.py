"""Embedding of what waits: taken from the outbox, written to the vector index, marked as done.

A worker may die anywhere in between: an entry is only marked after its point stands, and a point is only ever written
again in its own place.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

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
    while until is None or clock() < until:
        entries = outbox.claim(space=space, limit=batch, now=clock())
        if not entries:
            break
        try:
            if provider is None:
                provider = spaces.provider_of(space)
                spaces.ensure_collections(store, space)
            turn = _embed(store, provider, space, entries, clock)
        except AikaError as error:
            outbox.postpone(claimed=entries, error=str(error), delay_s=AWAY_S, now=clock())
            if not isinstance(error, Unavailable):
                raise
            logger.warning("What waits for the index goes on waiting: %s", error)
            return replace(total, stopped=error.code)
        total = replace(total, done=total.done + turn.done, failed=total.failed + turn.failed)
        progress(total.done)
    return total


def _embed(
    store: "VectorStore",
    provider: EmbeddingProvider,
    space: IndexSpace,
    entries: Sequence[IndexEntry],
    clock: Callable[[], datetime],
) -> Turn:
    """One batch. A text that cannot be embedded fails alone: where a batch breaks, each of it is tried by itself."""
    try:
        points = points_of(entries, provider)
    except AikaError:
        raise
    except Exception as error:
        # A model's library may raise anything over a text; one that it cannot take must not keep the others waiting.
        if len(entries) > 1:
            turns = [_embed(store, provider, space, [entry], clock) for entry in entries]
            return Turn(done=sum(turn.done for turn in turns), failed=sum(turn.failed for turn in turns))
        logger.exception("A text cannot be embedded: %s %s", entries[0].kind, entries[0].subject)
        outbox.fail(entry=entries[0], error=f"{type(error).__name__}: {error}", now=clock())
        return Turn(failed=1)
    with faults.call(places.INDEX_WRITE):
        _write(store, space, entries, points)
    written = {entry.pk: point.content_hash if point else "" for entry, point in zip(entries, points, strict=True)}
    return Turn(done=outbox.settle(claimed=entries, written=written, now=clock()))


def _write(
    store: "VectorStore", space: IndexSpace, entries: Sequence[IndexEntry], points: Sequence[Point | None]
) -> None:
    for kind in EntryKind:
        collection = collection_of(kind, space.name)
        store.upsert(collection, [point for point in points if point is not None and point.kind == kind])
        gone = [entry for entry, point in zip(entries, points, strict=True) if point is None and entry.kind == kind]
        store.delete(collection, [point_id(kind, entry.subject) for entry in gone])
