"""The life of an embedding space: filled beside the one that is asked, checked, put in its place, dropped after a day.

Questions are asked in the space that SQL calls active, of that space's own collection: which vectors a question is made
of and where it is asked can never disagree, whatever dies in between. The aliases follow in one request, for whoever
reads the index from outside (docs/decisions/0018-the-active-space-is-a-row.md).
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.audit.services import events
from apps.audit.types import Actor
from apps.common.errors import Misconfigured
from apps.common.tasks import publish
from apps.lessons import embeddings, index
from apps.lessons.embeddings.base import EmbeddingProvider
from apps.lessons.index.values import ALIASES, VECTORS, Question, collection_of
from apps.lessons.models import Case, IndexEntry, IndexSpace
from apps.lessons.rules.summaries import TEXT_VERSION
from apps.lessons.selectors.index import active_space
from apps.lessons.services import outbox
from apps.lessons.types import EntryKind, EntryState, SpaceState, TextKind

if TYPE_CHECKING:
    from apps.lessons.index.vector_store import VectorStore

logger = logging.getLogger(__name__)

INDEXER: Final = Actor.system("index")
KEPT_S: Final = 86_400
"""How long the space before stays, to go back to without embedding anything."""
CANARIES: Final = 50
CANARY_COSINE_MIN: Final = 0.999


def stream_of(space: IndexSpace) -> str:
    """The audit stream of a space."""
    return f"index:{space.name}"


def ensure(*, now: datetime) -> IndexSpace:
    """The space of the configured provider, in use: active where it is the first, else being filled beside the active.

    A new one begins by queueing all there is.
    Raises Misconfigured: EMBEDDINGS_UNAVAILABLE, or INDEX_SPACE_DIFFERS where a space of that name holds vectors of
    another kind.
    """
    provider = embeddings.provider()
    name = embeddings.space_name(provider, TEXT_VERSION)
    space = IndexSpace.objects.filter(name=name).first()
    if space is not None:
        check(space, provider)
        if space.state != SpaceState.OLD:
            return space
    try:
        with transaction.atomic():
            space = _begin(name, provider, now)
    except IntegrityError:
        return IndexSpace.objects.get(name=name)  # another process was faster, and fills it
    outbox.fill(space=space, now=now)
    return space


def ask_server() -> None:
    """Whether the Qdrant server answers, where one is named. Raises Unavailable or Misconfigured where not: within two
    seconds, and at once for half a minute after that. A folder has one owner, who would have to open it: not asked."""
    if settings.QDRANT_URL:
        index.store().collections()


def check(space: IndexSpace, provider: EmbeddingProvider) -> None:
    """Raises Misconfigured INDEX_SPACE_DIFFERS where the space was filled by something else than this provider."""
    if (space.dim, space.fingerprint) != (provider.dim, embeddings.fingerprint(provider)):
        raise Misconfigured(
            "INDEX_SPACE_DIFFERS",
            f"The vectors of {space.name} were made by other embeddings than the ones installed.",
            fix="Install the version that made them, or run manage.py rebuild_index --drop to make them all anew.",
            stored=f"{space.dim} {space.fingerprint[:12]}",
            installed=f"{provider.dim} {embeddings.fingerprint(provider)[:12]}",
        )


def provider_of(space: IndexSpace) -> EmbeddingProvider:
    """Who makes the vectors of this space. Raises Misconfigured: EMBEDDINGS_UNAVAILABLE, INDEX_SPACE_DIFFERS."""
    provider = embeddings.provider_named(space.provider)
    check(space, provider)
    return provider


def ensure_collections(store: "VectorStore", space: IndexSpace) -> None:
    """The space has its collections, of its dimension. Raises what the store raises."""
    for kind, vectors in VECTORS.items():
        store.ensure_collection(collection_of(kind, space.name), dict.fromkeys(vectors, space.dim))


def prepare(store: "VectorStore", space: IndexSpace) -> None:
    """As `ensure_collections`; and the aliases stand for the active space's. Raises what the store raises."""
    ensure_collections(store, space)
    if space.state == SpaceState.ACTIVE:
        point_aliases(store, space)


def point_aliases(store: "VectorStore", space: IndexSpace) -> bool:
    """The aliases stand for this space's collections; says whether they did not."""
    targets = {alias: collection_of(kind, space.name) for kind, alias in ALIASES.items()}
    standing = store.aliases()
    if all(standing.get(alias) == collection for alias, collection in targets.items()):
        return False
    store.point_aliases(targets)
    return True


