"""Documents and their pieces, for whom they are: a desk's own, and everybody's."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Avg, Case, Count, F, FloatField, Q, QuerySet, Sum, Value, When

from apps.accounts.selectors import desks_of as seats_of
from apps.accounts.types import Principal
from apps.connectors.selectors import connections_for
from apps.lessons.models import KnowledgeChunk, KnowledgeDocument, KnowledgeTerm, KnowledgeVersion
from apps.lessons.rules import bm25

if TYPE_CHECKING:
    from apps.accounts.models import Desk


VERSIONS_SHOWN = 50
PIECES_SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class WordHit:
    """A piece that has words of a question: its BM25 score, and the share of the question's weight it has."""

    chunk: UUID
    score: float
    coverage: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PagePiece:
    """A piece as a page shows it: `text` without its first `before` characters, with which the last one ended."""

    chunk: KnowledgeChunk
    before: int
    text: str


def desks_for(principal: Principal) -> QuerySet["Desk"]:
    """The desks a caller is at; a key is at those of its owner that it has a connection of."""
    seats = seats_of(principal.user_id)
    if principal.is_person:
        return seats
    return seats.filter(pk__in=connections_for(principal).values("desk"))


def of_desks(desk_ids: "Collection[UUID] | QuerySet[Any, Any]") -> Q:
    """Rows of these desks and of everybody."""
    return Q(desk__in=desk_ids) | Q(desk__isnull=True)


def documents_of(desk_ids: Collection[UUID]) -> QuerySet[KnowledgeDocument]:
    """The documents that these desks may read, removed ones too."""
    return KnowledgeDocument.objects.filter(of_desks(desk_ids))


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPage:
    """One version of a document with its pieces, and which versions there are, newest first."""

    version: KnowledgeVersion
    pieces: list[PagePiece]
    versions: list[KnowledgeVersion]


def document_page(document: KnowledgeDocument, *, number: int) -> DocumentPage | None:
    """None where there is no such version."""
    versions = list(
        KnowledgeVersion.objects.filter(document=document).defer("text").order_by("-number")[:VERSIONS_SHOWN]
    )
    version = KnowledgeVersion.objects.filter(document=document, number=number).first()
    if version is None:
        return None
    rows = version.chunks.order_by("ordinal")
    pieces, shown = [], 0
    for row in rows[:PIECES_SHOWN]:
        # What the piece before has said already is not repeated: pieces overlap.
        pieces.append(
            PagePiece(chunk=row, before=max(shown - row.start, 0), text=version.text[max(row.start, shown) : row.end])
        )
        shown = max(shown, row.end)
    return DocumentPage(version=version, pieces=pieces, versions=versions)


def by_words(text: str, *, desk_ids: Collection[UUID], limit: int) -> list[WordHit]:
    """The pieces that have most of a question's words, by BM25 over what these desks may read. SQL alone."""
    terms = bm25.query_terms(text)
    mine = of_desks(desk_ids)
    facts = KnowledgeChunk.objects.filter(mine, current=True).aggregate(total=Count("pk"), average=Avg("words"))
    if not terms or not facts["total"]:
        return []
    rows = KnowledgeTerm.objects.filter(mine, term__in=terms)
    having = dict(rows.order_by().values_list("term").annotate(Count("pk")))
    weights = {term: bm25.idf(total=facts["total"], having=having.get(term, 0)) for term in terms}
    matched: dict[UUID, set[str]] = {}
    best = list(
        rows.order_by()
        .values("chunk")
        .annotate(weighed=_score(weights, facts["average"]))
        .order_by("-weighed", "chunk")
        .values_list("chunk", "weighed")[:limit]
    )
    for chunk, term in rows.filter(chunk__in=[chunk for chunk, _ in best]).values_list("chunk", "term"):
        matched.setdefault(chunk, set()).add(term)
    return [
        WordHit(chunk=chunk, score=score, coverage=bm25.coverage(weights, frozenset(matched[chunk])))
        for chunk, score in best
    ]


def current_chunks(ids: Collection[UUID], *, desk_ids: Collection[UUID]) -> Mapping[UUID, KnowledgeChunk]:
    """Of these, the pieces that still stand and that these desks may read, with their documents."""
    rows = KnowledgeChunk.objects.filter(of_desks(desk_ids), pk__in=list(ids), current=True)
    return {row.pk: row for row in rows.select_related("version__document").defer("version__text")}


def _score(weights: Mapping[str, float], average: float | None) -> Sum:
    weight = Case(
        *[When(term=term, then=Value(value)) for term, value in weights.items()],
        default=Value(0.0),
        output_field=FloatField(),
    )
    k1, b, length = Value(bm25.K1), Value(bm25.B), F("length") / Value(max(average or 1.0, 1.0))
    added = weight * F("count") * Value(bm25.K1 + 1) / (F("count") + k1 * (Value(1 - bm25.B) + b * length))
    return Sum(added, output_field=FloatField())
