"""Which pieces of documents answer a question: likeness of meaning plus a part of likeness of words. Pure.

The weight of .3 was measured on conversations (it lifts) and on filings (it costs little): lessons have none of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

KEYWORD_WEIGHT: Final = 0.3
# Below both a piece is not similar. Of the best by words alone nothing is said by its rank: something is always best.
COVERAGE_MIN: Final = 0.34
MEANING_MIN: Final[Mapping[str, float]] = {"static": 0.35, "sentence_transformers": 0.35, "hash": 0.25}
PER_DOCUMENT_MAX: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A piece that may answer. `meaning` is a cosine, None where it is not known; `keywords` a BM25 score; `coverage`
    the share of the question's words, by weight, that it has."""

    chunk: UUID
    document: UUID
    meaning: float | None
    keywords: float
    coverage: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece in its place, with what its score is made of."""

    chunk: UUID
    score: float
    meaning: float | None
    keywords: float
    coverage: float


def ranked(candidates: list[Candidate], *, limit: int, meaning_min: float) -> list[Passage]:
    """The best first, at most three of one document; none where nothing is similar."""
    best_words = max((one.keywords for one in candidates), default=0.0)
    found = []
    for one in candidates:
        if (one.meaning or 0.0) < meaning_min and one.coverage < COVERAGE_MIN:
            continue
        words = one.keywords / best_words if best_words else 0.0
        score = max(one.meaning or 0.0, 0.0) + KEYWORD_WEIGHT * words
        found.append((score, one, words))
    found.sort(key=lambda item: (-item[0], str(item[1].chunk)))
    passages: list[Passage] = []
    of_document: dict[UUID, int] = {}
    for score, one, words in found:
        of_document[one.document] = of_document.get(one.document, 0) + 1
        if of_document[one.document] <= PER_DOCUMENT_MAX and len(passages) < limit:
            passages.append(
                Passage(chunk=one.chunk, score=score, meaning=one.meaning, keywords=words, coverage=one.coverage)
            )
    return passages
