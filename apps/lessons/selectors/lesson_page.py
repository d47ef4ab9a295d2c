"""What a lesson's page shows: the mistakes seen, what was measured, where it was recalled, what people said since."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from django.db.models import Count, Q, QuerySet

from apps.audit.selectors import events_of, facts_of
from apps.lessons.models import CaseTag, Lesson, RecallItem
from apps.lessons.types import FeedbackVerdict, MistakeTag, TagSource

EVENTS_SHOWN_MAX: Final = 50
RECALLS_SHOWN_MAX: Final = 10

_SAID_BY: Final = {
    TagSource.RULE: "found by a rule over the facts",
    TagSource.PROTOTYPE: "suggested: the words are like it",
    TagSource.REPORTED: "said by whoever reported the trade",
    TagSource.HUMAN: "said by a reviewer",
}
_TOLD: Final = {
    "case.remembered": "The trade was remembered",
    "case.corrected": "The outcome was corrected",
    "lesson.made": "The lesson was made",
    "lesson.corrected": "The lesson followed the correction",
    "lesson.reviewed": "Reviewed",
    "lesson.taking_out_proposed": "Proposed that it counts for less",
    "lesson.disputed": "Disputed",
    "lesson.retired": "Retired",
    "lesson.reinstated": "Reinstated",
    "lesson.rested": "Not shown any more: nobody found it useful",
    "lesson.woken": "Shown again",
    "lesson.superseded": "Superseded by another lesson",
    "lesson.merged": "Merged into another lesson",
    "lesson.took_over": "Another lesson was merged into this one",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TagLine:
    """A mistake seen in the case: who says so, and whether it counts."""

    tag: str
    words: str
    said_by: str
    because: str
    counts: bool
    disputed: bool
    confirmed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FactLine:
    """One thing measured at decision time, as text; `state` is broken, kept, unknown or plain (no limit). `told` is one
    that nobody measured: who proposed or reported the trade says so."""

    words: str
    value: str
    unit: str
    limit: str
    state: str
    told: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallLine:
    """One time the case was shown to somebody."""

    at: datetime
    purpose: str
    viewer: str
    proposal_id: object
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """One thing that happened to the lesson."""

    at: datetime
    words: str
    by: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonPage:
    """Everything beside the row itself. `shown`, `useful` and `not_similar` are counts over all recalls."""

    tags: tuple[TagLine, ...]
    more_tags: tuple[tuple[str, str], ...]
    facts: tuple[FactLine, ...]
    unknown: tuple[str, ...]
    recalls: tuple[RecallLine, ...]
    shown: int
    useful: int
    not_similar: int
    events: tuple[EventLine, ...]
    replaced: tuple[Lesson, ...]


def lesson_page(lesson: Lesson) -> LessonPage:
    """What stands on the page of this lesson."""
    rows = list(CaseTag.objects.filter(case_id=lesson.case_id).select_related("confirmed_by"))
    held = {row.tag for row in rows}
    items = RecallItem.objects.filter(case_id=lesson.case_id)
    said = items.aggregate(
        shown=Count("recall", distinct=True),
        useful=Count("feedback", filter=Q(feedback__verdict=FeedbackVerdict.USEFUL)),
        not_similar=Count("feedback", filter=Q(feedback__verdict=FeedbackVerdict.NOT_SIMILAR)),
    )
    facts = [_fact_line(fact) for fact in lesson.case.facts]
    return LessonPage(
        tags=tuple(_tag_line(row) for row in rows),
        more_tags=tuple((tag.value, tag_words(tag)) for tag in MistakeTag if tag not in held),
        facts=tuple(sorted((fact for fact in facts if fact.state != "unknown"), key=_worst_first)),
        unknown=tuple(sorted(fact.words for fact in facts if fact.state == "unknown")),
        recalls=tuple(_recall_line(item) for item in _last(items)),
        **said,
        events=_events(lesson),
        replaced=tuple(lesson.supersedes.select_related("case")),
    )


def tag_words(tag: str) -> str:
    """A tag as people say it: `stop too tight`."""
    return tag.replace("_", " ")


def _last(items: QuerySet[RecallItem]) -> list[RecallItem]:
    rows = items.select_related("recall__viewer").order_by("-recall__asked_at")
    return list(rows[:RECALLS_SHOWN_MAX])


def _tag_line(row: CaseTag) -> TagLine:
    return TagLine(
        tag=row.tag,
        words=tag_words(row.tag),
        said_by=_SAID_BY[TagSource(row.source)],
        because=row.because,
        counts=row.counts,
        disputed=row.disputed,
        confirmed_by=row.confirmed_by.shown_name if row.confirmed_by is not None else "",
    )


def _fact_line(fact: Mapping[str, object]) -> FactLine:
    value, violated = fact["value"], fact["violated"]
    state = {True: "broken", False: "kept"}.get(cast("bool", violated), "plain")
    return FactLine(
        words=tag_words(str(fact["name"])),
        value="" if value is None else str(value),
        unit=str(fact["unit"]),
        limit="" if fact["limit"] is None else str(fact["limit"]),
        state="unknown" if value is None else state,
        told=bool(fact.get("told")),
    )


def _worst_first(fact: FactLine) -> tuple[int, str]:
    return ("broken", "kept", "plain").index(fact.state), fact.words


def _recall_line(item: RecallItem) -> RecallLine:
    recall = item.recall
    return RecallLine(
        at=recall.asked_at,
        purpose=recall.purpose,
        viewer=recall.viewer.shown_name if recall.viewer is not None else recall.viewer_key,
        proposal_id=recall.proposal_id,
        rank=item.rank,
    )


def _events(lesson: Lesson) -> tuple[EventLine, ...]:
    rows = events_of(f"case:{lesson.case_id}").reverse()[:EVENTS_SHOWN_MAX]
    lines = []
    for row in rows:
        body = facts_of(row)
        actor, payload = cast("dict[str, object]", body["actor"]), cast("dict[str, object]", body["payload"])
        lines.append(
            EventLine(
                at=row.recorded_at,
                words=_TOLD.get(row.kind, row.kind),
                by=str(actor["name"]),
                note=str(payload.get("note", "")),
            )
        )
    return tuple(lines)
