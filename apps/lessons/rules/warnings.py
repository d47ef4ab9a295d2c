"""The warnings whose help is measured: Aika's own, and the ones it has to beat. Pure.

Each gives a trade a score from what its desk knew when it was decided (`walkforward.Warn`); a higher one warns.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from apps.lessons.recall_types import COUNTED, WINDOW_DAYS
from apps.lessons.rules import evidence
from apps.lessons.rules.evidence import Asked, Comparable
from apps.lessons.rules.walkforward import Past, Warn
from apps.lessons.types import Result

LAST_FIVE: Final = 5
_POLICY_WINDOW: Final = timedelta(days=WINDOW_DAYS)
_THREE_LOSSES_WINDOW: Final = timedelta(days=30)
_BILLION: Final = 10**9


class WarningKind(StrEnum):
    """A warning by what it goes by. Aika's own first, then what it is held against."""

    COUNTED = "counted"
    SHOWN = "shown"
    WORDS = "words"
    SAME_INSTRUMENT = "same_instrument"
    THREE_LOSSES = "three_losses"
    CHANCE = "chance"


OWN: Final = (WarningKind.COUNTED, WarningKind.SHOWN, WarningKind.WORDS)


def counted(trade: Past, before: Sequence[Past]) -> float:
    """What policy counts: how probable it is that trades with the same mistakes, or two of the same broken facts, lose
    more often than the desk's others, in the days the rule looks at. The arithmetic is the rule's own."""
    now = trade.decided_at
    inside = before[bisect_right(before, now - _POLICY_WINDOW, key=_closed_at) :]
    ended = [one for one in inside if one.result in (Result.WON, Result.LOST) and one.counts_at(now)]
    asked = Asked(
        tags=sorted(trade.seen),
        violated=trade.broken,
        unknown=frozenset(),
        verdicts=frozenset(COUNTED),
        window_days=WINDOW_DAYS,
        closed=sum(not one.told for one in ended),
        lost=sum(one.result is Result.LOST and not one.told for one in ended),
    )
    found = evidence.weigh([_comparable(one, trade) for one in ended if _shares(one, trade)], asked)
    return 0.0 if not found.losses or found.p_above_base is None else int(found.p_above_base * _BILLION) / _BILLION


def _closed_at(one: Past) -> datetime:
    return one.closed_at


def _shares(one: Past, trade: Past) -> bool:
    return bool(one.broken & trade.broken or one.mistakes_at(trade.decided_at) & trade.seen)


def _comparable(one: Past, trade: Past) -> Comparable:
    return Comparable(
        case_id=one.id,
        trade=one.trade,
        lost=one.result is Result.LOST,
        verdict=one.verdict_at(trade.decided_at),
        r_multiple=one.r_multiple,
        closed_at=one.closed_at,
        shares_tag=bool(one.mistakes_at(trade.decided_at) & trade.seen),
        facts=one.broken & trade.broken,
        told=one.told,
    )


def shown(trade: Past, before: Sequence[Past]) -> float | None:
    """The score of the nearest lesson that was recalled for this trade when it was proposed, as it was stored then."""
    return trade.shown


def words_like_a_loss(vectors: Mapping[UUID, NDArray[np.float32]]) -> Warn:
    """How near the words of its thesis are to those of a trade that had lost. A vector for each thesis, of length 1; a
    trade without one is not asked about."""
    place = {case: at for at, case in enumerate(vectors)}
    rows = np.stack(list(vectors.values())) if vectors else np.zeros((0, 1), dtype=np.float32)

    def warn(trade: Past, before: Sequence[Past]) -> float | None:
        mine = place.get(trade.id)
        if mine is None:
            return None
        lost = [place[one.id] for one in before if one.result is Result.LOST and one.id in place]
        if not lost:
            return -1.0
        nearest: float = (rows[lost] @ rows[mine]).max().item()
        return nearest

    return warn


def same_instrument(trade: Past, before: Sequence[Past]) -> float:
    """How many of the last five trades of the instrument lost: always the same instrument, whatever the mistake."""
    own = [one for one in before if one.product == trade.product][-LAST_FIVE:]
    return sum(one.result is Result.LOST for one in own)


def three_losses(trade: Past, before: Sequence[Past]) -> float:
    """How many trades of the instrument and side lost in 30 days: the rule of "three losses" goes by it."""
    inside = before[bisect_right(before, trade.decided_at - _THREE_LOSSES_WINDOW, key=_closed_at) :]
    return sum(one.result is Result.LOST and (one.product, one.side) == (trade.product, trade.side) for one in inside)


def by_chance(trade: Past, before: Sequence[Past]) -> float:
    """The same for every trade: which fire is left to the order that breaks ties. The base rate."""
    return 0.0


def all_of(vectors: Mapping[UUID, NDArray[np.float32]]) -> Mapping[WarningKind, Warn]:
    """Every warning, in the order they are shown."""
    return MappingProxyType(
        {
            WarningKind.COUNTED: counted,
            WarningKind.SHOWN: shown,
            WarningKind.WORDS: words_like_a_loss(vectors),
            WarningKind.SAME_INSTRUMENT: same_instrument,
            WarningKind.THREE_LOSSES: three_losses,
            WarningKind.CHANCE: by_chance,
        }
    )
