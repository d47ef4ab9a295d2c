"""Recalling what is like this. Two numbers, never one: a score that ranks, a count that policy uses.

The index suggests and the database decides: every case is read again there. Where the index cannot answer, tags, facts
and words are looked through in the database, and the answer says so. Nothing similar is an empty answer.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.common import statements
from apps.lessons.models import Recall, RecallItem
from apps.lessons.recall_types import COUNTED, K_DEFAULT, K_MAX, WINDOW_DAYS, IndexState, Question, RecallAnswer, Viewer
from apps.lessons.rules import holdout, keywords
from apps.lessons.rules.kept_scores import kept_score
from apps.lessons.rules.ranking import RankCandidate, Ranked, RankQuery, rank, weights_for
from apps.lessons.selectors import candidates, recalled
from apps.lessons.selectors.evidence import closed_question, evidence
from apps.lessons.selectors.spaces import active_question, lag, waiting_question
from apps.lessons.services import nearest, tagging
from apps.lessons.types import Evidence, Filters, RecallPurpose, Result

OVERFETCH: Final = 3
FETCH_MIN: Final = 30
FETCH_MAX: Final = 100
# What is remembered of the words of a question.
TEXT_KEPT_CHARS: Final = 2_000
KEYWORDS: Final = 8
# How surely a text must speak of a mistake for cases of it to be looked at, and for it to be called the same.
LOOKED_FOR: Final = 0.15
SAME: Final = 0.3


def recall(
    *,
    desk: UUID,
    question: Question,
    viewer: Viewer,
    purpose: RecallPurpose,
    now: datetime,
    k: int = K_DEFAULT,
    bound_s: float | None = None,
    remembers: bool | None = None,
) -> RecallAnswer:
    """Up to `k` lost trades of the desk like this one, and the most similar that won; stored with who saw them.

    `bound_s` is how long (seconds) the vector index may take; without it, its own bounds hold. `remembers` is whether
    the desk remembers anything, where the caller has read that. A question about a proposal of the hold-out share is
    answered and stored, and shows nothing. A desk that remembers nothing is asked for nothing, and nothing is stored.
    What fails in here leaves a transaction around it usable.
    """
    k = max(1, min(k, K_MAX))
    if not (recalled.has_cases(desk) if remembers is None else remembers):
        return unremembered(question, now=now)
    with apart():
        return _recall(desk, question, viewer, purpose, now, k, bound_s)


def unremembered(question: Question, *, now: datetime) -> RecallAnswer:
    """The answer at a desk that remembers nothing."""
    return RecallAnswer(id=None, asked_at=now, evidence=_nothing(question))


def apart() -> AbstractContextManager[object]:
    """A savepoint where a transaction is open; else nothing, for none is held open while an index is asked."""
    return transaction.atomic() if transaction.get_connection().in_atomic_block else nullcontext()


def _recall(
    desk: UUID,
    question: Question,
    viewer: Viewer,
    purpose: RecallPurpose,
    now: datetime,
    k: int,
    bound_s: float | None,
) -> RecallAnswer:
    limit = FETCH_MAX if question.filters != Filters() else min(FETCH_MAX, max(FETCH_MIN, OVERFETCH * k))
    space, waiting = active_question(), waiting_question()
    closed = closed_question(desk, window_days=WINDOW_DAYS, now=now)
    statements.ask(space, waiting, closed)
    near = nearest.nearest(
        space=next(iter(space.answer), None),
        waiting=lag(waiting, now),
        desk=desk,
        question=question,
        limit=limit,
        bound_s=bound_s,
    )
    counted = _counted(desk, question, closed, now)
    asked, ranked = _ranked(desk, question, near, counted, now, k)
    withheld = question.proposal_id is not None and holdout.is_withheld(
        question.proposal_id, settings.LESSONS_HOLDOUT_SHARE
    )
    stored = _kept(desk, question, viewer, purpose, asked, ranked, near.state, counted, withheld=withheld, now=now)
    return _answer(stored, counted, near.state, withheld=withheld, now=now)


def _ranked(
    desk: UUID, question: Question, near: nearest.Near, counted: Evidence, now: datetime, k: int
) -> tuple[dict[str, float], list[Ranked]]:
    cases = candidates.shown_cases(desk, question)
    asked = _tags_asked(question, near)
    by_tags = candidates.alike(desk, [tag for tag, sure in asked.items() if sure >= LOOKED_FOR], question.violated, now)
    rows = {row.id: row for row in candidates.rows_of(cases, near.cases | by_tags, weighed_in=near.weighed_in)}
    words = keywords.words_of(question.text)
    if near.state.degraded and words:
        longest = sorted(words, key=lambda word: (-len(word), word))[:KEYWORDS]
        rows |= {row.id: row for row in candidates.newest(cases, longest, weighed_in=near.weighed_in)}
    if question.counted_only:
        rows = {case: row for case, row in rows.items() if case in counted.case_ids or row.result == Result.WON}
    tags = candidates.tags_of(rows)
    violated = candidates.violations_of(rows) if question.violated else {}
    found = [
        RankCandidate(
            id=row.id,
            trade=str(row.proposal_id or row.source_id),
            product=row.product,
            asset_class=row.asset_class,
            side=row.side,
            tags=_tags_found(row, tags.get(row.id, {}), near),
            facts=violated.get(row.id, frozenset()),
            thesis=_likeness(row.id, row.thesis, near.thesis, words, near),
            narrative=_likeness(row.id, row.narrative, near.narrative, words, near),
            severity=0.0 if row.severity is None else int(row.severity * 10_000) / 10_000,
            closed_at=row.closed_at,
            won=row.result == Result.WON,
            text=f"{row.thesis} {row.narrative}",
        )
        for row in rows.values()
    ]
    query = RankQuery(
        product=question.product,
        asset_class=question.asset_class,
        side=question.side,
        tags=asked,
        facts=frozenset(question.violated),
    )
    return asked, rank(query, found, now, weights_for(near.provider.id if near.provider else ""), limit=k)


def _tags_asked(question: Question, near: nearest.Near) -> dict[str, float]:
    """The mistakes that rules see in it, surely, and those its words speak of."""
    return (dict(tagging.tags_of(question.text, near.provider)) if near.provider else {}) | dict.fromkeys(
        question.tags, 1.0
    )


def _tags_found(row: candidates.Row, kept: Mapping[str, float], near: nearest.Near) -> dict[str, float]:
    """The tags it has, and those its text speaks of: as it was weighed, or read here and now."""
    found: dict[str, float] = {}
    if row.weights is not None:
        found = tagging.tags_kept(row.weights)
    elif near.provider is not None:
        found = tagging.tags_of(tagging.text_of(row.thesis, row.narrative), near.provider)
    for tag, sure in kept.items():
        found[tag] = max(sure, found.get(tag, 0.0))
    return found


def _likeness(case: UUID, text: str, cosines: Mapping[UUID, float], asked: frozenset[str], near: nearest.Near) -> float:
    """The cosine the index found; without an index, the likeness of words."""
    return keywords.likeness(asked, text) if near.state.degraded else cosines.get(case, 0.0)


def _counted(desk: UUID, question: Question, closed: statements.Question[Any], now: datetime) -> Evidence:
    return evidence(
        desk_id=desk,
        tags=tuple(question.tags),
        violated_facts=question.violated,
        window_days=WINDOW_DAYS,
        verdicts=COUNTED,
        unknown_facts=question.unknown,
        closed=closed,
        now=now,
    )


def _nothing(question: Question) -> Evidence:
    return Evidence(
        n=0,
        losses=0,
        wins=0,
        base_rate=None,
        p_above_base=None,
        worst_r=None,
        window_days=WINDOW_DAYS,
        tags=tuple(question.tags),
        unknown_facts=question.unknown,
    )


def _kept(
    desk: UUID,
    question: Question,
    viewer: Viewer,
    purpose: RecallPurpose,
    asked: Mapping[str, float],
    ranked: Sequence[Ranked],
    state: IndexState,
    counted: Evidence,
    *,
    withheld: bool,
    now: datetime,
) -> tuple[Recall, list[RecallItem]]:
    """The recall as it is stored, in a transaction of its own."""
    stored = Recall(
        desk_id=desk,
        purpose=purpose,
        proposal_id=question.proposal_id,
        viewer_id=viewer.person_id,
        viewer_key=viewer.key[:80],
        text=question.text[:TEXT_KEPT_CHARS],
        space=state.space,
        degraded=state.degraded,
        withheld=withheld,
        evidence={
            "evidence": recalled.evidence_record(counted),
            "index": {
                "collection": state.collection,
                "reason": state.reason,
                "pending": state.pending,
                "lag_s": state.lag_s,
            },
        },
        asked_at=now,
    )
    items = [
        RecallItem(
            recall=stored,
            case_id=one.candidate.id,
            rank=place,
            score=kept_score(one.score),
            components={name: f"{kept_score(value):f}" for name, value in one.components.items()},
            matched={
                "tags": _same(asked, one.candidate.tags),
                "facts": sorted(one.candidate.facts & set(question.violated)),
                "product": bool(question.product) and one.candidate.product == question.product,
                "side": bool(question.side) and one.candidate.side == question.side,
            },
            counter_example=one.is_counter_example,
        )
        for place, one in enumerate(ranked, start=1)
    ]
    with transaction.atomic():
        stored.save(force_insert=True)
        RecallItem.objects.bulk_create(items)
    return stored, items


def _answer(
    stored: tuple[Recall, list[RecallItem]], counted: Evidence, state: IndexState, *, withheld: bool, now: datetime
) -> RecallAnswer:
    kept, items = stored
    cases = recalled.cases_of([item.case_id for item in items]) if items and not withheld else {}
    return RecallAnswer(
        id=kept.pk,
        asked_at=now,
        results=tuple(recalled.remembered(item, cases[item.case_id]) for item in items if item.case_id in cases),
        evidence=counted,
        index=state,
        withheld=withheld,
    )


def _same(asked: Mapping[str, float], found: Mapping[str, float]) -> list[str]:
    return sorted(tag for tag, sure in asked.items() if sure >= SAME and found.get(tag, 0.0) >= SAME)
