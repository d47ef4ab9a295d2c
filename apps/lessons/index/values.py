"""Words of the vector index: a point, a question, an answer. Plain values; Qdrant's own types stay in this package."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from apps.common.errors import Unavailable
from apps.lessons.types import EntryKind, TextKind

Vector = NDArray[np.float32]

# Never change it: every point of every index would become an orphan.
NAMESPACE: Final = UUID("6d0f9a4e-6a3f-5f0e-9f57-0b6c1c7a2f11")

# Payload fields that may be asked for; what else a point carries only describes it.
WORDS: Final = ("desk", "result", "product", "asset_class", "side")
CLOSED_AT: Final = "closed_at"
SUBJECT: Final = "subject"
CONTENT_HASH: Final = "content_hash"

# What `desk` says of knowledge that is everybody's.
EVERYBODY: Final = ""

# What each kind is embedded as, and the alias of the collection it lives in.
VECTORS: Final[Mapping[EntryKind, tuple[str, ...]]] = {
    EntryKind.CASE: (TextKind.THESIS, TextKind.NARRATIVE),
    EntryKind.CHUNK: ("text",),
}
ALIASES: Final[Mapping[EntryKind, str]] = {EntryKind.CASE: "lessons", EntryKind.CHUNK: "knowledge"}


def collection_of(kind: EntryKind, space: str) -> str:
    """The collection that holds this kind in this space: knowledge and lessons never share one."""
    return f"{ALIASES[kind]}__{space}"


def point_id(kind: EntryKind, subject: UUID) -> UUID:
    """The one point of a case or chunk, in every collection: writing it again replaces it."""
    return uuid5(NAMESPACE, f"{kind.lower()}:{subject}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A case or chunk as the index holds it. `vectors` by name, each of length one; a text that is empty has none.

    `words` are payload fields of `WORDS`, `closed_at` in seconds since 1970 where there is such a moment.
    """

    kind: EntryKind
    subject: UUID
    content_hash: str
    vectors: Mapping[str, Vector]
    words: Mapping[str, str] = field(default_factory=dict)
    closed_at: float | None = None

    @property
    def id(self) -> UUID:
        """Where it stands."""
        return point_id(self.kind, self.subject)


def payload_of(point: Point) -> dict[str, object]:
    """What stands beside the vectors of a point."""
    payload: dict[str, object] = {SUBJECT: str(point.subject), CONTENT_HASH: point.content_hash, **point.words}
    if point.closed_at is not None:
        payload[CLOSED_AT] = point.closed_at
    return payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What an answer is limited to: each field of `words` has one of its values; closed `since`, before `until`."""

    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if unknown := set(self.words) - set(WORDS):
            raise ValueError(f"The index cannot be asked for {', '.join(sorted(unknown))}.")


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for: the vector by this name that is most like this one, and what the answer is limited to."""

    name: str
    vector: Vector
    where: Where = Where()


@dataclass(frozen=True, slots=True)
class Hit:
    """A case or chunk that is similar: `score` is the cosine."""

    subject: UUID
    score: float


@dataclass(frozen=True, slots=True)
class Standing:
    """A point that stands in the index. `subject` is None where it says none: no point of ours."""

    id: UUID
    subject: UUID | None
    content_hash: str


def missing() -> Unavailable:
    """There is no such collection (yet)."""
    return Unavailable(
        "INDEX_MISSING",
        "The vector index has not been built.",
        fix="It is built by itself within a minute; manage.py rebuild_index does it now.",
    )
