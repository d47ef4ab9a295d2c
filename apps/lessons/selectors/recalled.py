"""What was recalled, read again: every row is re-read from the database, so that what was removed since drops out."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from apps.common.statements import Figure, Question
from apps.lessons.models import Case, Lesson, Recall, RecallFeedback, RecallItem
from apps.lessons.recall_types import IndexState, RecallAnswer, Remembered
from apps.lessons.types import Evidence, RecallPurpose

_ANY_CASE: Final[Figure[bool]] = Figure(
    lambda desk: Case.objects.filter(desk_id=desk).order_by().values_list("pk")[:1],
    lambda pk: pk is not None,
    desk=UUID,
)

_OF_REMEMBERED: Final = (
    "proposer_id",
    "proposal_id",
    "source_id",
    "product",
    "side",
    "quantity",
    "quote_currency",
    "pnl",
    "r_multiple",
    "result",
    "verdict",
    "facts",
    "summary",
    "exit_reason",
    "opened_at",
    "closed_at",
    "lesson__case",
    "lesson__state",
    "lesson__cause",
    "lesson__next_time",
)


def any_case(desk_id: UUID) -> Question[bool]:
    """Answered with one True where there is one: see `has_cases`."""
    return _ANY_CASE(desk=desk_id)


def has_cases(desk_id: UUID) -> bool:
    """Whether this desk remembers anything at all."""
    return any_case(desk_id).answer == [True]


def latest_recall(
    *, proposal_id: UUID, purpose: RecallPurpose, viewer_id: UUID | None = None, since: datetime | None = None
) -> Recall | None:
    """The newest recall of this proposal for a purpose, and for one person where `viewer_id` names them."""
    rows = Recall.objects.filter(proposal_id=proposal_id, purpose=purpose)
    if viewer_id is not None:
        rows = rows.filter(viewer_id=viewer_id)
    if since is not None:
        rows = rows.filter(asked_at__gte=since)
    return rows.order_by("-asked_at").first()


def answer_of(recall: Recall) -> RecallAnswer:
    """A stored recall as it was answered; cases that do not count any more, and lessons that rest, are left out."""
    shown = RecallItem.objects.filter(recall=recall, case__counts=True, case__lesson__rests_since__isnull=True)
    items = shown.select_related("case__lesson").order_by("rank")
    kept: dict[str, Any] = recall.evidence or {}
    return RecallAnswer(
        id=recall.pk,
        asked_at=recall.asked_at,
        results=() if recall.withheld else tuple(remembered(item, item.case) for item in items),
        evidence=evidence_of(kept.get("evidence")),
        index=IndexState(space=recall.space, degraded=recall.degraded, **kept.get("index", {})),
        withheld=recall.withheld,
    )


def cases_of(ids: Collection[UUID]) -> dict[UUID, Case]:
    """These cases as `remembered` reads them, without what it does not."""
    return Case.objects.select_related("lesson").only(*_OF_REMEMBERED).in_bulk(list(ids))


def remembered(item: RecallItem, case: Case) -> Remembered:
    """One item of an answer, with its case as it is now. Reads `case.lesson`: load it with the row."""
    lesson = lesson_of(case)
    return Remembered(
        item=item.pk,
        case=case.pk,
        proposer_id=case.proposer_id,
        lesson=lesson.pk if lesson else None,
        trade=case.source_id,
        proposal_id=case.proposal_id,
        rank=item.rank,
        score=item.score,
        components=item.components,
        tags=tuple(item.matched.get("tags", ())),
        facts=tuple(item.matched.get("facts", ())),
        measured=measured(case.facts, item.matched.get("facts", ())),
        is_counter_example=item.counter_example,
        result=case.result,
        verdict=case.verdict,
        product=case.product,
        side=case.side,
        quantity=case.quantity,
        currency=case.quote_currency,
        pnl=case.pnl,
        r_multiple=case.r_multiple,
        summary=case.summary,
        exit_reason=case.exit_reason,
        cause=lesson.cause if lesson else "",
        next_time=lesson.next_time if lesson else "",
        review_state=lesson.state if lesson else "",
        opened_at=case.opened_at,
        closed_at=case.closed_at,
    )


def lesson_of(case: Case) -> Lesson | None:
    """The lesson of a case; None where it has none."""
    return getattr(case, "lesson", None)


def measured(facts: Sequence[Mapping[str, Any]], names: Collection[str]) -> dict[str, str]:
    """What was measured of each of these facts: value, unit and limit in words."""
    found = {}
    for fact in facts:
        if fact["name"] in names and fact.get("value") is not None:
            unit = f" {fact['unit']}" if fact.get("unit") else ""
            limit = f", the limit is {fact['limit']}" if fact.get("limit") is not None else ""
            found[str(fact["name"])] = f"{fact['value']}{unit}{limit}"
    return found


def lesson_at(lesson_id: UUID, desks: Collection[UUID]) -> Lesson | None:
    """A lesson of one of these desks, with its case; None for any other."""
    return Lesson.objects.select_related("case", "reviewed_by").filter(pk=lesson_id, case__desk__in=desks).first()


def said_beside(*, person_id: UUID, proposal_id: UUID) -> dict[UUID, str]:
    """What this person said last of each case recalled beside this proposal, by case."""
    rows = RecallFeedback.objects.filter(person_id=person_id, item__recall__proposal_id=proposal_id)
    return dict(rows.order_by("said_at").values_list("item__case_id", "verdict"))


def evidence_record(evidence: Evidence) -> dict[str, Any]:
    """The count as it is stored with a recall and answered: numbers as text."""
    return {
        "n": evidence.n,
        "losses": evidence.losses,
        "wins": evidence.wins,
        "base_rate": _text(evidence.base_rate),
        "p_above_base": _text(evidence.p_above_base),
        "worst_r": _text(evidence.worst_r),
        "window_days": evidence.window_days,
        "case_ids": [str(one) for one in evidence.case_ids],
        "tags": list(evidence.tags),
        "unknown_facts": list(evidence.unknown_facts),
    }


def evidence_of(kept: Mapping[str, Any] | None) -> Evidence | None:
    """The count as it was stored."""
    if kept is None:
        return None
    return Evidence(
        n=kept["n"],
        losses=kept["losses"],
        wins=kept["wins"],
        window_days=kept["window_days"],
        case_ids=tuple(UUID(one) for one in kept["case_ids"]),
        tags=tuple(kept["tags"]),
        unknown_facts=tuple(kept["unknown_facts"]),
        base_rate=_number(kept["base_rate"]),
        p_above_base=_number(kept["p_above_base"]),
        worst_r=_number(kept["worst_r"]),
    )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
