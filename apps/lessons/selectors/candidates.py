"""Cases that may be similar, read lean for ranking: always from the database, whatever an index said."""

from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from apps.lessons.models import Case, CaseTag, CaseViolation, IndexEntry
from apps.lessons.recall_types import Question
from apps.lessons.types import EntryKind, Result, ReviewState

# So many of the newest cases are looked through where there is no index to ask.
NEWEST: Final = 1_000
BY_TAGS: Final = 60
HIDDEN: Final = (ReviewState.DISPUTED, ReviewState.SUPERSEDED, ReviewState.RETIRED)
# In the order of `Row`.
_COLUMNS: Final = (
    "pk",
    "source_id",
    "proposal_id",
    "product",
    "asset_class",
    "side",
    "result",
    "lesson__severity",
    "closed_at",
    "thesis_text",
    "narrative_text",
)


class Row(NamedTuple):
    """A case as ranking needs it. `severity` from 0 to 1, None for one that teaches no lesson. `weights` are what is
    kept of the mistakes its present texts speak of (`services.weighing`), None where nothing is."""

    id: UUID
    source_id: str
    proposal_id: UUID | None
    product: str
    asset_class: str
    side: str
    result: str
    severity: Decimal | None
    closed_at: datetime
    thesis: str
    narrative: str
    weights: bytes | None


def shown_cases(desk_id: UUID, question: Question) -> QuerySet[Case]:
    """Cases of the desk that count and fit the filters; lessons that people put away are not among them, and those that
    rest only where what counts as evidence is asked for."""
    asked = question.filters
    results = (Result.LOST, Result.WON) if question.include_wins else (Result.LOST,)
    rows = Case.objects.filter(desk_id=desk_id, counts=True, result__in=results).exclude(lesson__state__in=HIDDEN)
    if not question.counted_only:
        rows = rows.filter(lesson__rests_since__isnull=True)
    for name in ("product", "asset_class", "side", "regime", "setup", "verdict"):
        if value := getattr(asked, name):
            rows = rows.filter(**{name: value})
    if asked.tags:
        tagged = CaseTag.objects.filter(desk_id=desk_id, tag__in=asked.tags, disputed=False).order_by()
        rows = rows.filter(pk__in=tagged.values("case"))
    if asked.since is not None:
        rows = rows.filter(closed_at__gte=asked.since)
    if asked.until is not None:
        rows = rows.filter(closed_at__lt=asked.until)
    return rows.order_by()


def alike(desk_id: UUID, tags: Collection[str], facts: Collection[str], now: datetime) -> set[UUID]:
    """The newest cases with one of these tags, or beyond one of these limits."""
    found: set[UUID] = set()
    for rows in (
        CaseTag.objects.filter(desk_id=desk_id, tag__in=tags, disputed=False) if tags else None,
        CaseViolation.objects.filter(desk_id=desk_id, fact__in=facts) if facts else None,
    ):
        if rows is not None:
            newest = rows.filter(closed_at__lte=now).order_by("-closed_at")
            found |= set(newest.values_list("case_id", flat=True)[: 2 * BY_TAGS])
    return found


def rows_of(cases: QuerySet[Case], ids: Collection[UUID], *, weighed_in: int | None) -> list[Row]:
    """These of the cases, with the weights that a space keeps of them."""
    if not ids:
        return []
    # Asked of each by its id: SQLite would read all of the desk's instead.
    return _read(Case.objects.filter(Exists(cases.filter(pk=OuterRef("pk"))), pk__in=ids).order_by(), weighed_in)


def newest(cases: QuerySet[Case], words: Iterable[str], *, weighed_in: int | None) -> list[Row]:
    """Of the newest cases those whose texts hold one of the words; any of them where no word is given."""
    recent = cases.order_by("-closed_at")[:NEWEST]
    rows = Case.objects.filter(pk__in=list(recent.values_list("pk", flat=True)))
    said = Q()
    for word in words:
        said |= Q(thesis_text__icontains=word) | Q(narrative_text__icontains=word)
    return _read(rows.filter(said).order_by(), weighed_in)


def _read(rows: QuerySet[Case], weighed_in: int | None) -> list[Row]:
    entries = IndexEntry.objects.filter(
        kind=EntryKind.CASE, subject=OuterRef("pk"), space=weighed_in, content_hash=OuterRef("content_hash")
    )
    found: Iterable[tuple[Any, ...]] = rows.values_list(*_COLUMNS, Subquery(entries.values("weights")))
    return [Row(*one) for one in found]


def tags_of(ids: Collection[UUID]) -> dict[UUID, dict[str, float]]:
    """The tags of cases with how sure each is, from 0 to 1; without those that somebody disputes."""
    rows = CaseTag.objects.filter(case__in=ids, disputed=False).order_by()
    found: dict[UUID, dict[str, float]] = {}
    for case, tag, counts, confidence in rows.values_list("case_id", "tag", "counts", "confidence"):
        found.setdefault(case, {})[tag] = 1.0 if counts else int(confidence * 1_000) / 1_000
    return found


def violations_of(ids: Collection[UUID]) -> dict[UUID, frozenset[str]]:
    """Names of the facts of cases that were beyond their limits."""
    return _grouped(CaseViolation.objects.filter(case__in=ids).order_by().values_list("case_id", "fact"))


def _grouped(pairs: Iterable[tuple[UUID, str]]) -> dict[UUID, frozenset[str]]:
    found: dict[UUID, set[str]] = {}
    for key, value in pairs:
        found.setdefault(key, set()).add(value)
    return {key: frozenset(values) for key, values in found.items()}
