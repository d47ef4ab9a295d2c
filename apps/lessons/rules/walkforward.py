"""Does a warning catch the loss that repeats? Measured walk-forward: a trade is judged by what was known before it.

A *repeat loss* is a lost trade with a mistake that had lost before, in the `window` before it was decided. The other
trades are the ones a warning should leave alone. Each warning gives a trade a score; its threshold, at every trade, is
the score that nine in ten of the earlier other trades stayed below (`FALSE_ALARMS`), so it never knows what came later.
Equal scores are put in an order by chance that the seed decides: a warning that always says the same is chance.
"""

import hashlib
import random
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import comb
from typing import Final
from uuid import UUID

from apps.lessons.types import Result

FALSE_ALARMS: Final = 0.10
WINDOW: Final = timedelta(days=90)
WARM_UP: Final = 50
RESAMPLES: Final = 1_000
FEW_REPEATS: Final = 30
LAST_FIVE: Final = 5
FACT: Final = "fact:"
FACTS_ALIKE: Final = 2
THREE_DAYS: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A closed trade. `seen` is what detectors said when it was decided (tags and `fact:` names); `mistakes` are the
    mistakes that count now, each with the instant since when. `text` is how near its thesis was to one that had lost,
    None where nobody embedded it. `by_person` where a person confirmed one of the mistakes."""

    id: UUID
    desk: UUID
    product: str
    side: str
    result: Result
    decided_at: datetime
    closed_at: datetime
    is_process: bool = False
    seen: frozenset[str] = frozenset()
    mistakes: Mapping[str, datetime]
    by_person: bool = False
    text: float | None = None


Warn = Callable[[Past, Sequence[Past]], float]
"""A warning: the score of a trade, given those of its desk that had closed before it was decided, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One trade as the walk left it: whether each warning fired."""

    trade: Past
    is_repeat: bool
    fired: Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A share with the counts it is made of and its 95 % interval; all None where there is nothing to divide by."""

    hits: int
    of: int
    share: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one warning did: repeat losses caught, warnings that were right, other trades and winners flagged."""

    warning: str
    recall: Figure
    precision: Figure
    false_alarms: Figure
    winners: Figure


def last_five_of_product(trade: Past, before: Sequence[Past]) -> float:
    """How many of the last five trades of the product lost."""
    own = [one for one in before if one.product == trade.product][-LAST_FIVE:]
    return sum(one.result is Result.LOST for one in own)


def losses_of_product_and_side(trade: Past, before: Sequence[Past]) -> float:
    """How many trades of the product and side lost in 30 days: the rule of three counts these."""
    since = trade.decided_at - THREE_DAYS
    return sum(
        one.result is Result.LOST and one.closed_at >= since and (one.product, one.side) == (trade.product, trade.side)
        for one in before
    )


def nearest_text(trade: Past, before: Sequence[Past]) -> float:
    """How near the words of the thesis are to one that lost."""
    return -1.0 if trade.text is None else trade.text


def by_chance(trade: Past, before: Sequence[Past]) -> float:
    """The same for every trade: which fire is left to the order that breaks ties."""
    return 0.0


def similar_losses(trade: Past, before: Sequence[Past]) -> float:
    """What policy counts: how sure it is that trades with the same mistakes, or two of the same facts, lose more often
    than this desk does. Losses that broke no rule of their own are left out."""
    alike = [one for one in before if _is_alike(trade, one)]
    losses = sum(one.result is Result.LOST and one.is_process for one in alike)
    wins = sum(one.result is Result.WON for one in alike)
    ended = [one.result is Result.LOST for one in before if one.result is not Result.FLAT]
    if not losses or not ended:
        return 0.0
    return _sure(losses, wins, sum(ended) / len(ended))


def _is_alike(trade: Past, one: Past) -> bool:
    if trade.seen & known_mistakes(one, trade.decided_at):
        return True
    return len([name for name in trade.seen & one.seen if name.startswith(FACT)]) >= FACTS_ALIKE


def _sure(losses: int, wins: int, base: float) -> float:
    """P(rate > base) after these, none being likelier than another before: Beta(1 + losses, 1 + wins), exactly."""
    n = losses + wins + 1
    return sum(comb(n, k) * base**k * (1 - base) ** (n - k) for k in range(losses + 1))


def known_mistakes(one: Past, at: datetime) -> frozenset[str]:
    """The mistakes of an earlier trade that counted already at `at`."""
    return frozenset(tag for tag, since in one.mistakes.items() if since <= at)


def is_repeat(trade: Past, before: Sequence[Past], *, window: timedelta = WINDOW) -> bool:
    """Whether this trade lost by a mistake that had lost in the window before it was decided."""
    if trade.result is not Result.LOST or not trade.mistakes:
        return False
    since, tags = trade.decided_at - window, frozenset(trade.mistakes)
    return any(
        one.result is Result.LOST and one.closed_at >= since and tags & known_mistakes(one, trade.decided_at)
        for one in before
    )


def walk(
    trades: Sequence[Past],
    warnings: Mapping[str, Warn],
    *,
    seed: int,
    rate: float = FALSE_ALARMS,
    warm_up: int = WARM_UP,
    window: timedelta = WINDOW,
) -> tuple[Judged, ...]:
    """Every trade of known result, by when it was decided, with the warnings that would have fired. Trades decided
    before `warm_up` other trades of their desk had closed set thresholds and are not judged themselves."""
    judged: list[Judged] = []
    by_desk: dict[UUID, list[Past]] = defaultdict(list)
    for one in trades:
        if one.result is not Result.UNKNOWN:
            by_desk[one.desk].append(one)
    for own in by_desk.values():
        judged += _walk_desk(own, warnings, seed=seed, rate=rate, warm_up=warm_up, window=window)
    return tuple(sorted(judged, key=lambda one: (one.trade.decided_at, one.trade.id)))


def _walk_desk(
    trades: list[Past], warnings: Mapping[str, Warn], *, seed: int, rate: float, warm_up: int, window: timedelta
) -> list[Judged]:
    """By the clock of the desk: a trade closes, then it is known; it is decided, and judged by what is known."""
    closing = sorted(trades, key=lambda one: (one.closed_at, one.id))
    known: list[Past] = []
    waiting: dict[UUID, tuple[bool, dict[str, tuple[float, float]]]] = {}
    others: dict[str, list[tuple[float, float]]] = {name: [] for name in warnings}
    judged: list[Judged] = []
    for trade in sorted(trades, key=lambda one: (one.decided_at, one.id)):
        _close(closing, known, waiting, others, until=trade.decided_at)
        before = known[bisect_left(known, trade.decided_at - window, key=lambda one: one.closed_at) :]
        scores = {name: (warn(trade, before), _chance(seed, name, trade.id)) for name, warn in warnings.items()}
        repeats = is_repeat(trade, before, window=window)
        waiting[trade.id] = (repeats, scores)
        if warnings and min(len(seen) for seen in others.values()) >= warm_up:
            fired = {name: score > _bar(others[name], rate) for name, score in scores.items()}
            judged.append(Judged(trade=trade, is_repeat=repeats, fired=fired))
    return judged


def _close(
    closing: list[Past],
    known: list[Past],
    waiting: dict[UUID, tuple[bool, dict[str, tuple[float, float]]]],
    others: dict[str, list[tuple[float, float]]],
    *,
    until: datetime,
) -> None:
    """What closed before `until` becomes known, and the scores of what was no repeat loss move the thresholds."""
    done = bisect_left(closing, until, key=lambda one: one.closed_at)
    for one in closing[:done]:
        known.append(one)
        repeats, scores = waiting.pop(one.id, (True, {}))
        for name, score in scores.items() if not repeats else ():
            insort(others[name], score)
    del closing[:done]


def _bar(seen: Sequence[tuple[float, float]], rate: float) -> tuple[float, float]:
    """The score that no more than `rate` of the earlier ones lie above."""
    above = int(rate * len(seen))
    return seen[len(seen) - 1 - above]


def _chance(seed: int, name: str, trade: UUID) -> float:
    """From 0 to 1, the same for the same seed: the order among equal scores."""
    return int.from_bytes(hashlib.blake2b(f"{seed}|{name}|{trade}".encode(), digest_size=6).digest(), "big") / 2**48


def measure(judged: Sequence[Judged], warning: str, *, seed: int, resamples: int = RESAMPLES) -> Measured:
    """What one warning did over a walk. Intervals are of whole days drawn again: trades of one day are no strangers."""
    days: dict[object, list[int]] = {}
    for one in judged:
        cell = days.setdefault(one.trade.decided_at.date(), [0] * 6)
        fired, won = one.fired[warning], one.trade.result is Result.WON
        cell[0] += one.is_repeat and fired
        cell[1] += one.is_repeat
        cell[2] += fired and not one.is_repeat
        cell[3] += not one.is_repeat
        cell[4] += won and fired
        cell[5] += won
    cells = list(days.values())
    total = _sum(cells)
    drawn = _draws(cells, seed=seed, resamples=resamples)

    def figure(hits: Callable[[Sequence[int]], int], of: Callable[[Sequence[int]], int]) -> Figure:
        shares = sorted(hits(one) / of(one) for one in drawn if of(one))
        return _figure(hits(total), of(total), shares)

    return Measured(
        warning=warning,
        recall=figure(lambda c: c[0], lambda c: c[1]),
        precision=figure(lambda c: c[0], lambda c: c[0] + c[2]),
        false_alarms=figure(lambda c: c[2], lambda c: c[3]),
        winners=figure(lambda c: c[4], lambda c: c[5]),
    )


def share_of(marks: Sequence[bool], *, seed: int, resamples: int = RESAMPLES) -> Figure:
    """The share of true marks with its interval, each mark drawn for itself."""
    cells = [[int(mark), 1] for mark in marks]
    drawn = _draws(cells, seed=seed, resamples=resamples)
    return _figure(sum(marks), len(marks), sorted(one[0] / one[1] for one in drawn if one[1]))


def _draws(cells: Sequence[Sequence[int]], *, seed: int, resamples: int) -> list[list[int]]:
    chosen = random.Random(seed)  # noqa: S311  an interval, no secret: the same every time
    return [_sum(chosen.choices(cells, k=len(cells))) for _ in range(resamples)] if cells else []


def _sum(cells: Sequence[Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip(*cells, strict=True)] if cells else [0] * 6


def _figure(hits: int, of: int, shares: Sequence[float]) -> Figure:
    if not of:
        return Figure(hits=hits, of=of)
    share = hits / of
    if not shares:
        return Figure(hits=hits, of=of, share=share)
    low, high = shares[int(0.025 * (len(shares) - 1))], shares[-1 - int(0.025 * (len(shares) - 1))]
    return Figure(hits=hits, of=of, share=share, low=min(low, share), high=max(high, share))
