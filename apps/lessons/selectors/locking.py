"""The one door to locked cases. A case is locked before its lesson, several in the order of their ids."""

from collections.abc import Collection
from uuid import UUID

from apps.lessons.models import Case, Lesson
from apps.lessons.types import CaseSource


def locked_case(*, source: CaseSource, source_id: str) -> Case | None:
    """The case of that source, locked until the transaction ends; None where there is none."""
    rows = Case.objects.select_for_update(no_key=True)
    return rows.filter(source=source, source_id=source_id).first()


def locked_lessons(lesson_ids: Collection[UUID]) -> dict[UUID, Lesson]:
    """Those lessons with their cases, which are locked until the transaction ends. Without those that do not exist."""
    of = Lesson.objects.filter(pk__in=lesson_ids).order_by().values_list("case_id", flat=True)
    cases = Case.objects.select_for_update(no_key=True).filter(pk__in=list(of)).order_by("pk").in_bulk()
    lessons = Lesson.objects.select_for_update(no_key=True).filter(pk__in=lesson_ids).order_by("pk")
    found = {lesson.pk: lesson for lesson in lessons}
    for lesson in found.values():
        lesson.case = cases[lesson.case_id]
    return found
