"""Pieces near a question by meaning, as far as the index can be asked."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from apps.lessons.index.values import EVERYBODY, Where
from apps.lessons.services import searching
from apps.lessons.types import EntryKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Piece -> cosine, and the space it was asked in ("" where none was)."""

    space: str
    cosines: Mapping[UUID, float]


def nearest(text: str, *, desk_ids: Collection[UUID], limit: int) -> Near:
    """The pieces of these desks and of everybody. Raises as `searching.embed` and `searching.like`."""
    where = Where(words={"desk": [*map(str, desk_ids), EVERYBODY]})
    embedded = searching.embed(text)
    near = searching.like(kind=EntryKind.CHUNK, embedded=embedded, wheres=[where], limit=limit)
    return Near(space=embedded.space, cosines={subject: max(scores.values()) for subject, scores in near.items()})
