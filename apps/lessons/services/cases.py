"""Closed trades are remembered, each once. One that lost teaches a lesson, in the transaction that closes it.

The memory never stands in the way of the books: what is too long for a label is cut, never refused.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import IntegrityError, connection, transaction

from apps.audit.services import events
from apps.audit.types import Actor
from apps.common import canonical
from apps.common.errors import Misconfigured
from apps.lessons.models import Case, CaseTag, CaseViolation, Lesson
from apps.lessons.rules import kept_facts, mistakes, results
from apps.lessons.rules.detectors import FACTS_VERSION
from apps.lessons.selectors.locking import locked_case
from apps.lessons.services import retelling, tagging
from apps.lessons.types import (
    STANDING,
    CaseVerdict,
    ClosedTrade,
    Fact,
    MistakeTag,
    Result,
    ReviewState,
    TagFound,
    TagSource,
)

logger = logging.getLogger(__name__)

MEMORY: Final = Actor.system("memory")
CORRECTED: Final = "The outcome was corrected: it is no loss any more."
BECAUSE_CHARS_MAX: Final = 200
FACT_CHARS_MAX: Final = 40
TEXT_CHARS_MAX: Final = 8_000

# Who is believed when two say the same of one case.
_FIRST: Final = (TagSource.HUMAN, TagSource.RULE, TagSource.REPORTED, TagSource.PROTOTYPE)
# What suggestions follow from: where none of it changed, those of then stay, whoever reads texts today.
_TOLD_BY: Final = frozenset({"thesis", "notes", "result"})
_LABELS: Final = {"product": 40, "asset_class": 20, "setup": 80, "exit_reason": 80, "regime": 20}


def remember(*, trade: ClosedTrade, now: datetime) -> Case:
    """The case of this closed trade, made or brought up to date, in the caller's transaction.

    Idempotent by (source, source_id): the same figures again change nothing; other figures correct the case, and what
    people made of it stays. A loss gets its lesson. The lesson of what turns out to be no loss is kept, and retired.
    Raises Misconfigured REMEMBERED_OUTSIDE_TRANSACTION: outcome and case are written together or not at all.
    """
    if not connection.in_atomic_block:
        raise Misconfigured(
            "REMEMBERED_OUTSIDE_TRANSACTION", "A trade is remembered in the transaction that closes it."
        )
    figures = _figures(trade)
    case = locked_case(source=trade.source, source_id=trade.source_id)
    if case is None:
        try:
            with transaction.atomic():
                return _begin(trade, figures, now)
        except IntegrityError:
            case = locked_case(source=trade.source, source_id=trade.source_id)
            if case is None:
                raise
    return _correct(case, trade, figures, now)


def stream_of(case: Case) -> str:
    """The audit stream of a case and its lesson."""
    return f"case:{case.pk}"


def _begin(trade: ClosedTrade, figures: Mapping[str, object], now: datetime) -> Case:
    case = Case(source=trade.source, source_id=trade.source_id, created_at=now, updated_at=now, **figures)
    tags = (*_all_tags(trade), *_suggested(trade))
    case.verdict = _verdict(trade, tags, case.result)
    lesson = _lesson_of(case, now) if case.result == Result.LOST else None
    retelling.retell(case, lesson)
    case.save(force_insert=True)
    _write_tags(case, tags)
    _write_violations(case, trade.facts)
    payload = {**_recorded(figures), "source": trade.source, "source_id": trade.source_id, "verdict": case.verdict}
    _record(case, "case.remembered", {**payload, "tags": _said(tags)}, now)
    if lesson is not None:
        lesson.save(force_insert=True)
        _record(case, "lesson.made", {"lesson": lesson.pk, "severity": lesson.severity}, now)
    retelling.index(case, now=now)
    return case


def _correct(case: Case, trade: ClosedTrade, figures: Mapping[str, object], now: datetime) -> Case:
    lesson = Lesson.objects.select_for_update(no_key=True).filter(case=case).first()
    changed = {name: (getattr(case, name), value) for name, value in figures.items() if getattr(case, name) != value}
    found = (*_all_tags(trade), *(_suggested(trade) if changed.keys() & _TOLD_BY else _suggested_before(case)))
    reviewed = lesson is not None and lesson.reviewed_at is not None
    verdict = case.verdict if reviewed else _verdict(trade, found, figures["result"])
    if verdict != case.verdict:
        changed["verdict"] = (case.verdict, verdict)
    tags_before = _tags_of(case)
    for name, (_, value) in changed.items():
        setattr(case, name, value)
    _write_tags(case, found)
    if "facts" in changed or "closed_at" in changed or "desk_id" in changed:
        _write_violations(case, trade.facts)
    tags = _tags_of(case)
    if tags != tags_before:
        changed["tags"] = (tags_before, tags)
    if not changed:
        return case
    before, after = ({name: pair[side] for name, pair in changed.items()} for side in (0, 1))
    payload = {"before": _recorded(before), "after": _recorded(after)}
    _record(case, "case.corrected", payload, now)
    lesson = _follow(case, lesson, now)
    retelling.retell(case, lesson)
    case.updated_at = now
    case.save()
    retelling.index(case, now=now)
    return case


def _follow(case: Case, lesson: Lesson | None, now: datetime) -> Lesson | None:
    """The lesson after its case was corrected: made, measured anew, retired, or standing again."""
    lost = case.result == Result.LOST
    if lesson is None:
        if not lost:
            return None
        lesson = _lesson_of(case, now)
        lesson.save(force_insert=True)
        _record(case, "lesson.made", {"lesson": lesson.pk, "severity": lesson.severity}, now)
        return lesson
    before = lesson.state, lesson.severity
    lesson.severity = _severity(case)
    if not lost and lesson.state in STANDING:
        lesson.state, lesson.review_note = ReviewState.RETIRED, CORRECTED
    elif lost and lesson.state == ReviewState.RETIRED and case.counts:
        # Retired by a correction, not by people, who would have taken the case out of the evidence.
        lesson.state = ReviewState.REVIEWED if lesson.reviewed_at else ReviewState.AUTO
        lesson.review_note = ""
    # What a reviewer has open is not what stands here now.
    lesson.version += 1
    lesson.save()
    if (lesson.state, lesson.severity) != before:
        payload = {
            "lesson": lesson.pk,
            "state": {"before": before[0], "after": lesson.state},
            "severity": {"before": before[1], "after": lesson.severity},
        }
        _record(case, "lesson.corrected", payload, now)
    return lesson


def _figures(trade: ClosedTrade) -> dict[str, object]:
    """The columns of a case that the trade itself gives."""
    result = results.result_of(trade.pnl)
    plan = trade.plan
    figures: dict[str, object] = {
        "desk_id": trade.desk,
        "environment": trade.environment,
        "proposal_id": trade.proposal_id,
        "proposer_id": trade.proposer_id,
        "approver_ids": [str(approver) for approver in trade.approver_ids],
        "product": trade.product,
        "asset_class": trade.asset_class,
        "side": trade.side,
        "quantity": trade.quantity,
        "quote_currency": trade.quote_currency,
        "entry_price": trade.entry_price,
        "exit_price": trade.exit_price,
        "fees": trade.fees,
        "pnl": trade.pnl,
        "pnl_pct": _ratio(trade.pnl_pct),
        "result": result,
        "r_multiple": _ratio(trade.r_multiple),
        "mfe_r": _ratio(trade.mfe_r),
        "mae_r": _ratio(trade.mae_r),
        "thesis": plan.thesis,
        "setup": plan.setup,
        "planned_entry": plan.entry,
        "planned_stop": plan.stop,
        "planned_target": plan.target,
        "planned_risk": plan.risk,
        "exit_reason": trade.exit_reason,
        "regime": trade.regime,
        "notes": trade.notes,
        "facts": kept_facts.rows_of(trade.facts),
        "facts_version": FACTS_VERSION,
        "opened_at": trade.opened_at,
        "closed_at": trade.closed_at,
    }
    return figures | {name: str(figures[name])[:chars] for name, chars in _LABELS.items()}


def _ratio(value: Decimal | None) -> Decimal | None:
    return None if value is None else results.ratio(value, Decimal(1))


def _verdict(trade: ClosedTrade, tags: Sequence[TagFound], result: object) -> CaseVerdict:
    """What rules over facts say. A trade that did not lose is no planned loss, however well it was planned."""
    verdict = mistakes.verdict_of(trade.facts, tags)
    return CaseVerdict.UNKNOWN if verdict is CaseVerdict.PLANNED_LOSS and result != Result.LOST else verdict


def _all_tags(trade: ClosedTrade) -> tuple[TagFound, ...]:
    """The mistakes that the facts show, and those that were handed over."""
    return (*mistakes.tags_of(trade.facts), *trade.tags)


def _suggested(trade: ClosedTrade) -> tuple[TagFound, ...]:
    """The mistakes that the words of a lost trade speak of, for a reviewer to look at. They decide nothing, so that a
    case is made without them where they cannot be had."""
    if results.result_of(trade.pnl) != Result.LOST:
        return ()
    try:
        return tagging.suggest(f"{trade.plan.thesis}\n{trade.notes}")
    except Exception:
        # A model's library may raise anything over a text, and a closed trade is remembered without a suggestion.
        logger.exception("Nothing is suggested for %s %s.", trade.source, trade.source_id)
        return ()


def _suggested_before(case: Case) -> tuple[TagFound, ...]:
    rows = case.tags.filter(source=TagSource.PROTOTYPE)
    return tuple(
        TagFound(tag=MistakeTag(row.tag), source=TagSource.PROTOTYPE, confidence=row.confidence, because=row.because)
        for row in rows
    )


def _lesson_of(case: Case, now: datetime) -> Lesson:
    return Lesson(case=case, severity=_severity(case), created_at=now)


def _severity(case: Case) -> Decimal:
    return results.severity(pnl=case.pnl, r_multiple=case.r_multiple, pnl_pct=case.pnl_pct)


def _write_tags(case: Case, found: Sequence[TagFound]) -> None:
    """Make the tags what was found, but for those that people said something of: these stay as they are."""
    best: dict[MistakeTag, TagFound] = {}
    for item in sorted(found, key=lambda item: (_FIRST.index(item.source), -item.confidence)):
        best.setdefault(item.tag, item)
    rows = {row.tag: row for row in case.tags.all()}
    gone = [row.pk for row in rows.values() if row.tag not in best and not _is_by_people(row)]
    if gone:
        CaseTag.objects.filter(pk__in=gone).delete()
    added = []
    for item in best.values():
        row = rows.get(item.tag)
        if row is None:
            added.append(_tag(case, item))
        else:
            _rewrite_tag(row, case, item)
    CaseTag.objects.bulk_create(added)


def _rewrite_tag(row: CaseTag, case: Case, item: TagFound) -> None:
    fresh = row if _is_by_people(row) else _tag(case, item)
    columns = ("desk_id", "closed_at", "source", "confidence", "because", "counts")
    values = {name: getattr(fresh, name) for name in columns} | {"desk_id": case.desk_id, "closed_at": case.closed_at}
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, values[name])
    if changed:
        row.save(update_fields=[name.removesuffix("_id") for name in changed])


def _tag(case: Case, item: TagFound) -> CaseTag:
    return CaseTag(
        case=case,
        desk_id=case.desk_id,
        closed_at=case.closed_at,
        tag=item.tag,
        source=item.source,
        confidence=_confidence(item.confidence),
        because=item.because[:BECAUSE_CHARS_MAX],
        # A reporter's word and a likeness are suggestions: they count once a person has confirmed them.
        counts=item.source in (TagSource.RULE, TagSource.HUMAN),
    )


def _confidence(value: Decimal) -> Decimal:
    return max(Decimal(0), min(Decimal(1), results.ratio(value, Decimal(1))))


def _is_by_people(row: CaseTag) -> bool:
    return row.source == TagSource.HUMAN or row.disputed or row.confirmed_at is not None


def _write_violations(case: Case, facts: Sequence[Fact]) -> None:
    case.violations.all().delete()
    broken = sorted({fact.name[:FACT_CHARS_MAX] for fact in facts if fact.violated})
    CaseViolation.objects.bulk_create(
        [CaseViolation(case=case, desk_id=case.desk_id, closed_at=case.closed_at, fact=name) for name in broken]
    )


def _tags_of(case: Case) -> list[dict[str, object]]:
    rows = CaseTag.objects.filter(case=case).order_by("tag")
    return [
        {
            "tag": row.tag,
            "source": row.source,
            "confidence": row.confidence,
            "counts": row.counts,
            "closed_at": row.closed_at,
        }
        for row in rows
    ]


def _recorded(values: Mapping[str, object]) -> dict[str, object]:
    """Values as an audit event takes them: of a text beyond any reason its hash, so that no event is too large."""
    return {
        name: canonical.digest(value.encode()) if isinstance(value, str) and len(value) > TEXT_CHARS_MAX else value
        for name, value in values.items()
    }


def _said(found: Sequence[TagFound]) -> list[dict[str, object]]:
    return [{"tag": item.tag, "source": item.source, "confidence": item.confidence} for item in found]


def _record(case: Case, kind: str, payload: Mapping[str, object], now: datetime) -> None:
    events.record(stream=stream_of(case), kind=kind, actor=MEMORY, subject=stream_of(case), payload=payload, now=now)
