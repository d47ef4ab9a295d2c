"""Making the index anew from the database: everything waits again, and is embedded here and now, or by whoever can.

A rebuild is the ordinary way of a text into the index, for all of them. It may die anywhere: what it had not done
waits, and the workers take it from there.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from apps.common.errors import NotFound, Unavailable
from apps.common.tasks import publish
from apps.lessons import embeddings, index
from apps.lessons.models import Case, IndexEntry, IndexSpace, KnowledgeChunk
from apps.lessons.rules.summaries import TEXT_VERSION
from apps.lessons.services import index_checks, indexing, outbox, spaces
from apps.lessons.services.index_checks import Comparison
from apps.lessons.services.indexing import Turn
from apps.lessons.types import EntryKind, EntryState

WAIT_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a rebuild is about: texts in all, and how many of them it is to embed."""

    space: str
    texts: int
    due: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild came to. `queued` where nothing was embedded here: the process that has the index does it."""

    space: str
    state: str
    done: int = 0
    failed: int = 0
    waiting: int = 0
    queued: bool = False
    stopped: str = ""
    activated: bool = False


def space_named(*, name: str, now: datetime) -> IndexSpace:
    """That space, or the configured provider's where the name is empty. Raises NotFound INDEX_SPACE_UNKNOWN, and what
    `spaces.ensure` raises."""
    if not name:
        return spaces.ensure(now=now)
    space = IndexSpace.objects.filter(name=name).first()
    if space is None:
        known = ", ".join(IndexSpace.objects.values_list("name", flat=True)) or "none yet"
        raise NotFound("INDEX_SPACE_UNKNOWN", f"There is no space {name}.", fix=f"There are: {known}.")
    return space


def plan(*, space: IndexSpace, resume: bool) -> Plan:
    """What `rebuild` would do. Writes nothing."""
    texts = Case.objects.count() + KnowledgeChunk.objects.filter(current=True).count()
    lacking = sum(outbox.lacking(space, kind, done=True).count() for kind in EntryKind)
    return Plan(space=space.name, texts=texts, due=lacking if resume else texts)


def rebuild(
    *,
    space: IndexSpace,
    resume: bool,
    batch: int,
    clock: Callable[[], datetime],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Rebuilt:
    """Embed everything of this space, or with `resume` what is not done yet; then put a filled space in its place.

    `progress` hears how many of how many. What stands in the index is replaced in its place, so that questions are
    answered meanwhile. Raises as `indexing.embed_pending` does.
    """
    outbox.fill(space=space, now=clock())
    entries = IndexEntry.objects.filter(space=space).exclude(state=EntryState.GONE)
    outbox.requeue(entries.exclude(state=EntryState.INDEXED) if resume else entries, now=clock())
    try:
        index.store()
    except Unavailable as away:
        publish("lessons.embed_pending")
        return Rebuilt(space=space.name, state=space.state, waiting=_waiting(space), queued=True, stopped=away.code)
    total = _waiting(space)
    turns: list[Turn] = []

    def tell(more: int) -> None:
        progress(sum(turn.done for turn in turns) + more, total)

    while True:
        turn = indexing.drain(space=space, clock=clock, batch=batch, progress=tell)
        turns.append(turn)
        if turn.stopped or not _claimed(space):
            break
        # Other workers have the rest, or had it and died: then it is free a minute after they took it.
        time.sleep(WAIT_S)
    publish("lessons.embed_pending")  # what its texts speak of is found afterwards
    activated = not turn.stopped and spaces.activate_if_complete(space, now=clock())
    return Rebuilt(
        space=space.name,
        state=space.state,
        done=sum(turn.done for turn in turns),
        failed=sum(turn.failed for turn in turns),
        waiting=_waiting(space),
        stopped=turn.stopped,
        activated=activated,
    )


def drop(*, name: str, now: datetime) -> IndexSpace:
    """Forget a space with all its points and begin it again, empty; the configured provider's where the name is empty.

    Until it is filled, questions are answered without it. Raises what the index raises.
    """
    chosen = name or embeddings.space_name(embeddings.provider(), TEXT_VERSION)
    space = IndexSpace.objects.filter(name=chosen).first()
    if space is not None:
        spaces.forget(space, now=now)
    return spaces.ensure(now=now)


def verify(*, space: IndexSpace) -> list[Comparison]:
    """The space's collections beside SQL, in both directions. Raises what the index raises."""
    return [index_checks.compare(space=space, kind=kind) for kind in EntryKind]


def _waiting(space: IndexSpace) -> int:
    return IndexEntry.objects.filter(space=space, state=EntryState.PENDING).count()


def _claimed(space: IndexSpace) -> bool:
    return IndexEntry.objects.filter(space=space, state=EntryState.PENDING, claimed_until__isnull=False).exists()
