"""What people make of a lesson: which mistakes it was, why, and what to do next time; or that it does not count.

Whoever asked for the trade, by themselves or by a key, and whoever the lesson stood in the way of, leaves it to others.
Every verb carries the version the reviewer saw, re-tells the case, and puts it in line for the index.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db import transaction

from apps.accounts.selectors import desks_of
from apps.accounts.services.people import actor_of
from apps.audit.services import events
from apps.common.errors import AikaError, Conflict, Forbidden, Invalid, NotFound
from apps.lessons.models import CaseTag, Lesson
from apps.lessons.selectors.locking import locked_lessons
from apps.lessons.services import retelling
from apps.lessons.services.cases import stream_of
from apps.lessons.services.ownership import check_not_own
from apps.lessons.types import STANDING, CaseVerdict, MistakeTag, Result, ReviewState, TagSource

if TYPE_CHECKING:
    from apps.accounts.models import User

REVIEW: Final = "lessons.review_lesson"
TEXT_CHARS_MAX: Final = 2000


def review(
    *,
    lesson_id: UUID,
    reviewer: "User",
    version: int,
    now: datetime,
    confirm_tags: Collection[MistakeTag] = (),
    dispute_tags: Collection[MistakeTag] = (),
    add_tags: Collection[MistakeTag] = (),
    cause: str | None = None,
    next_time: str | None = None,
    verdict: CaseVerdict | None = None,
    note: str = "",
) -> Lesson:
    """Say what it was. What is None, and tags not named, stay as they are; saying nothing agrees with all of it.

    A confirmed or added tag counts, a disputed one does not. Raises Invalid TAG_UNKNOWN, TAG_TWICE or TEXT_TOO_LONG,
    and what every verb here raises: NotFound LESSON_UNKNOWN (also of another desk), Forbidden MAY_NOT_REVIEW or
    LESSON_OWN, Conflict LESSON_MOVED or LESSON_CLOSED.
    """
    _check_tags(confirm_tags, dispute_tags, add_tags)
    _check_texts(cause=cause, next_time=next_time, note=note)
    with _verb("reviewed", lesson_id=lesson_id, reviewer=reviewer, version=version, note=note, now=now) as change:
        lesson, case = change.lesson, change.lesson.case
        _apply_tags(change, confirm_tags, dispute_tags, add_tags)
        if cause is not None:
            change.set(lesson, "cause", cause.strip())
        if next_time is not None:
            change.set(lesson, "next_time", next_time.strip())
        if verdict is not None:
            change.set(case, "verdict", verdict)
        change.set(lesson, "state", ReviewState.REVIEWED)
    return lesson


def dispute(*, lesson_id: UUID, reviewer: "User", version: int, note: str, now: datetime) -> Lesson:
    """It is not so, and does not count until somebody reinstates it. Raises as `review`, and Invalid NOTE_MISSING."""
    return _take_out(ReviewState.DISPUTED, "disputed", lesson_id, reviewer, version, note, now)


def retire(*, lesson_id: UUID, reviewer: "User", version: int, note: str, now: datetime) -> Lesson:
    """It was so, and teaches nothing any more: it does not count. Raises as `dispute`."""
    return _take_out(ReviewState.RETIRED, "retired", lesson_id, reviewer, version, note, now)


def reinstate(*, lesson_id: UUID, reviewer: "User", version: int, note: str, now: datetime) -> Lesson:
    """It counts again, as a reviewed lesson. Raises as `dispute`, Conflict LESSON_STANDS for one that counts, and
    Conflict LESSON_NO_LOSS where the case was corrected and is no loss any more."""
    _check_note(note)
    with _verb(
        "reinstated", lesson_id=lesson_id, reviewer=reviewer, version=version, note=note, now=now, standing=False
    ) as change:
        lesson = change.lesson
        if lesson.case.result != Result.LOST:
            raise Conflict("LESSON_NO_LOSS", "The outcome was corrected: this trade is no loss any more.")
        change.set(lesson, "state", ReviewState.REVIEWED)
        change.set(lesson, "superseded_by_id", None)
        change.set(lesson.case, "counts", True)
    return lesson


def wake(*, lesson_id: UUID, reviewer: "User", version: int, note: str, now: datetime) -> Lesson:
    """A lesson that rests is shown and indexed again, and what was said of it before is forgotten. It counted all the
    time. Raises as `dispute`, and Conflict LESSON_AWAKE for one that is shown."""
    _check_note(note)
    with _verb("woken", lesson_id=lesson_id, reviewer=reviewer, version=version, note=note, now=now) as change:
        if change.lesson.rests_since is None:
            raise Conflict("LESSON_AWAKE", "The lesson is shown already.")
        change.set(change.lesson, "rests_since", None)
        change.set(change.lesson, "woken_at", now)
    return change.lesson


def supersede(
    *, lesson_id: UUID, by_lesson_id: UUID, reviewer: "User", version: int, note: str, now: datetime
) -> Lesson:
    """Another lesson says it better: this one is kept, names the other, and does not count.

    Raises as `dispute`; for the other lesson too NotFound, Forbidden LESSON_OWN and Conflict LESSON_CLOSED; Invalid
    LESSON_ITSELF, and LESSON_OTHER_DESK for one of another desk.
    """
    _check_note(note)
    with _verb(
        "superseded", lesson_id=lesson_id, reviewer=reviewer, version=version, note=note, now=now, other=by_lesson_id
    ) as change:
        _replace(change)
    return change.lesson


def merge(*, lesson_id: UUID, into_lesson_id: UUID, reviewer: "User", version: int, note: str, now: datetime) -> Lesson:
    """Both are of one mistake made once: the other lesson stands for both, takes over the tags that count here, and
    cause and rule where it has none. This one is superseded by it. Returns the other. Raises as `supersede`."""
    _check_note(note)
    with _verb(
        "merged", lesson_id=lesson_id, reviewer=reviewer, version=version, note=note, now=now, other=into_lesson_id
    ) as change:
        _replace(change)
        other = change.other
        assert other is not None  # noqa: S101  _verb has found it; tells the type checker
        taken = _Change(lesson=other, reviewer=reviewer, now=now)
        own = set(CaseTag.objects.filter(case_id=other.case_id, disputed=True).values_list("tag", flat=True))
        counted = CaseTag.objects.filter(case_id=change.lesson.case_id, counts=True).values_list("tag", flat=True)
        _apply_tags(taken, (), (), [MistakeTag(tag) for tag in counted if tag not in own])
        for name in ("cause", "next_time"):
            if not getattr(other, name):
                taken.set(other, name, getattr(change.lesson, name))
        taken.set(other, "state", ReviewState.REVIEWED)
        _finish(taken, "took_over", f"Merged: {note.strip()}", {"of": change.lesson.pk})
    return other


def refusal(lesson: Lesson, *, reviewer: "User", now: datetime) -> AikaError | None:
    """Why this person may not review this lesson, as every verb here would say it; None for who may."""
    try:
        _check_person(reviewer)
        _mine(lesson, reviewer, now)
    except AikaError as error:
        return error
    return None


@dataclass(kw_only=True)
class _Change:
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
def _verb(
    kind: str,
    *,
    lesson_id: UUID,
    reviewer: "User",
    version: int,
    note: str,
    now: datetime,
    other: UUID | None = None,
    standing: bool = True,
) -> Iterator[_Change]:
    """One transaction: lock, check who and what, let the caller change, then write, re-tell and record."""
    _check_person(reviewer)
    if other == lesson_id:
        raise Invalid("LESSON_ITSELF", "A lesson cannot take its own place.", fix="Name another lesson.")
    with transaction.atomic():
        found = locked_lessons([lesson_id] if other is None else [lesson_id, other])
        lesson = _mine(found.get(lesson_id), reviewer, now)
        if lesson.version != version:
            raise Conflict(
                "LESSON_MOVED",
                "The lesson has changed since you looked at it.",
                fix="Look at it again, then decide again.",
                seen=str(version),
                now=str(lesson.version),
            )
        _require(lesson, standing=standing)
        second = None if other is None else _mine(found.get(other), reviewer, now)
        if second is not None:
            if second.case.desk_id != lesson.case.desk_id:
                raise Invalid("LESSON_OTHER_DESK", "The two lessons are of two desks.", fix="Name one of this desk.")
            _require(second, standing=True)
        change = _Change(lesson=lesson, reviewer=reviewer, now=now, other=second)
        yield change
        _finish(change, kind, note, {} if second is None else {"by": second.pk})


def _finish(change: _Change, kind: str, note: str, more: Mapping[str, object]) -> None:
    lesson, case, now = change.lesson, change.lesson.case, change.now
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
            **more,
        },
        now=now,
    )


def _check_person(reviewer: "User") -> None:
    if not reviewer.has_perm(REVIEW):
        raise Forbidden("MAY_NOT_REVIEW", "Your roles do not include the review of lessons.", fix="Tell an approver.")


def _mine(lesson: Lesson | None, reviewer: "User", now: datetime) -> Lesson:
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


def _take_out(
    state: ReviewState, kind: str, lesson_id: UUID, reviewer: "User", version: int, note: str, now: datetime
) -> Lesson:
    _check_note(note)
    with _verb(kind, lesson_id=lesson_id, reviewer=reviewer, version=version, note=note, now=now) as change:
        change.set(change.lesson, "state", state)
        change.set(change.lesson.case, "counts", False)
    return change.lesson


def _replace(change: _Change) -> None:
    assert change.other is not None  # noqa: S101  _verb has found it; tells the type checker
    change.set(change.lesson, "state", ReviewState.SUPERSEDED)
    change.set(change.lesson, "superseded_by_id", change.other.pk)
    change.set(change.lesson.case, "counts", False)


def _apply_tags(
    change: _Change,
    confirmed: Collection[MistakeTag],
    disputed: Collection[MistakeTag],
    added: Collection[MistakeTag],
) -> None:
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


def _write_tag(change: _Change, row: CaseTag, *, counts: bool) -> None:
    before = None if row.pk is None else {"counts": row.counts, "disputed": row.disputed}
    row.counts, row.disputed = counts, not counts
    row.confirmed_by, row.confirmed_at = (change.reviewer, change.now) if counts else (None, None)
    row.save()
    change.changed[f"tag:{row.tag}"] = {"before": before, "after": {"counts": row.counts, "disputed": row.disputed}}


def _check_tags(*groups: Collection[MistakeTag]) -> None:
    named = [tag for group in groups for tag in set(group)]
    if twice := sorted({tag for tag in named if named.count(tag) > 1}):
        raise Invalid(
            "TAG_TWICE",
            f"{twice[0]} is named in more than one way.",
            fix="Confirm a tag, dispute it, or add it.",
            field="tags",
            tag=twice[0],
        )


def _check_note(note: str) -> None:
    if not note.strip():
        raise Invalid("NOTE_MISSING", "Say why.", fix="Write a sentence that others will understand.", field="note")
    _check_texts(note=note)


def _check_texts(**texts: str | None) -> None:
    for name, text in texts.items():
        if text is not None and len(text) > TEXT_CHARS_MAX:
            raise Invalid(
                "TEXT_TOO_LONG",
                f"{name} has {len(text)} characters, at most {TEXT_CHARS_MAX} are kept.",
                fix="Shorten it.",
                field=name,
            )
