"""Closed trades of a desk as they were known at each moment, and what came of recalling: what measuring is made of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Count, Exists, Max, OuterRef, QuerySet

from apps.lessons.models import Case, CaseTag, Evaluation, Recall, RecallFeedback, RecallItem
from apps.lessons.rules import mistakes
from apps.lessons.rules.detectors import BY_NAME
from apps.lessons.rules.holdout import Shown
from apps.lessons.rules.kept_facts import facts_of
from apps.lessons.rules.walkforward import Held, Past
from apps.lessons.types import CaseSource, FeedbackVerdict, RecallPurpose, Result, TagSource

CASES_MAX: Final = 3_000
"""So many of the newest are walked: ten seconds of a processor where all of them closed within the window, of the 90
that a task may take."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What people said of recalled lessons, each person's last word; of how many that were shown."""

    shown: int
    useful: int
    not_similar: int


def desks_to_measure() -> list[UUID]:
    """Desks that remember anything; what was never measured first, then what was measured longest ago."""
    measured = dict(Evaluation.objects.order_by().values_list("desk_id").annotate(Max("made_at")))
    found = Case.objects.order_by().values_list("desk_id", flat=True).distinct()
    return sorted(found, key=lambda desk: (measured.get(desk, _NEVER), desk))


def past_of(desk_id: UUID, *, as_of: datetime, space: str) -> tuple[list[Past], dict[UUID, str]]:
    """The newest trades of the desk that were closed by `as_of`, and their theses by case. `space` is the one whose
    recalls are read, since scores of two are never compared."""
    closed = Case.objects.filter(desk_id=desk_id, closed_at__lte=as_of).select_related("lesson")
    cases = list(closed.order_by("-closed_at", "pk")[:CASES_MAX])
    held = _held({case.pk: case for case in cases})
    scores = _scores(desk_id, as_of=as_of, space=space)
    past = [_past(case, held.get(case.pk, ()), scores) for case in cases]
    return past, {case.pk: case.thesis_text for case in cases if case.thesis_text}


def _past(case: Case, held: tuple[Held, ...], scores: Mapping[UUID, float]) -> Past:
    facts = facts_of(case.facts)
    then = [fact for fact in facts if fact.violated and not _is_known_afterwards(fact.name)]
    ruled = mistakes.verdict_of(facts, mistakes.tags_of(facts)).value
    reviewed_at = _reviewed_at(case)
    decided_at = case.closed_at if case.opened_at is None else min(case.opened_at, case.closed_at)
    return Past(
        id=case.pk,
        desk=case.desk_id,
        trade=case.proposal_id or case.pk,
        product=case.product,
        side=case.side,
        result=Result(case.result),
        decided_at=decided_at,
        closed_at=case.closed_at,
        broken=frozenset(fact.name for fact in then),
        seen=frozenset(found.tag.value for found in mistakes.tags_of(then)),
        mistakes=held,
        verdict=case.verdict if reviewed_at is None else ruled,
        reviewed=None if reviewed_at is None else (reviewed_at, case.verdict),
        counted_until=None if case.counts else reviewed_at or case.closed_at,
        r_multiple=case.r_multiple,
        told=case.source == CaseSource.REPORTED,
        shown=None if case.proposal_id is None else scores.get(case.proposal_id),
    )


def _is_known_afterwards(fact: str) -> bool:
    return fact in BY_NAME and BY_NAME[fact].afterwards


def _reviewed_at(case: Case) -> datetime | None:
    lesson = getattr(case, "lesson", None)
    return None if lesson is None else lesson.reviewed_at


def _held(cases: Mapping[UUID, Case]) -> dict[UUID, tuple[Held, ...]]:
    """A rule's mistake counts from the close, another from when a person confirmed it; neither once it is disputed,
    which was at the last review or before it."""
    found: dict[UUID, list[Held]] = {}
    for row in CaseTag.objects.filter(case__in=cases).order_by("pk"):
        since = row.closed_at if row.source == TagSource.RULE else row.confirmed_at
        if since is not None and (row.counts or row.disputed):
            until = (_reviewed_at(cases[row.case_id]) or since) if row.disputed else None
            found.setdefault(row.case_id, []).append(Held(tag=row.tag, since=since, until=until))
    return {case: tuple(held) for case, held in found.items()}


def _scores(desk_id: UUID, *, as_of: datetime, space: str) -> dict[UUID, float]:
    """The score of the nearest lesson that was recalled first for each proposal; 0 where nothing was similar."""
    asked = Recall.objects.filter(
        desk_id=desk_id,
        purpose=RecallPurpose.PROPOSAL,
        proposal_id__isnull=False,
        asked_at__lte=as_of,
        space=space,
        degraded=False,
    )
    first: dict[UUID, UUID] = {}
    for recall, proposal in asked.order_by("asked_at", "pk").values_list("pk", "proposal_id"):
        if proposal is not None:
            first.setdefault(proposal, recall)
    items = RecallItem.objects.filter(recall__in=asked, counter_example=False).order_by("-rank")
    best: dict[UUID, Decimal] = dict(items.values_list("recall_id", "score"))
    return {proposal: int(best.get(recall, Decimal(0)) * _MILLION) / _MILLION for proposal, recall in first.items()}


def answers_of(desk_id: UUID, *, as_of: datetime) -> Iterator[Shown]:
    """Every answer about a proposal that had a lesson in it, shown or withheld, with what became of the proposal."""
    brought: dict[UUID, list[Decimal | None]] = {}
    closed = Case.objects.filter(desk_id=desk_id, proposal_id__isnull=False, closed_at__lte=as_of).order_by()
    for proposal, pnl in closed.values_list("proposal_id", "pnl"):
        if proposal is not None:
            brought.setdefault(proposal, []).append(pnl)
    items = RecallItem.objects.filter(recall=OuterRef("pk"), counter_example=False)
    asked = _shown_to_somebody(desk_id, as_of).filter(Exists(items), proposal_id__isnull=False)
    for proposal, at, withheld in asked.order_by("asked_at").values_list("proposal_id", "asked_at", "withheld"):
        if proposal is not None:
            yield Shown(proposal=proposal, asked_at=at, withheld=withheld, lost=_lost(brought.get(proposal)))


def _lost(parts: list[Decimal | None] | None) -> bool | None:
    """Whether all parts of a trade together lost; None without any, or where one of them is not known."""
    known = [pnl for pnl in parts or () if pnl is not None]
    return sum(known) < 0 if parts and len(known) == len(parts) else None


def said_of(desk_id: UUID, *, as_of: datetime) -> Said:
    """What was said by then of lessons that were recalled at this desk."""
    seen = _shown_to_somebody(desk_id, as_of).filter(withheld=False)
    verdicts = RecallFeedback.objects.filter(item__recall__desk_id=desk_id, said_at__lte=as_of).order_by()
    said = dict(verdicts.values_list("verdict").annotate(Count("pk")))
    return Said(
        shown=RecallItem.objects.filter(recall__in=seen, counter_example=False).count(),
        useful=said.get(FeedbackVerdict.USEFUL, 0),
        not_similar=said.get(FeedbackVerdict.NOT_SIMILAR, 0),
    )


def _shown_to_somebody(desk_id: UUID, as_of: datetime) -> QuerySet[Recall]:
    """Recalls whose answer somebody was to read, or was kept from reading; what policy asks for itself is none."""
    return Recall.objects.filter(desk_id=desk_id, asked_at__lte=as_of).exclude(purpose=RecallPurpose.POLICY).order_by()