def activate_if_complete(space: IndexSpace, *, now: datetime) -> bool:
    """Put a space that is being filled in the active one's place, if it holds all there is. Says whether it did.

    Complete: nothing waits, failed or is missing; the collections hold as many points as SQL says; and some stored
    texts, embedded again, find themselves.
    """
    if space.state != SpaceState.BUILDING:
        return False
    unfinished = IndexEntry.objects.filter(space=space, state__in=(EntryState.PENDING, EntryState.FAILED))
    if unfinished.exists() or outbox.fill(space=space, now=now):
        return False
    store = index.store()
    if (trouble := _trouble(store, space)) is not None:
        logger.warning("The space %s is not put in place: %s", space.name, trouble)
        return False
    # Together, and before SQL: a crash in between leaves the aliases ahead, and the drift check sees to that.
    point_aliases(store, space)
    with transaction.atomic():
        for old in IndexSpace.objects.select_for_update(no_key=True).filter(state=SpaceState.ACTIVE):
            _move(old, SpaceState.OLD, now)
        _move(space, SpaceState.ACTIVE, now)
    return True


def drop_old(*, now: datetime) -> list[str]:
    """Drop the collections and then the rows of spaces replaced a day ago. Returns their names."""
    old = list(IndexSpace.objects.filter(state=SpaceState.OLD, retired_at__lte=now - timedelta(seconds=KEPT_S)))
    for space in old:
        forget(space, now=now)
    return [space.name for space in old]


def forget(space: IndexSpace, *, now: datetime) -> None:
    """Drop a space. The collections first: a crash in between leaves a row, which is dropped again."""
    store = index.store()
    for kind in EntryKind:
        store.drop_collection(collection_of(kind, space.name))
    with transaction.atomic():
        _record(space, "index.space_dropped", now)
        space.delete()


def _begin(name: str, provider: EmbeddingProvider, now: datetime) -> IndexSpace:
    others = IndexSpace.objects.select_for_update(no_key=True).filter(state=SpaceState.BUILDING)
    for unfinished in others.exclude(name=name):
        _move(unfinished, SpaceState.OLD, now)
    state = SpaceState.ACTIVE if active_space() is None else SpaceState.BUILDING
    space, made = IndexSpace.objects.get_or_create(
        name=name,
        defaults={
            "provider": provider.id,
            "model": provider.model,
            "dim": provider.dim,
            "fingerprint": embeddings.fingerprint(provider),
            "state": state,
            "created_at": now,
            "activated_at": now if state is SpaceState.ACTIVE else None,
        },
    )
    if made:
        _record(space, "index.space_begun", now)
    elif space.state == SpaceState.OLD:
        _move(space, state, now)
    publish("lessons.embed_pending")
    return space


def _move(space: IndexSpace, state: SpaceState, now: datetime) -> None:
    space.state = state
    if state is SpaceState.ACTIVE:
        space.activated_at, space.retired_at = now, None
    elif state is SpaceState.OLD:
        space.retired_at = now
    else:
        space.retired_at = None
    space.save(update_fields=["state", "activated_at", "retired_at"])
    _record(space, f"index.space_{state.lower()}", now)


def _record(space: IndexSpace, kind: str, now: datetime) -> None:
    events.record(
        stream=stream_of(space),
        kind=kind,
        actor=INDEXER,
        subject=f"index:{space.name}",
        payload={"provider": space.provider, "model": space.model, "dim": space.dim, "state": space.state},
        now=now,
    )


def _trouble(store: "VectorStore", space: IndexSpace) -> str | None:
    """Why a space that looks complete is not, in words; None where it is."""
    for kind in EntryKind:
        expected = IndexEntry.objects.filter(space=space, kind=kind, state=EntryState.INDEXED).count()
        standing = store.count(collection_of(kind, space.name))
        if standing != expected:
            return f"{ALIASES[kind]} has {standing} points, and {expected} are indexed."
    return _lost_canary(store, space)


def _lost_canary(store: "VectorStore", space: IndexSpace) -> str | None:
    """Texts of the latest cases, embedded again, must find a point of the same text before all others."""
    cases = list(
        Case.objects.exclude(thesis_text="").order_by("-created_at").values_list("pk", "thesis_text")[:CANARIES]
    )
    texts: Sequence[str] = [text for _, text in cases]
    if not texts:
        return None
    vectors = provider_of(space).embed_documents(texts)
    questions = [Question(TextKind.THESIS, vector) for vector in vectors if vector.any()]
    answers = store.search(collection_of(EntryKind.CASE, space.name), questions, limit=1)
    lost = sum(not hits or hits[0].score < CANARY_COSINE_MIN for hits in answers)
    return f"{lost} of {len(answers)} stored texts do not find themselves." if lost else None
