"""Does a warning catch the loss that repeats? Measured walk-forward: a trade is judged by what was known before it.

A *repeat loss* is a lost trade with a mistake that had lost at its desk before, in the `WINDOW` before it was decided.
The other trades are the ones a warning should leave alone. Each warning gives a trade a score; its threshold, at every
trade, is the score that nine in ten of the last `RECENT` other trades stayed below (`FALSE_ALARMS`), so that it never
knows what came later. Equal scores are put in an order by chance: a warning that always says the same is chance.
"""

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from apps.lessons.rules.shares import SEED, Figure, shares_by_day
from apps.lessons.types import Result

FALSE_ALARMS: Final = 0.10
WINDOW: Final = timedelta(days=90)
WARM_UP: Final = 50
"""So many other trades set a threshold before it is used: of them five may lie above it."""
RECENT: Final = 200
"""Scores drift as a desk remembers more: older ones would let more than one in ten through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A mistake that counts in a trade from `since`, and until `until` where somebody has disputed it by now."""

    tag: str
    since: datetime
    until: datetime | None = None

    def at(self, moment: datetime) -> bool:
        """Whether it counted then."""
        return self.since <= moment and (self.until is None or moment < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A closed trade as it was known at each moment.

    `broken` are the facts that were beyond their limits when it was decided, and `seen` the mistakes these show.
    `verdict` is what rules said of it, `reviewed` what a person made of that, from then on. `counted_until`: it was
    taken out of what counts. `told`: a program says that it took place. `shown` is the score of the nearest lesson that
    was recalled for it then; None where nothing was asked.
    """

    id: UUID
    desk: UUID
    trade: UUID
    product: str
    side: str
    result: Result
    decided_at: datetime
    closed_at: datetime
    broken: frozenset[str] = frozenset()
    seen: frozenset[str] = frozenset()
    mistakes: tuple[Held, ...] = ()
    verdict: str = ""
    reviewed: tuple[datetime, str] | None = None
    counted_until: datetime | None = None
    r_multiple: Decimal | None = None
    told: bool = False
    shown: float | None = None

    def mistakes_at(self, moment: datetime) -> frozenset[str]:
        """The mistakes that counted then; none of a trade that did not count."""
        return frozenset(one.tag for one in self.mistakes if one.at(moment)) if self.counts_at(moment) else frozenset()

    def counts_at(self, moment: datetime) -> bool:
        """Whether it was evidence then."""
        return self.counted_until is None or moment < self.counted_until

    def verdict_at(self, moment: datetime) -> str:
        """What was said then of why it ended so."""
        return self.reviewed[1] if self.reviewed is not None and self.reviewed[0] <= moment else self.verdict


Warn = Callable[[Past, Sequence[Past]], float | None]
"""A warning: the score of a trade, given those of its desk that had closed in the window before it was decided, oldest
first. None where it was not asked about this trade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One trade as the walk left it. `fired` says of each warning that had a threshold by then whether it warned."""

    trade: Past
    is_repeat: bool
    fired: Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one warning did: repeat losses it caught, warnings that were right, other trades and winners it flagged.
    `judged` trades in all."""

    judged: int
    recall: Figure
    precision: Figure
    false_alarms: Figure
    winners: Figure


@dataclass(slots=True)
class _Walk:
    """The state of a walk: what is known, what is open, and the scores that set the thresholds."""

    known: list[Past] = field(default_factory=list)
    open: dict[UUID, tuple[bool, Mapping[str, tuple[float, float]]]] = field(default_factory=dict)
    others: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))


