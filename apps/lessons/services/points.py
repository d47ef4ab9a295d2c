"""What is to stand in the index for a case or a chunk, as its row is now."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from apps.lessons.embeddings.base import EmbeddingProvider, Vector
from apps.lessons.index.values import EVERYBODY, VECTORS, Point
from apps.lessons.models import Case, IndexEntry, KnowledgeChunk
from apps.lessons.types import EntryKind, TextKind

# A row has three times as much, and an instance of it costs as much again: together a fifth of a rebuild.
_OF_A_CASE: Final = (
    "pk",
    "content_hash",
    "desk_id",
    "result",
    "product",
    "asset_class",
    "side",
    "closed_at",
    "thesis_text",
    "narrative_text",
)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A point before its texts are vectors."""

    point: Point
    texts: Mapping[str, str]


def points_of(entries: Sequence[IndexEntry], provider: EmbeddingProvider) -> list[Point | None]:
    """One for each entry, all texts embedded together; None where nothing is to stand: no such row, no text, or a
    lesson that rests."""
    subjects = {kind: [entry.subject for entry in entries if entry.kind == kind] for kind in EntryKind}
    cases = Case.objects.filter(pk__in=subjects[EntryKind.CASE], lesson__rests_since__isnull=True)
    drafts = {row[0]: _case(*row) for row in cases.values_list(*_OF_A_CASE)}
    chunks = KnowledgeChunk.objects.filter(pk__in=subjects[EntryKind.CHUNK], current=True)
    drafts |= {chunk.pk: _chunk(chunk) for chunk in chunks}
    found = [drafts.get(entry.subject) for entry in entries]
    texts = [text for draft in found if draft is not None for text in draft.texts.values()]
    rows = iter(provider.embed_documents(texts)) if texts else iter(())
    return [None if draft is None else _embedded(draft, rows) for draft in found]


def _embedded(draft: _Draft, rows: Iterator[Vector]) -> Point | None:
    vectors = {name: next(rows) for name in draft.texts}
    # A row of zeros is a text with nothing in it that the provider reads: like no other text, so no vector.
    said = {name: vector for name, vector in vectors.items() if vector.any()}
    return replace(draft.point, vectors=said) if said else None


def _case(
    subject: UUID,
    content_hash: str,
    desk_id: UUID,
    result: str,
    product: str,
    asset_class: str,
    side: str,
    closed_at: datetime,
    thesis_text: str,
    narrative_text: str,
) -> _Draft:
    point = Point(
        kind=EntryKind.CASE,
        subject=subject,
        content_hash=content_hash,
        vectors={},
        words={
            "desk": str(desk_id),
            "result": result,
            "product": product,
            "asset_class": asset_class,
            "side": side,
        },
        closed_at=closed_at.timestamp(),
    )
    return _Draft(point, {TextKind.THESIS: thesis_text, TextKind.NARRATIVE: narrative_text})


def _chunk(chunk: KnowledgeChunk) -> _Draft:
    desk = EVERYBODY if chunk.desk_id is None else str(chunk.desk_id)
    point = Point(kind=EntryKind.CHUNK, subject=chunk.pk, content_hash=chunk.digest, vectors={}, words={"desk": desk})
    return _Draft(point, {VECTORS[EntryKind.CHUNK][0]: chunk.text})
