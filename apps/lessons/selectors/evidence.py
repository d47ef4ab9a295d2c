"""What policy counts: comparable closed trades of a desk, in SQL alone. Whether the vector index answers, or says what,
changes nothing here."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Value

from apps.common.statements import Question, Select
from apps.lessons.models import Case, CaseTag, CaseViolation
from apps.lessons.rules import evidence as rules
from apps.lessons.rules.detectors import BY_NAME
from apps.lessons.types import CaseSource, Evidence, Result

_WEIGHED: Final = ("case_id", "proposal_id", "lost", "verdict", "r_multiple", "told", "closed_at")


def _closed(desk: UUID, since: datetime, until: datetime) -> QuerySet[Case, tuple[str, str, int]]:
    """One count for each result and source: each is the length of one range of an index, and a hundred thousand trades
    need not be told apart one by one."""
    inside = Case.objects.filter(desk_id=desk, closed_at__gt=since, closed_at__lte=until, counts=True).order_by()
    first, *others = (
        inside.filter(result=result, source=source)
        .annotate(how=Value(result), told_by=Value(source))
        .values("how", "told_by")
        .annotate(cases=Count("*"))
        .values_list("how", "told_by", "cases")
        for result in (Result.WON.value, Result.LOST.value)
        for source in (one.value for one in CaseSource)
    )
    return first.union(*others, all=True)


_CLOSED: Final[Select[tuple[str, str, int]]] = Select(
    _closed,
    lambda result, source, cases: (result, source, cases),
    desk=UUID,
    since=datetime,
    until=datetime,
)


def closed_question(desk_id: UUID, *, window_days: int, now: datetime) -> Question[tuple[str, str, int]]:
    """How many trades of a desk that count closed in the days before `now`, by result and source; 0 where none did."""
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
    any_closed = any(cases for _, _, cases in closed.answer)
    return rules.weigh(_comparable(inside, frozenset(tags), violated | unknown) if any_closed else (), asked)


def _comparable(inside: Q, tags: frozenset[str], facts: frozenset[str]) -> list[rules.Comparable]:
    """Every case in the window with one of the tags, or with one of the facts broken."""
    counted = inside & Q(weighs=True)
    tagged: dict[UUID, tuple[Any, ...]] = {}
    if tags:
        rows = CaseTag.objects.filter(counted, counts=True, tag__in=tags).order_by()
        tagged = {row[0]: row for row in rows.values_list(*_WEIGHED)}
    known, broken = dict(tagged), dict[UUID, set[str]]()
    if facts:
        violations = CaseViolation.objects.filter(counted, fact__in=facts).order_by()
        for *row, fact in violations.values_list(*_WEIGHED, "fact"):
            known.setdefault(row[0], tuple(row))
            broken.setdefault(row[0], set()).add(fact)
    return [_made(*row, shares_tag=case in tagged, facts=broken.get(case, ())) for case, row in known.items()]


def _made(
    case_id: UUID,
    proposal_id: UUID | None,
    lost: bool,
    verdict: str,
    r_multiple: Decimal | None,
    told: bool,
    closed_at: datetime,
    *,
    shares_tag: bool,
    facts: Collection[str],
) -> rules.Comparable:
    return rules.Comparable(
        case_id=case_id,
        trade=proposal_id or case_id,
        lost=lost,
        verdict=verdict,
        r_multiple=r_multiple,
        closed_at=closed_at,
        shares_tag=shares_tag,
        facts=frozenset(facts),
        told=told,
    )
