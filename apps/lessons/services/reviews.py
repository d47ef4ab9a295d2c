"""What people make of a lesson: which mistakes it was, why, and what to do next time; or that it does not count.

Whoever asked for the trade, by themselves or by a key, and whoever the lesson stood in the way of, leaves it to others.
Every verb carries the version the reviewer saw, re-tells the case, and puts it in line for the index. What adds to the
evidence holds at once; what takes out of it is proposed, and holds once a second reviewer confirms it (`taking_out`).
"""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db import transaction

from apps.common.errors import AikaError, Conflict
from apps.lessons.models import CaseTag, Lesson
from apps.lessons.services import changing, taking_out
from apps.lessons.services.changing import REVIEW as REVIEW
from apps.lessons.services.changing import TEXT_CHARS_MAX as TEXT_CHARS_MAX
from apps.lessons.types import CaseVerdict, MistakeTag, Result, ReviewState, TakeOut

if TYPE_CHECKING:
    from apps.accounts.models import User

_NO_ERROR: Final = frozenset({CaseVerdict.UNKNOWN, CaseVerdict.PLANNED_LOSS})


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

    A confirmed or added tag counts at once. That a tag which counts is no mistake, and a verdict that may count for
    less, is proposed to a second reviewer. Raises Invalid TAG_UNKNOWN, TAG_TWICE or TEXT_TOO_LONG, and what every verb
    here raises: NotFound LESSON_UNKNOWN (also of another desk), Forbidden MAY_NOT_REVIEW or LESSON_OWN, Conflict
    LESSON_MOVED or LESSON_CLOSED.
    """
    changing.check_tags(confirm_tags, dispute_tags, add_tags)
    changing.check_texts(cause=cause, next_time=next_time, note=note)
    with transaction.atomic():
        with changing.verb(
            "reviewed", lesson_id=lesson_id, reviewer=reviewer, version=version, note=note, now=now
        ) as change:
            lesson = change.lesson
            less = _counting(lesson, dispute_tags)
            changing.apply_tags(change, confirm_tags, [tag for tag in dispute_tags if tag not in less], add_tags)
            if cause is not None:
                change.set(lesson, "cause", cause.strip())
            if next_time is not None:
                change.set(lesson, "next_time", next_time.strip())
            milder = None if verdict is None or _adds(lesson, verdict) else verdict
            if verdict is not None and milder is None:
                change.set(lesson.case, "verdict", verdict)
            change.set(lesson, "state", ReviewState.REVIEWED)
        if less or milder is not None:
            taking_out.ask(change, TakeOut.CORRECTED, note=note, tags=less, verdict=milder)
    return lesson


def _counting(lesson: Lesson, tags: Collection[MistakeTag]) -> list[MistakeTag]:
    """Those of the tags that are evidence now."""
    rows = CaseTag.objects.filter(case_id=lesson.case_id, tag__in=tags, counts=True) if tags else ()
    return [MistakeTag(row.tag) for row in rows]


def _adds(lesson: Lesson, verdict: CaseVerdict) -> bool:
    """Whether a verdict leaves the evidence as it is, or adds to it. Each policy says which verdicts it counts, so that
    any other change may take a loss out of it."""
    return verdict == lesson.case.verdict or (verdict is CaseVerdict.PROCESS_ERROR and lesson.case.verdict in _NO_ERROR)


def dispute(*, lesson_id: UUID, reviewer: "User", version: int, note: str, now: datetime) -> Lesson:
    """Propose that it is not so: once confirmed, it does not count until somebody reinstates it.

    Raises as `review`, Invalid NOTE_MISSING, and Conflict TAKING_OUT_PROPOSED where something waits already.
    """
    return taking_out.propose(
        TakeOut.DISPUTED, lesson_id=lesson_id, reviewer=reviewer, version=version, note=note, now=now
    )


def retire(*, lesson_id: UUID, reviewer: "User", version: int, note: str, now: datetime) -> Lesson:
    """Propose that it was so, and teaches nothing any more: once confirmed, it does not count. Raises as `dispute`."""
    return taking_out.propose(
        TakeOut.RETIRED, lesson_id=lesson_id, reviewer=reviewer, version=version, note=note, now=now
    )


def supersede(
    *, lesson_id: UUID, by_lesson_id: UUID, reviewer: "User", version: int, note: str, now: datetime
) -> Lesson:
    """Propose that another lesson says it better: once confirmed, this one is kept, names the other, and does not
    count.

    Raises as `dispute`; for the other lesson too NotFound, Forbidden LESSON_OWN and Conflict LESSON_CLOSED; Invalid
    LESSON_ITSELF, and LESSON_OTHER_DESK for one of another desk.
    """
    return taking_out.propose(
        TakeOut.SUPERSEDED,
        lesson_id=lesson_id,
        reviewer=reviewer,
        version=version,
        note=note,
        now=now,
        other=by_lesson_id,
    )


def merge(*, lesson_id: UUID, into_lesson_id: UUID, reviewer: "User", version: int, note: str, now: datetime) -> Lesson:
    """Propose that both are of one mistake made once: once confirmed, the other lesson stands for both, takes over the
    tags that count here, and cause and rule where it has none; this one is superseded by it. Raises as `supersede`."""
    return taking_out.propose(
        TakeOut.MERGED,
        lesson_id=lesson_id,
        reviewer=reviewer,
        version=version,
        note=note,
        now=now,
        other=into_lesson_id,
    )


def reinstate(*, lesson_id: UUID, reviewer: "User", version: int, note: str, now: datetime) -> Lesson:
    """It counts again, as a reviewed lesson. Raises as `dispute`, Conflict LESSON_STANDS for one that counts, and
    Conflict LESSON_NO_LOSS where the case was corrected and is no loss any more."""
    changing.check_note(note)
    with changing.verb(
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
    changing.check_note(note)
    with changing.verb("woken", lesson_id=lesson_id, reviewer=reviewer, version=version, note=note, now=now) as change:
        if change.lesson.rests_since is None:
            raise Conflict("LESSON_AWAKE", "The lesson is shown already.")
        change.set(change.lesson, "rests_since", None)
        change.set(change.lesson, "woken_at", now)
    return change.lesson


def refusal(lesson: Lesson, *, reviewer: "User", now: datetime) -> AikaError | None:
    """Why this person may not review this lesson, as every verb here would say it; None for who may."""
    try:
        changing.check_person(reviewer)
        changing.of_reviewer(lesson, reviewer, now)
    except AikaError as error:
        return error
    return None
