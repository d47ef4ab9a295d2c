"""What the desk went through lately, and which closed trades are known already."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from apps.common.decimals import decimal_text
from apps.common.statements import Question, Select
from apps.lessons.models import Case, Lesson
from apps.lessons.rules import kept_facts
from apps.lessons.types import CaseSource, Result, ReviewState

_LAST_LOSS: Final[Select[datetime]] = Select(
    lambda desk, since, until: (
        Case.objects.filter(desk_id=desk, closed_at__gte=since, closed_at__lt=until, result=Result.LOST.value)
        .order_by("-closed_at")
        .values_list("closed_at")[:1]
    ),
    lambda closed_at: closed_at,
    desk=UUID,
    since=datetime,
    until=datetime,
)


def last_loss_question(desk_id: UUID, *, since: datetime, until: datetime) -> Question[datetime]:
    """When a desk last lost in [since, until), wherever it traded: one row, or none."""
    return _LAST_LOSS(desk=desk_id, since=since, until=until)


def remembered(source: CaseSource, ids: Collection[str]) -> frozenset[str]:
    """Which of these source ids have a case."""
    found = Case.objects.filter(source=source, source_id__in=ids).values_list("source_id", flat=True)
    return frozenset(found)


def unreviewed(source: CaseSource, ids: Collection[str]) -> dict[str, Lesson]:
    """The lessons of these cases of which nobody has said anything yet, by source id."""
    rows = Lesson.objects.filter(case__source=source, case__source_id__in=ids, state=ReviewState.AUTO)
    return {lesson.case.source_id: lesson for lesson in rows.select_related("case").order_by("case__closed_at")}


def remembered_as(source: CaseSource, source_id: str) -> tuple[UUID | None, UUID | None]:
    """The case that a closed trade became, and its lesson if it lost: one query."""
    found = Case.objects.filter(source=source, source_id=source_id).values_list("pk", "lesson__pk").first()
    return found or (None, None)


def told_of(source: CaseSource, source_id: str) -> dict[str, object] | None:
    """What the memory says of a closed trade, for an answer to who reported it; None where it is not remembered yet."""
    case = Case.objects.prefetch_related("tags").filter(source=source, source_id=source_id).first()
    if case is None:
        return None
    return {
        "id": str(case.pk),
        "result": case.result,
        "verdict": case.verdict,
        "r_multiple": _text(case.r_multiple),
        "mfe_r": _text(case.mfe_r),
        "mae_r": _text(case.mae_r),
        "mistakes": [{"tag": row.tag, "source": row.source, "because": row.because} for row in case.tags.all()],
        "facts": kept_facts.shown(case.facts),
        "summary": case.summary,
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)
