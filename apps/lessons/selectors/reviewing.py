"""Reads for those who review lessons."""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Case, QuerySet, Value, When

from apps.accounts.selectors import desks_of, live_request
from apps.lessons.models import Lesson, Recall, RecallItem
from apps.lessons.types import STANDING, RecallPurpose

if TYPE_CHECKING:
    from apps.accounts.models import SecondPersonRequest, User


def stood_in_the_way_of(*, case_id: UUID, person_id: UUID, since: datetime) -> bool:
    """True if policy held this case against a proposal of this person, or of a key of theirs, since then."""
    held = Recall.objects.filter(purpose=RecallPurpose.POLICY, viewer_id=person_id, asked_at__gte=since)
    return RecallItem.objects.filter(case_id=case_id, recall__in=held).exists()


def taking_out_request(lesson: Lesson, now: datetime) -> "SecondPersonRequest | None":
    """The request by which somebody would take this lesson, as it is now, out of the evidence, while it is alive."""
    wanted = lesson.taking_out
    if wanted is None or wanted["version"] != lesson.version:
        return None
    return live_request(UUID(wanted["request"]), now)


def lesson_of_desk(lesson_id: UUID, viewer: "User") -> Lesson | None:
    """The lesson with its case, if it is of a desk this person sits at; superusers see every desk."""
    rows = Lesson.objects.select_related("case__desk", "reviewed_by", "superseded_by__case")
    if not viewer.is_superuser:
        rows = rows.filter(case__desk__in=desks_of(viewer.pk))
    return rows.filter(pk=lesson_id).first()


def alike(lesson: Lesson, *, limit: int) -> QuerySet[Lesson]:
    """Other lessons of the desk that stand, of the same product first: what may take the place of this one."""
    rows = Lesson.objects.filter(case__desk_id=lesson.case.desk_id, state__in=STANDING).exclude(pk=lesson.pk)
    other = Case(When(case__product=lesson.case.product, then=Value(0)), default=Value(1))
    return rows.select_related("case").order_by(other, "-case__closed_at")[:limit]
