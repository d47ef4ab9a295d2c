"""What would take a lost trade, or part of it, out of the evidence: one reviewer proposes it, another confirms it.

Until then it counts on: policy is not loosened by one person. What was proposed is kept with the lesson as it was seen,
and the request for a second person is bound to it; whatever else is said of the lesson meanwhile ends it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db import transaction

from apps.accounts.services import second_person
from apps.accounts.services.people import actor_of
from apps.accounts.types import Role
from apps.audit.services import events
from apps.common import canonical
from apps.common.errors import Conflict, NotFound
from apps.lessons.models import CaseTag, Lesson
from apps.lessons.selectors.reviewing import taking_out_request
from apps.lessons.services import changing
from apps.lessons.services.cases import stream_of
from apps.lessons.services.changing import Change
from apps.lessons.types import CaseVerdict, MistakeTag, ReviewState, TakeOut

if TYPE_CHECKING:
    from apps.accounts.models import SecondPersonRequest, User

KIND: Final = "lesson.take_out"
ROLES: Final = (Role.APPROVER, Role.RISK)
_STATES: Final = {
    TakeOut.DISPUTED: ReviewState.DISPUTED,
    TakeOut.RETIRED: ReviewState.RETIRED,
    TakeOut.SUPERSEDED: ReviewState.SUPERSEDED,
    TakeOut.MERGED: ReviewState.SUPERSEDED,
    TakeOut.CORRECTED: ReviewState.REVIEWED,
}


def propose(
    verb: TakeOut,
    *,
    lesson_id: UUID,
    reviewer: "User",
    version: int,
    note: str,
    now: datetime,
    other: UUID | None = None,
) -> Lesson:
    """Ask a second person to take the lesson out. Raises as `changing.opened`, Invalid NOTE_MISSING, TEXT_TOO_LONG,
    and as `ask`."""
    changing.check_note(note)
    with changing.opened(lesson_id=lesson_id, reviewer=reviewer, version=version, now=now, other=other) as change:
        ask(change, verb, note=note)
    return change.lesson


def ask(
    change: Change, verb: TakeOut, *, note: str, tags: Collection[MistakeTag] = (), verdict: CaseVerdict | None = None
) -> None:
    """Ask about a lesson that is open for a change. Raises Conflict TAKING_OUT_PROPOSED where something waits already,
    and what second_person.request raises."""
    lesson, now = change.lesson, change.now
    if taking_out_request(lesson, now) is not None:
        raise Conflict(
            "TAKING_OUT_PROPOSED",
            "Something is proposed about this lesson already.",
            fix="Confirm it, or withdraw it, and then propose again.",
        )
    wanted: dict[str, Any] = {
        "verb": verb.value,
        "version": lesson.version,
        "other": str(change.other.pk) if change.other else "",
        "tags": sorted(tags),
        "verdict": verdict.value if verdict else "",
        "note": note.strip(),
    }
    asked = second_person.request(
        kind=KIND,
        subject=_subject(lesson),
        digest=_digest(lesson, wanted),
        summary=_summary(lesson, wanted)[: second_person.SUMMARY_LENGTH_MAX],
        requester=change.reviewer,
        now=now,
        ttl=second_person.TTL_MAX,
        roles=ROLES,
    )
    lesson.taking_out = {**wanted, "request": str(asked.pk)}
    lesson.save(update_fields=["taking_out"])
    events.record(
        stream=stream_of(lesson.case),
        kind="lesson.taking_out_proposed",
        actor=actor_of(change.reviewer),
        subject=stream_of(lesson.case),
        payload={"lesson": lesson.pk, **lesson.taking_out},
        now=now,
    )


def confirm(*, lesson_id: UUID, reviewer: "User", version: int, now: datetime) -> Lesson:
    """Second what another reviewer proposed, and carry it out in the same moment.

    Both must be reviewers of the desk with no interest in the case. Raises as `changing.opened` and
    second_person.second, and NotFound TAKING_OUT_NOT_PROPOSED where nothing waits for the lesson as it is now.
    """
    kept = Lesson.objects.filter(pk=lesson_id).values_list("taking_out", flat=True).first()
    other = UUID(kept["other"]) if kept and kept["other"] else None
    with (
        transaction.atomic(),
        changing.opened(lesson_id=lesson_id, reviewer=reviewer, version=version, now=now, other=other) as change,
    ):
        lesson = change.lesson
        asked = taking_out_request(lesson, now)
        if asked is None or kept is None or lesson.taking_out != kept:
            raise NotFound(
                "TAKING_OUT_NOT_PROPOSED",
                "Nothing that waits for a second person is proposed about this lesson as it is now.",
                fix="Look at it again; propose it anew.",
            )
        wanted: Mapping[str, Any] = kept
        used = _second(lesson, asked, wanted, reviewer, now)
        for person in filter(None, (used.requester, used.seconder)):
            changing.check_person(person)
            for one in filter(None, (lesson, change.other)):
                changing.of_reviewer(one, person, now)
        lesson.taking_out = None
        _carry_out(change, wanted)
        two = {"requester": used.requester_id, "seconder": used.seconder_id, "by": wanted["other"]}
        kind = "reviewed" if wanted["verb"] == TakeOut.CORRECTED else wanted["verb"].lower()
        changing.finish(change, kind, wanted["note"], two)
    return lesson


def _second(
    lesson: Lesson, asked: "SecondPersonRequest", wanted: Mapping[str, Any], reviewer: "User", now: datetime
) -> "SecondPersonRequest":
    if asked.seconder_id is None:
        second_person.second(request_id=asked.pk, seconder=reviewer, now=now)
    return second_person.use(kind=KIND, subject=_subject(lesson), digest=_digest(lesson, wanted), now=now)


def _carry_out(change: Change, wanted: Mapping[str, Any]) -> None:
    verb, lesson = TakeOut(wanted["verb"]), change.lesson
    change.set(lesson, "state", _STATES[verb])
    if verb is TakeOut.CORRECTED:
        changing.apply_tags(change, (), [MistakeTag(tag) for tag in wanted["tags"]], ())
        if wanted["verdict"]:
            change.set(lesson.case, "verdict", CaseVerdict(wanted["verdict"]))
        return
    change.set(lesson.case, "counts", False)
    if change.other is not None:
        change.set(lesson, "superseded_by_id", change.other.pk)
    if verb is TakeOut.MERGED and change.other is not None:
        _take_over(change, change.other, wanted["note"])


def _take_over(change: Change, other: Lesson, note: str) -> None:
    """The other lesson stands for both: with the tags that count here, and cause and rule where it has none."""
    taken = Change(lesson=other, reviewer=change.reviewer, now=change.now)
    own = set(CaseTag.objects.filter(case_id=other.case_id, disputed=True).values_list("tag", flat=True))
    counted = CaseTag.objects.filter(case_id=change.lesson.case_id, counts=True).values_list("tag", flat=True)
    changing.apply_tags(taken, (), (), [MistakeTag(tag) for tag in counted if tag not in own])
    for name in ("cause", "next_time"):
        if not getattr(other, name):
            taken.set(other, name, getattr(change.lesson, name))
    taken.set(other, "state", ReviewState.REVIEWED)
    changing.finish(taken, "took_over", f"Merged: {note}", {"of": change.lesson.pk})


def _subject(lesson: Lesson) -> str:
    return f"lesson:{lesson.pk}"


def _digest(lesson: Lesson, wanted: Mapping[str, Any]) -> str:
    value = {name: text for name, text in wanted.items() if name != "request"}
    return canonical.digest(canonical.encode("aika.lesson-taking-out/1", {"lesson": lesson.pk, **value}))


def _summary(lesson: Lesson, wanted: Mapping[str, Any]) -> str:
    """What would change, in words."""
    what = TakeOut(wanted["verb"]).sentence
    if wanted["tags"]:
        what += f" No mistake any more: {', '.join(wanted['tags'])}."
    if wanted["verdict"]:
        what += f" Verdict {lesson.case.verdict} becomes {wanted['verdict']}."
    why = f" Why: {wanted['note']}" if wanted["note"] else ""
    return f"{lesson.case}: {what}{why}"
