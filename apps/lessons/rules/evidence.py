"""Whether trades like one that is asked for lost more often than a desk's others. Pure.

Rank and count are two things: what is shown is ranked by likeness, what policy counts is exact. A trade is comparable
by a mistake that counts, or by two broken facts. Wins are counted as well, for a rate; a loss only where its verdict is
one of those asked for, since a plan that was kept and lost is nobody's mistake.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext
from typing import Final
from uuid import UUID

from apps.lessons.types import Evidence

# What is usual at a desk that has few other trades to tell: as if ten more were known, of which four lost.
PRIOR_TRADES: Final = 10
PRIOR_LOST: Final = 4
FACTS_SHARED_MIN: Final = 2
ALL: Final = "all"
_RATE_STEP: Final = Decimal("0.000001")
_P_STEP: Final = Decimal("0.000000001")
_WIDE: Final = Context(prec=40)
_NOTHING: Final = Decimal("1e-30")
_SURE: Final = Decimal("1e-20")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparable:
    """A closed trade that shares something. `trade` is the same for the parts that one trade was closed in; `facts` are
    the broken ones among those asked about; `told` where a program says that it took place and ended so."""

    case_id: UUID
    trade: UUID
    lost: bool
    verdict: str
    r_multiple: Decimal | None
    closed_at: datetime
    shares_tag: bool
    facts: frozenset[str] = frozenset()
    told: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked about. `tagless` are those of the unknown facts that show no mistake of the list, and make a trade
    comparable only beside another. `closed` and `lost` are all closed trades of the desk in the window that count, won
    or lost, and those of them that lost, without what is only told: whoever asks could make losing look usual."""

    tags: Sequence[str]
    violated: frozenset[str]
    unknown: frozenset[str]
    verdicts: frozenset[str]
    window_days: int
    closed: int
    lost: int
    tagless: frozenset[str] = frozenset()


def p_above(*, losses: int, wins: int, base: Decimal) -> Decimal:
    """How probable it is that a loss rate is above `base` (between 0 and 1) after so many losses and wins, and with
    nothing known before: P(Beta(1 + losses, 1 + wins) > base), rounded up to nine places.

    With whole numbers that is a sum: of at most `losses` hits in `losses + wins + 1` trials of chance `base`. Each term
    follows from its neighbour; they are summed from the largest to both sides until they are below 1e-30 of it, so that
    it is off by less than 1e-20 before it is rounded, however many trades there are.
    """
    if losses < 0 or wins < 0 or not 0 < base < 1:
        raise ValueError("Counts are not negative, and a base rate lies between 0 and 1.")
    trials = losses + wins + 1
    with localcontext(_WIDE):
        odds = base / (1 - base)
        peak = min(int((trials + 1) * base), trials)
        total = at_most = Decimal(0)
        term, hits = Decimal(1), peak
        while term > _NOTHING:
            total += term
            if hits <= losses:
                at_most += term
            term = term * hits / ((trials - hits + 1) * odds)
            hits -= 1
        term, hits = Decimal(trials - peak) / (peak + 1) * odds, peak + 1
        while term > _NOTHING:
            total += term
            if hits <= losses:
                at_most += term
            term = term * (trials - hits) / (hits + 1) * odds
            hits += 1
        return min((at_most / total).quantize(_SURE).quantize(_P_STEP, ROUND_CEILING), Decimal(1))


def base_rate(*, lost: int, closed: int) -> Decimal:
    """What part of the desk's other trades lost, leaning to four of ten where these are few; rounded down to six
    places, and never 0 or 1: nothing is usual enough to be certain."""
    with localcontext(_WIDE):
        rate = Decimal(lost + PRIOR_LOST) / (closed + PRIOR_TRADES)
        return max(rate.quantize(_RATE_STEP, ROUND_FLOOR), _RATE_STEP)


