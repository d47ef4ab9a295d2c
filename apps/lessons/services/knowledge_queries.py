"""What the documents say to a question, each answer with the place it can be checked at."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.conf import settings

from apps.common.errors import Misconfigured, Unavailable
from apps.lessons.recall_types import Viewer
from apps.lessons.rules import passages
from apps.lessons.rules.passages import Candidate, Passage
from apps.lessons.selectors import knowledge
from apps.lessons.services import knowledge_recalls, knowledge_vectors
from apps.lessons.services.knowledge_vectors import Near

if TYPE_CHECKING:
    from apps.lessons.models import KnowledgeChunk, KnowledgeDocument

LIMIT_MAX: Final = 50
CANDIDATES: Final = 100
TEXT_CHARS_MAX: Final = 4_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A passage of a document: `text` is characters `start` to `end` of that version's text."""

    passage: Passage
    chunk: "KnowledgeChunk"
    text: str

    @property
    def document(self) -> "KnowledgeDocument":
        """The document it stands in."""
        return self.chunk.version.document


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeAnswer:
    """The answers, best first; none where nothing is similar. `id` is what it is kept under. `degraded`: by words
    alone, without the index."""

    id: UUID
    answers: Sequence[Answer]
    degraded: bool
    provider: str


def query_knowledge(
    *, text: str, desk_ids: Collection[UUID], viewer: Viewer, limit: int, now: datetime
) -> KnowledgeAnswer:
    """What the documents of these desks, and of everybody, say to this question; kept with who asked. Never fails for
    the index."""
    by_words = {one.chunk: one for one in knowledge.by_words(text, desk_ids=desk_ids, limit=CANDIDATES)}
    near, degraded = _near(text, desk_ids)
    meaning = near.cosines
    # Read again: the index is a copy, and what is removed, changed or another desk's is no answer.
    rows = knowledge.current_chunks(by_words.keys() | meaning.keys(), desk_ids=desk_ids)
    candidates = [
        Candidate(
            chunk=pk,
            document=row.version.document_id,
            meaning=meaning.get(pk),
            keywords=by_words[pk].score if pk in by_words else 0.0,
            coverage=by_words[pk].coverage if pk in by_words else 0.0,
        )
        for pk, row in rows.items()
    ]
    floor = passages.MEANING_MIN[settings.EMBEDDINGS_PROVIDER]
    best = passages.ranked(candidates, limit=limit, meaning_min=floor)
    kept = knowledge_recalls.keep(
        text=text[:TEXT_CHARS_MAX],
        passages=best,
        desk_id=next(iter(desk_ids)) if len(desk_ids) == 1 else None,
        viewer=viewer,
        space=near.space,
        degraded=degraded,
        now=now,
    )
    return KnowledgeAnswer(
        id=kept.pk,
        answers=[Answer(passage=one, chunk=rows[one.chunk], text=own_text(rows[one.chunk])) for one in best],
        degraded=degraded,
        provider=settings.EMBEDDINGS_PROVIDER,
    )


def own_text(chunk: "KnowledgeChunk") -> str:
    """The piece without what was put in front of it: characters `start` to `end` of its version."""
    return chunk.text[len(chunk.text) - (chunk.end - chunk.start) :]


def _near(text: str, desk_ids: Collection[UUID]) -> tuple[Near, bool]:
    try:
        return knowledge_vectors.nearest(text, desk_ids=desk_ids, limit=CANDIDATES), False
    except (Unavailable, Misconfigured) as error:
        logger.warning("Knowledge is found by words alone: %s", error.code)
        return Near(space="", cosines={}), True
