"""Pieces near a question by meaning, as far as the index can be asked."""

from collections.abc import Collection, Mapping
from uuid import UUID

from apps.lessons.index.values import EVERYBODY, Where
from apps.lessons.services import searching
from apps.lessons.types import EntryKind


def nearest(text: str, *, desk_ids: Collection[UUID], limit: int) -> Mapping[UUID, float]:
    """Piece -> cosine, of these desks and of everybody. Raises as `searching.embed` and `searching.like`."""
    where = Where(words={"desk": [*map(str, desk_ids), EVERYBODY]})
    near = searching.like(kind=EntryKind.CHUNK, embedded=searching.embed(text), wheres=[where], limit=limit)
    return {subject: max(scores.values()) for subject, scores in near.items()}
