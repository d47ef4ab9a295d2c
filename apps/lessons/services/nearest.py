"""The cases whose texts are most like a text, asked of the vector index, within a bound.

Whatever is wrong with the index or the embeddings makes the answer poorer and never fails the question.
"""

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from apps.common.errors import Misconfigured, Unavailable
from apps.lessons.embeddings.base import EmbeddingProvider
from apps.lessons.index.values import WORDS, Where, collection_of
from apps.lessons.models import IndexSpace
from apps.lessons.recall_types import IndexState, Question
from apps.lessons.services import searching, spaces, tagging
from apps.lessons.services.searching import Embedded
from apps.lessons.types import EntryKind, Filters, Result, TextKind

TEXT_CHARS_MAX: Final = 4_000
THREADS: Final = 4
# A question that hangs this long holds its thread; further ones do not queue up behind it.
HANGS_S: Final = 0.5

logger = logging.getLogger(__name__)
_threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="recall")
_lock = threading.Lock()
_running: dict[int, float] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Cosines of cases to the question, by text; none where `state` is degraded. `provider` where embeddings can be
    used; `weighed_in` names the space that keeps the mistakes its texts speak of, where they hold."""

    state: IndexState
    provider: EmbeddingProvider | None = None
    weighed_in: int | None = None
    thesis: Mapping[UUID, float] = field(default_factory=dict)
    narrative: Mapping[UUID, float] = field(default_factory=dict)

    @property
    def cases(self) -> frozenset[UUID]:
        return frozenset(self.thesis) | frozenset(self.narrative)


def nearest(
    *,
    space: IndexSpace | None,
    waiting: tuple[int, int],
    desk: UUID,
    question: Question,
    limit: int,
    bound_s: float | None,
) -> Near:
    """Up to `limit` cases of the desk for each text and result asked for, in the active space (None where there is
    none), for which so many texts are `waiting`, the oldest for so many seconds. With `bound_s` (seconds) the index has
    only so long: then the answer comes without it."""
    if space is None:
        return Near(state=IndexState(degraded=True, reason="INDEX_MISSING"))
    pending, lag_s = waiting
    collection = collection_of(EntryKind.CASE, space.name)
    state = IndexState(space=space.name, collection=collection, pending=pending, lag_s=lag_s)
    try:
        provider = spaces.provider_of(space)
    except Misconfigured as error:
        logger.error("Recalled without vectors: %s", error)
        return Near(state=_degraded(state, error.code))
    weighed_in = space.pk if space.weighed_by == tagging.maker(provider) else None
    near = Near(state=state, provider=provider, weighed_in=weighed_in)
    embedded = Embedded(space.name, provider.embed_query(question.text[:TEXT_CHARS_MAX]))
    if not embedded.vector.any():
        return near
    try:
        found = _bounded(embedded, _wheres(desk, question), limit, bound_s)
    except (Unavailable, Misconfigured) as error:
        return replace(near, state=_degraded(state, error.code))
    return replace(near, thesis=_scores(found, TextKind.THESIS), narrative=_scores(found, TextKind.NARRATIVE))


def _degraded(state: IndexState, reason: str) -> IndexState:
    return replace(state, degraded=True, reason=reason)


def _scores(found: "Found", name: str) -> dict[UUID, float]:
    return {case: scores[name] for case, scores in found.items() if name in scores}


def _wheres(desk: UUID, question: Question) -> tuple[Where, ...]:
    """The losses by themselves, and the wins: what there is less of is found too."""
    asked: Filters = question.filters
    words = {"desk": [str(desk)]}
    for name in ("product", "asset_class", "side", "regime", "setup"):
        if name in WORDS and (value := getattr(asked, name)):
            words[name] = [value]
    results = (Result.LOST, Result.WON) if question.include_wins else (Result.LOST,)
    return tuple(
        Where(words=words | {"result": [result.value]}, since=asked.since, until=asked.until) for result in results
    )


Found = Mapping[UUID, Mapping[str, float]]


def _bounded(embedded: Embedded, wheres: tuple[Where, ...], limit: int, bound_s: float | None) -> Found:
    if bound_s is None:
        return _search(embedded, wheres, limit)
    with _lock:
        oldest = min(_running.values(), default=None)
    if oldest is not None and time.monotonic() - oldest > HANGS_S:
        raise _slow()
    asked: Future[Found] = _threads.submit(_watched, embedded, wheres, limit)
    try:
        return asked.result(timeout=bound_s)
    except TookTooLong:
        asked.cancel()
        raise _slow() from None


def _watched(embedded: Embedded, wheres: tuple[Where, ...], limit: int) -> Found:
    mine = threading.get_ident()
    with _lock:
        _running[mine] = time.monotonic()
    try:
        return _search(embedded, wheres, limit)
    finally:
        with _lock:
            _running.pop(mine, None)


def _search(embedded: Embedded, wheres: tuple[Where, ...], limit: int) -> Found:
    return searching.like(kind=EntryKind.CASE, embedded=embedded, wheres=wheres, limit=limit)


def _slow() -> Unavailable:
    return Unavailable("INDEX_SLOW", "The vector index took too long.", fix="Ask again later.")