def weigh(trades: Iterable[Comparable], asked: Asked) -> Evidence:
    """What these trades come to, and what they would come to if what is unknown were as bad as it was in them."""
    found = tuple(trades)
    known = [one for one in found if _is_like(one, asked, frozenset())]
    evidence = _count(known, asked)
    return Evidence(
        n=evidence.n,
        losses=evidence.losses,
        wins=evidence.wins,
        base_rate=evidence.base_rate,
        p_above_base=evidence.p_above_base,
        worst_r=evidence.worst_r,
        window_days=asked.window_days,
        case_ids=evidence.case_ids,
        tags=tuple(asked.tags),
        unknown_facts=tuple(sorted(asked.unknown)),
        supposing=_worse(evidence, _supposing(found, asked)),
        details=evidence.details,
    )


def _is_like(trade: Comparable, asked: Asked, supposed: frozenset[str]) -> bool:
    return (
        trade.shares_tag
        or bool(trade.facts & supposed - asked.tagless)
        or len(trade.facts & (asked.violated | supposed)) >= FACTS_SHARED_MIN
    )


def _supposing(found: Sequence[Comparable], asked: Asked) -> Mapping[str, Evidence]:
    """The count for each unknown fact that was broken in one of them, and for all of these together."""
    broken = sorted({fact for one in found for fact in one.facts & asked.unknown})
    groups: dict[str, frozenset[str]] = {fact: frozenset({fact}) for fact in broken}
    if len(broken) > 1:
        groups[ALL] = frozenset(broken)
    return {
        name: _count([one for one in found if _is_like(one, asked, facts)], asked, supposed=facts - asked.tagless)
        for name, facts in groups.items()
    }


def _worse(known: Evidence, supposing: Mapping[str, Evidence]) -> Mapping[str, Evidence]:
    """Those of them that no other speaks louder than: in losses, probability and the worst loss at once."""
    kept: dict[str, Evidence] = {}
    for name, one in supposing.items():
        rivals = (known, *kept.values())
        if any(_speaks_as_loud(rival, one) for rival in rivals):
            continue
        kept = {other: two for other, two in kept.items() if not _speaks_as_loud(one, two)}
        kept[name] = one
    return kept


def _speaks_as_loud(one: Evidence, other: Evidence) -> bool:
    return (
        one.losses >= other.losses
        and (one.p_above_base or 0) >= (other.p_above_base or 0)
        and (one.worst_r or 0) >= (other.worst_r or 0)
    )


def _count(trades: Sequence[Comparable], asked: Asked, supposed: frozenset[str] = frozenset()) -> Evidence:
    chosen: dict[UUID, Comparable] = {}
    # A win that is only told is no evidence: whoever asks could report as many as it takes.
    for one in (one for one in trades if one.lost or not one.told):
        before = chosen.get(one.trade)
        if before is None or _rank(one, asked) > _rank(before, asked):
            chosen[one.trade] = one
    losses = [one for one in chosen.values() if one.lost and one.verdict in asked.verdicts]
    wins = sum(not one.lost for one in chosen.values())
    known = [one for one in trades if not one.told]
    others, others_lost = asked.closed - len(known), asked.lost - sum(one.lost for one in known)
    base = base_rate(lost=max(others_lost, 0), closed=max(others, others_lost, 0))
    shared = [_size(one) for one in losses if one.shares_tag or one.facts & supposed]
    losses.sort(key=lambda one: (_size(one) or Decimal(0), one.closed_at, one.case_id), reverse=True)
    return Evidence(
        n=len(losses) + wins,
        losses=len(losses),
        wins=wins,
        base_rate=base,
        p_above_base=p_above(losses=len(losses), wins=wins, base=base) if losses or wins else None,
        worst_r=max((size for size in shared if size is not None), default=None),
        window_days=asked.window_days,
        case_ids=tuple(one.case_id for one in losses),
        details={"others": others, "others_lost": others_lost, "lost_otherwise": len(chosen) - len(losses) - wins},
    )


def _rank(trade: Comparable, asked: Asked) -> tuple[int, Decimal]:
    """Which part of a trade that was closed in several stands for it: the worst."""
    counts = 2 if trade.lost and trade.verdict in asked.verdicts else 0 if trade.lost else 1
    return counts, _size(trade) or Decimal(0)


def _size(trade: Comparable) -> Decimal | None:
    """How bad a loss was, in multiples of its planned risk; None where none was planned."""
    return None if trade.r_multiple is None else max(-trade.r_multiple, Decimal(0))
