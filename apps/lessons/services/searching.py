"""Questions to the vector index: what is like this text. Whoever asks reads the rows again: a point is only a copy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from apps.lessons import index
from apps.lessons.embeddings.base import Vector
from apps.lessons.index.values import VECTORS, Question, Where, collection_of, missing
from apps.lessons.selectors.index import active_space
from apps.lessons.services import spaces
from apps.lessons.types import EntryKind


@dataclass(frozen=True, slots=True)
class Embedded:
    """A text as a vector of the space that questions are asked in; all zeros where nothing of it can be embedded."""

    space: str
    vector: Vector


def embed(text: str) -> Embedded:
    """The text in the active space. Raises Unavailable INDEX_MISSING before there is one, and Misconfigured
    (EMBEDDINGS_UNAVAILABLE, INDEX_SPACE_DIFFERS)."""
    space = active_space()
    if space is None:
        raise missing()
    return Embedded(space.name, spaces.provider_of(space).embed_query(text))


def like(
    *, kind: EntryKind, embedded: Embedded, wheres: Sequence[Where], limit: int
) -> Mapping[UUID, Mapping[str, float]]:
    """Up to `limit` subjects of each of `wheres` by each of their texts: subject -> name of the text -> cosine, where
    it was among these.

    One request. Raises Unavailable (INDEX_DOWN, INDEX_HELD, INDEX_MISSING) for the caller to go on without the index.
    """
    if not embedded.vector.any():
        return {}
    questions = [Question(name, embedded.vector, where) for where in wheres for name in VECTORS[kind]]
    answers = index.store().search(collection_of(kind, embedded.space), questions, limit=limit)
    found: dict[UUID, dict[str, float]] = {}
    for one, hits in zip(questions, answers, strict=True):
        for hit in hits:
            found.setdefault(hit.subject, {})[one.name] = hit.score
    return found
