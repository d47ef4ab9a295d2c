"""How well lessons are found again, measured on files of labelled lessons and queries, by the code that answers.

Files are JSON Lines, or those gzipped. A lesson: id, product, asset_class, side, closed_at, r_multiple, narrative (or
text), and thesis where there is one. A query: id, thesis (or text), product, asset_class, side. A label: query, lesson,
grade. Whatever else a line holds, such as the mode it was made from, is not read.
"""

import gzip
import json
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np

from apps.common.errors import Invalid
from apps.lessons import embeddings
from apps.lessons.embeddings.base import EmbeddingProvider, Matrix, Vector, normalised
from apps.lessons.recall_types import K_DEFAULT
from apps.lessons.rules import results
from apps.lessons.rules.ranking import WEIGHTS, RankCandidate, RankQuery, rank, structure_of, weights_for
from apps.lessons.rules.retrieval_figures import DEEP, Figures, figures
from apps.lessons.services.tagging import tags_of

CANDIDATES = 100  # ranked a query: as many by text, and as many by tags, as a recall takes at most
NAIVE_DIM = 256
NAMESPACE = UUID("2d4c1f0e-6d3b-5c83-9a55-0f3f5c1d7a11")

Embed = Callable[[Sequence[str]], Matrix]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledLesson:
    """A lesson of a file. `whole` is its full text with the line of facts, `severity` from 0 to 1."""

    id: UUID
    name: str
    product: str
    asset_class: str
    side: str
    closed_at: datetime
    severity: float
    narrative: str
    thesis: str
    whole: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledQuery:
    """A query of a file with its labels: lesson -> grade."""

    text: str
    whole: str
    product: str
    asset_class: str
    side: str
    grades: Mapping[Hashable, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Lessons and queries that belong together."""

    lessons: Sequence[LabelledLesson]
    queries: Sequence[LabelledQuery]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One way of finding, its figures, and what a query cost: milliseconds, embedding included."""

    name: str
    figures: Figures
    query_ms: float


def read(*, lessons: Path, queries: Path, qrels: Path) -> Labelled:
    """The files as values. Raises Invalid (RECALL_FILES_INVALID) naming what is wrong with them."""
    try:
        grades: dict[str, dict[Hashable, int]] = defaultdict(dict)
        for row in lines(qrels):
            grades[row["query"]][row["lesson"]] = int(row["grade"])
        return Labelled(
            lessons=[lesson_of(row) for row in lines(lessons)],
            queries=[query_of(row, grades[row["id"]]) for row in lines(queries)],
        )
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise Invalid(
            "RECALL_FILES_INVALID",
            f"The files of lessons, queries and labels cannot be read: {type(error).__name__} {error}.",
            fix="See the head of apps/lessons/services/recall_quality.py for what a line must hold.",
        ) from error


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON Lines."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def lesson_of(row: Mapping[str, Any]) -> LabelledLesson:
    r_multiple = Decimal(str(row.get("r_multiple", -1)))
    severity = results.severity(pnl=r_multiple, r_multiple=r_multiple, pnl_pct=None)
    return LabelledLesson(
        id=uuid5(NAMESPACE, row["id"]),
        name=row["id"],
        product=row.get("product", ""),
        asset_class=row.get("asset_class", ""),
        side=row.get("side", ""),
        closed_at=datetime.fromisoformat(row["closed_at"]),
        severity=int(severity * 10_000) / 10_000,
        narrative=row.get("narrative") or row["text"],
        thesis=row.get("thesis", ""),
        whole=row.get("text") or row["narrative"],
    )


def query_of(row: Mapping[str, Any], grades: Mapping[Hashable, int]) -> LabelledQuery:
    return LabelledQuery(
        text=row.get("thesis") or row["text"],
        whole=row.get("text") or row["thesis"],
        product=row.get("product", ""),
        asset_class=row.get("asset_class", ""),
        side=row.get("side", ""),
        grades=grades,
    )


def measure(
    labelled: Labelled, provider: EmbeddingProvider, *, report: Callable[[int, int], None] = lambda done, of: None
) -> list[Measured]:
    """The figures of each way of finding, from the poorest to the one in use. `report` is told after each of them."""
    ways: list[Callable[[], Measured]] = [
        partial(by_text, labelled, "naive hash, whole text", naive_hash, whole=True),
        *(
            partial(by_text, labelled, one.id, one.embed_documents)
            for one in dict.fromkeys((embeddings.provider_named("hash"), provider))
        ),
        partial(by_text, labelled, f"{provider.id} x structure", provider.embed_documents, structured=True),
        partial(in_use, labelled, provider),
    ]
    rows = []
    for number, way in enumerate(ways, 1):
        rows.append(way())
        report(number, len(ways))
    return rows


def by_text(labelled: Labelled, name: str, embed: Embed, *, whole: bool = False, structured: bool = False) -> Measured:
    """By cosine alone, or times what product, class and side weigh."""
    lessons = embed([one.whole if whole else one.narrative for one in labelled.lessons])
    candidates = [candidate(one, {}) for one in labelled.lessons] if structured else []

    def find(query: LabelledQuery) -> list[str]:
        likeness = np.maximum(lessons @ embed([query.whole if whole else query.text])[0], 0.0)
        if structured:
            asked = rank_query(query, {})
            likeness = likeness * np.array([structure_of(asked, one, WEIGHTS) for one in candidates])
        return [labelled.lessons[place].name for place in np.argsort(-likeness, kind="stable")[:DEEP]]

    return timed(name, labelled, find)


def in_use(labelled: Labelled, provider: EmbeddingProvider) -> Measured:
    """As a recall answers: candidates by text and by tags, then the order that rules/ranking serves of them, as many as
    by default: once per trade, and few that say the same."""
    theses = provider.embed_documents([one.thesis for one in labelled.lessons])
    narratives = provider.embed_documents([one.narrative for one in labelled.lessons])
    tags = [tags_of(one.narrative, provider) for one in labelled.lessons]
    candidates = [candidate(one, found) for one, found in zip(labelled.lessons, tags, strict=True)]
    names = {one.id: one.name for one in labelled.lessons}
    weights = weights_for(provider.id)
    now = max((one.closed_at for one in labelled.lessons), default=datetime.max.replace(tzinfo=UTC))

    def find(query: LabelledQuery) -> list[str]:
        vector = provider.embed_query(query.text)
        asked = rank_query(query, tags_of(query.text, provider))
        near = cosines(theses, vector), cosines(narratives, vector)
        in_tags = [sum(weight * one.get(tag, 0.0) for tag, weight in asked.tags.items()) for one in tags]
        places = first(np.maximum(*near)) | first(np.array(in_tags))
        found = [with_cosines(candidates[place], near[0][place].item(), near[1][place].item()) for place in places]
        served = rank(asked, found, now, weights, limit=K_DEFAULT)
        return [names[one.candidate.id] for one in served if not one.is_counter_example]

    return timed(f"{provider.id}, as served", labelled, find)


def timed(name: str, labelled: Labelled, find: Callable[[LabelledQuery], list[str]]) -> Measured:
    """The figures of what `find` finds, and what a query took on average."""
    for query in labelled.queries[:1]:
        find(query)  # what is loaded once is not part of a query
    begun = time.perf_counter()
    found = [find(query) for query in labelled.queries]
    took = (time.perf_counter() - begun) * 1000 / max(1, len(labelled.queries))
    return Measured(name=name, figures=figures(found, [one.grades for one in labelled.queries]), query_ms=took)


def cosines(rows: Matrix, vector: Vector) -> Matrix:
    near: Matrix = rows @ vector
    return near


def first(likeness: Matrix) -> set[int]:
    """The places of the CANDIDATES highest."""
    return set(np.argsort(-likeness, kind="stable")[:CANDIDATES].tolist())


def rank_query(query: LabelledQuery, tags: Mapping[str, float]) -> RankQuery:
    return RankQuery(tags=tags, product=query.product, asset_class=query.asset_class, side=query.side)


def candidate(lesson: LabelledLesson, tags: Mapping[str, float]) -> RankCandidate:
    return RankCandidate(
        id=lesson.id,
        trade=lesson.name,
        product=lesson.product,
        asset_class=lesson.asset_class,
        side=lesson.side,
        tags=tags,
        thesis=0.0,
        narrative=0.0,
        severity=lesson.severity,
        closed_at=lesson.closed_at,
        text=f"{lesson.thesis} {lesson.narrative}",
    )


def with_cosines(one: RankCandidate, thesis: float, narrative: float) -> RankCandidate:
    return replace(one, thesis=thesis, narrative=narrative)


def naive_hash(texts: Sequence[str]) -> Matrix:
    """What a first attempt looks like, and what `hash` is compared with: unsigned words in 256 buckets."""
    rows = np.zeros((len(texts), NAIVE_DIM), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in text.lower().split():
            row[int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big") % NAIVE_DIM] += 1.0
    return normalised(rows)
