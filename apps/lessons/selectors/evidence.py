"""What policy counts: comparable closed trades of a desk, in SQL alone. Whether the vector index answers, or says what,
changes nothing here."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, Q

from apps.common.statements import Question, Select
from apps.lessons.models import Case, CaseTag, CaseViolation
from apps.lessons.rules import evidence as rules
from apps.lessons.rules.detectors import BY_NAME
from apps.lessons.types import CaseSource, Evidence, Result

_ENDED: Final = (Result.WON.value, Result.LOST.value)
_OF_CASE: Final = (
    "case_id",
    "case__proposal_id",
    "case__result",
    "case__verdict",
    "case__r_multiple",
    "case__source",
    "closed_at",
)


_CLOSED: Final[Select[tuple[str, str, int]]] = Select(
    lambda desk, since, until: (
        Case.objects.filter(desk_id=desk, closed_at__gt=since, closed_at__lte=until, counts=True, result__in=_ENDED)
        .order_by()
        .values_list("result", "source")
        .annotate(cases=Count("*"))
    ),
    lambda result, source, cases: (result, source, cases),
    desk=UUID,
    since=datetime,
    until=datetime,
)


def closed_question(desk_id: UUID, *, window_days: int, now: datetime) -> Question[tuple[str, str, int]]:
    """How many trades of a desk that count closed in the days before `now`, by result and source."""
    return _CLOSED(desk=desk_id, since=now - timedelta(days=window_days), until=now)


def evidence(
    *,
    desk_id: UUID,
    tags: Collection[str],
    violated_facts: Collection[str],
    window_days: int,
    verdicts: Collection[str],
    now: datetime,
    unknown_facts: Collection[str] = (),
    closed: Question[tuple[str, str, int]] | None = None,
) -> Evidence:
    """What closed trades like this one came to in the days before `now`. `closed` is `closed_question` of the same,
    where it was asked already.

    Like it are those that share a mistake that counts, or two broken facts; those that broke a fact which is not known
    of this one are counted apart, as `supposing`. Disputed, superseded and retired cases do not count, and a trade that
    was closed in parts counts once.
    """
    since = now - timedelta(days=window_days)
    inside = Q(desk_id=desk_id, closed_at__gt=since, closed_at__lte=now)
    violated, unknown = frozenset(violated_facts), frozenset(unknown_facts) - frozenset(violated_facts)
    totals = Counter[str]()
    closed = closed or closed_question(desk_id, window_days=window_days, now=now)
    for result, source, cases in closed.answer:
        totals[result] += cases if source != CaseSource.REPORTED else 0
    lost = totals[Result.LOST.value]
    asked = rules.Asked(
        tags=sorted(tags),
        violated=violated,
        unknown=unknown,
        verdicts=frozenset(verdicts),
        window_days=window_days,
        closed=totals.total(),
        lost=lost,
        tagless=frozenset(name for name in unknown if name in BY_NAME and BY_NAME[name].tag is None),
    )
    return rules.weigh(_comparable(inside, frozenset(tags), violated | unknown) if totals else (), asked)


def _comparable(inside: Q, tags: frozenset[str], facts: frozenset[str]) -> list[rules.Comparable]:
    """Every case in the window with one of the tags, or with one of the facts broken."""
    counted = Q(case__counts=True, case__result__in=_ENDED)
    tagged: dict[UUID, tuple[Any, ...]] = {}
    if tags:
        rows = CaseTag.objects.filter(inside, counted, counts=True, tag__in=tags).order_by()
        tagged = {row[0]: row for row in rows.values_list(*_OF_CASE)}
    known, broken = dict(tagged), dict[UUID, set[str]]()
    if facts:
        violations = CaseViolation.objects.filter(inside, counted, fact__in=facts).order_by()
        for *row, fact in violations.values_list(*_OF_CASE, "fact"):
            known.setdefault(row[0], tuple(row))
            broken.setdefault(row[0], set()).add(fact)
    return [_made(*row, shares_tag=case in tagged, facts=broken.get(case, ())) for case, row in known.items()]


def _made(
    case_id: UUID,
    proposal_id: UUID | None,
    result: str,
    verdict: str,
    r_multiple: Decimal | None,
    source: str,
    closed_at: datetime,
    *,
    shares_tag: bool,
    facts: Collection[str],
) -> rules.Comparable:
    return rules.Comparable(
        case_id=case_id,
        trade=proposal_id or case_id,
        lost=result == Result.LOST.value,
        verdict=verdict,
        r_multiple=r_multiple,
        closed_at=closed_at,
        shares_tag=shares_tag,
        facts=frozenset(facts),
        told=source == CaseSource.REPORTED,
    )
