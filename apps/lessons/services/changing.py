"""How people change a lesson: one transaction that locks it, checks who and what, writes, re-tells and records."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db import transaction

from apps.accounts.selectors import desks_of, live_request
from apps.accounts.services import second_person
from apps.accounts.services.people import actor_of
from apps.audit.services import events
from apps.common.errors import Conflict, Forbidden, Invalid, NotFound
from apps.lessons.models import CaseTag, Lesson
from apps.lessons.selectors.locking import locked_lessons
from apps.lessons.services import retelling
from apps.lessons.services.cases import stream_of
from apps.lessons.services.ownership import check_not_own
from apps.lessons.types import STANDING, MistakeTag, TagSource

if TYPE_CHECKING:
    from apps.accounts.models import User

REVIEW: Final = "lessons.review_lesson"
TEXT_CHARS_MAX: Final = 2000


@dataclass(kw_only=True)
class Change:
    """What one verb does to one lesson, its case and their tags: each with what was before."""

    lesson: Lesson
    reviewer: "User"
    now: datetime
    other: Lesson | None = None
    changed: dict[str, object] = field(default_factory=dict)

    def set(self, row: object, name: str, value: object) -> None:
        before = getattr(row, name)
        if before != value:
            setattr(row, name, value)
            self.changed[name.removesuffix("_id")] = {"before": before, "after": value}


@contextmanager
def opened(
    *,
    lesson_id: UUID,
    reviewer: "User",
    version: int,
    now: datetime,
    other: UUID | None = None,
    standing: bool = True,
) -> Iterator[Change]:
    """One transaction: lock it, and another one beside it, and check who and what. Nothing is written.

    Raises NotFound LESSON_UNKNOWN, Forbidden MAY_NOT_REVIEW or LESSON_OWN, Conflict LESSON_MOVED, LESSON_CLOSED or
    LESSON_STANDS, Invalid LESSON_ITSELF or LESSON_OTHER_DESK.
    """
    check_person(reviewer)
    if other == lesson_id:
        raise Invalid("LESSON_ITSELF", "A lesson cannot take its own place.", fix="Name another lesson.")
    with transaction.atomic():
        found = locked_lessons([lesson_id] if other is None else [lesson_id, other])
        lesson = of_reviewer(found.get(lesson_id), reviewer, now)
        if lesson.version != version:
            raise Conflict(
                "LESSON_MOVED",
                "The lesson has changed since you looked at it.",
                fix="Look at it again, then decide again.",
                seen=str(version),
                now=str(lesson.version),
            )
        _require(lesson, standing=standing)
        second = None if other is None else of_reviewer(found.get(other), reviewer, now)
        if second is not None:
            if second.case.desk_id != lesson.case.desk_id:
                raise Invalid("LESSON_OTHER_DESK", "The two lessons are of two desks.", fix="Name one of this desk.")
            _require(second, standing=True)
        yield Change(lesson=lesson, reviewer=reviewer, now=now, other=second)


@contextmanager
def verb(
    kind: str, *, lesson_id: UUID, reviewer: "User", version: int, note: str, now: datetime, standing: bool = True
) -> Iterator[Change]:
    """As `opened`; what the caller changes is written, re-told and recorded in the same transaction."""
    with opened(lesson_id=lesson_id, reviewer=reviewer, version=version, now=now, standing=standing) as change:
        yield change
        finish(change, kind, note)


def finish(change: Change, kind: str, note: str, more: Mapping[str, object] | None = None) -> None:
    """Write what was changed, tell the case anew, and record it. What somebody proposed about the lesson as it was
    before ends unconfirmed."""
    lesson, case, now = change.lesson, change.lesson.case, change.now
    if lesson.taking_out is not None:
        asked = live_request(UUID(lesson.taking_out["request"]), now)
        if asked is not None:
            second_person.withdraw(request_id=asked.pk, person=change.reviewer, now=now)
        lesson.taking_out = None
    lesson.reviewed_by, lesson.reviewed_at, lesson.review_note = change.reviewer, now, note.strip()
    lesson.version += 1
    lesson.save()
    retelling.retell(case, lesson)
    case.updated_at = now
    case.save()
    retelling.index(case, now=now)
    events.record(
        stream=stream_of(case),
        kind=f"lesson.{kind}",
        actor=actor_of(change.reviewer),
        subject=stream_of(case),
        payload={
            "lesson": lesson.pk,
            "changed": change.changed,
            "note": note.strip(),
            "version": lesson.version,
            **(more or {}),
        },
        now=now,
    )


def check_person(reviewer: "User") -> None:
    """Raises Forbidden MAY_NOT_REVIEW."""
    if not reviewer.has_perm(REVIEW):
        raise Forbidden("MAY_NOT_REVIEW", "Your roles do not include the review of lessons.", fix="Tell an approver.")


def of_reviewer(lesson: Lesson | None, reviewer: "User", now: datetime) -> Lesson:
    """The lesson, if it is of a desk of this person, and not their own. Raises as `opened`."""
    if lesson is None or not desks_of(reviewer.pk).filter(pk=lesson.case.desk_id).exists():
        raise NotFound("LESSON_UNKNOWN", "There is no such lesson at your desks.")
    check_not_own(lesson.case, reviewer, now=now)
    return lesson


def _require(lesson: Lesson, *, standing: bool) -> None:
    stands = lesson.state in STANDING
    if standing and not stands:
        raise Conflict(
            "LESSON_CLOSED", f"The lesson is {lesson.state.lower()}.", fix="Reinstate it first, or take another."
        )
    if stands and not standing:
        raise Conflict("LESSON_STANDS", "The lesson counts already.")


def apply_tags(
    change: Change,
    confirmed: Collection[MistakeTag],
    disputed: Collection[MistakeTag],
    added: Collection[MistakeTag],
) -> None:
    """Make these tags count, or not. Raises Invalid TAG_UNKNOWN."""
    rows = {MistakeTag(row.tag): row for row in CaseTag.objects.filter(case_id=change.lesson.case_id)}
    if unknown := sorted({*confirmed, *disputed} - set(rows)):
        raise Invalid(
            "TAG_UNKNOWN", f"The lesson has no tag {unknown[0]}.", fix="Add it instead.", field="tags", tag=unknown[0]
        )
    for tag in sorted({*confirmed, *added}):
        row = rows.get(tag) or CaseTag(
            case=change.lesson.case,
            desk_id=change.lesson.case.desk_id,
            closed_at=change.lesson.case.closed_at,
            tag=tag,
            source=TagSource.HUMAN,
        )
        _write_tag(change, row, counts=True)
    for tag in sorted(disputed):
        _write_tag(change, rows[tag], counts=False)


def _write_tag(change: Change, row: CaseTag, *, counts: bool) -> None:
    before = None if row.pk is None else {"counts": row.counts, "disputed": row.disputed}
    row.counts, row.disputed = counts, not counts
    row.confirmed_by, row.confirmed_at = (change.reviewer, change.now) if counts else (None, None)
    row.save()
    change.changed[f"tag:{row.tag}"] = {"before": before, "after": {"counts": row.counts, "disputed": row.disputed}}


def check_tags(*groups: Collection[MistakeTag]) -> None:
    """Raises Invalid TAG_TWICE."""
    named = [tag for group in groups for tag in set(group)]
    if twice := sorted({tag for tag in named if named.count(tag) > 1}):
        raise Invalid(
            "TAG_TWICE",
            f"{twice[0]} is named in more than one way.",
            fix="Confirm a tag, dispute it, or add it.",
            field="tags",
            tag=twice[0],
        )


def check_note(note: str) -> None:
    """Raises Invalid NOTE_MISSING or TEXT_TOO_LONG."""
    if not note.strip():
        raise Invalid("NOTE_MISSING", "Say why.", fix="Write a sentence that others will understand.", field="note")
    check_texts(note=note)


def check_texts(**texts: str | None) -> None:
    """Raises Invalid TEXT_TOO_LONG."""
    for name, text in texts.items():
        if text is not None and len(text) > TEXT_CHARS_MAX:
            raise Invalid(
                "TEXT_TOO_LONG",
                f"{name} has {len(text)} characters, at most {TEXT_CHARS_MAX} are kept.",
                fix="Shorten it.",
                field=name,
            )