def walk(
    trades: Sequence[Past],
    warnings: Mapping[str, Warn],
    *,
    as_of: datetime,
    tick: Callable[[int], None] = lambda done: None,
) -> tuple[Judged, ...]:
    """Every trade of known result that was closed by `as_of`, by when it was decided, with the warnings that would have
    fired. What counts as a repeat loss is what is known of mistakes at `as_of`; what fires is what was known before.
    `tick` hears how many are done."""
    by_desk: dict[UUID, list[Past]] = defaultdict(list)
    for one in trades:
        if one.result is not Result.UNKNOWN and one.closed_at <= as_of:
            by_desk[one.desk].append(one)
    judged: list[Judged] = []
    done = 0
    for own in by_desk.values():
        state, closing = _Walk(), sorted(own, key=lambda one: (one.closed_at, one.id))
        for trade in sorted(own, key=lambda one: (one.decided_at, one.id)):
            judged.append(_judge(trade, warnings, state, closing, as_of))
            done += 1
            tick(done)
    return tuple(sorted(judged, key=lambda one: (one.trade.decided_at, one.trade.id)))


def is_repeat(trade: Past, before: Sequence[Past], *, as_of: datetime) -> bool:
    """Whether this trade lost, as far as it is known at `as_of`, by a mistake that had lost before it was decided."""
    if trade.result is not Result.LOST:
        return False
    mine = trade.mistakes_at(as_of)
    return any(one.result is Result.LOST and mine & one.mistakes_at(trade.decided_at) for one in before)


def _judge(trade: Past, warnings: Mapping[str, Warn], state: _Walk, closing: list[Past], as_of: datetime) -> Judged:
    """By the clock of the desk: what closed is known, then it is decided, and judged by what is known."""
    _close(state, closing, until=trade.decided_at)
    since = trade.decided_at - WINDOW
    before = state.known[bisect_left(state.known, since, key=lambda one: one.closed_at) :]
    scores: dict[str, tuple[float, float]] = {}
    for name, warn in warnings.items():
        score = warn(trade, before)
        if score is not None:
            scores[name] = (score, _chance(name, trade.id))
    # Thresholds are set by what was known when it closed: what people confirm later moves none that was used before.
    state.open[trade.id] = (is_repeat(trade, before, as_of=trade.closed_at), scores)
    fired = {
        name: score > threshold(state.others[name])
        for name, score in scores.items()
        if len(state.others[name]) >= WARM_UP
    }
    return Judged(trade=trade, is_repeat=is_repeat(trade, before, as_of=as_of), fired=fired)


def _close(state: _Walk, closing: list[Past], *, until: datetime) -> None:
    """What closed before `until` becomes known, and the scores of what was no repeat loss move the thresholds."""
    done = bisect_left(closing, until, key=lambda one: one.closed_at)
    for one in closing[:done]:
        state.known.append(one)
        repeats, scores = state.open.pop(one.id, (True, {}))
        for name, score in scores.items() if not repeats else ():
            state.others[name].append(score)
    del closing[:done]


def threshold(seen: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The score that no more than `FALSE_ALARMS` of the last ones lie above; `seen` is in the order of time."""
    last = sorted(seen[-RECENT:])
    return last[len(last) - 1 - int(FALSE_ALARMS * len(last))]


def _chance(name: str, trade: UUID) -> float:
    """From 0 to 1, the same every time: the order among equal scores."""
    return int.from_bytes(hashlib.blake2b(f"{SEED}|{name}|{trade}".encode(), digest_size=6).digest(), "big") / 2**48


def measure(judged: Sequence[Judged], warning: str) -> Measured:
    """What one warning did over a walk, of the trades it had a threshold for."""
    days: dict[object, list[int]] = {}
    mine = [one for one in judged if warning in one.fired]
    for one in mine:
        cell = days.setdefault(one.trade.decided_at.date(), [0] * 8)
        fired, won = one.fired[warning], one.trade.result is Result.WON
        for at, (hit, of) in enumerate(
            (
                (one.is_repeat and fired, one.is_repeat),
                (one.is_repeat and fired, fired),
                (fired and not one.is_repeat, not one.is_repeat),
                (won and fired, won),
            )
        ):
            cell[2 * at] += hit
            cell[2 * at + 1] += of
    recall, precision, false_alarms, winners = shares_by_day(list(days.values())) or (Figure(hits=0, of=0),) * 4
    return Measured(judged=len(mine), recall=recall, precision=precision, false_alarms=false_alarms, winners=winners)
