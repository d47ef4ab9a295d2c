"""Shares with the counts they are made of, and how far they can be trusted. Pure.

Two 95 % intervals are known here, and a share of a walk gets the wider of both. Wilson's score interval (E. B. Wilson,
"Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927) holds where there are few, and
where all or none are hits. The percentile bootstrap of whole days (B. Efron and R. J. Tibshirani, "An Introduction to
the Bootstrap", 1993, chapters 8 and 13) holds where trades of one day resemble each other. The difference of two shares
has Newcombe's interval from their Wilson intervals (R. G. Newcombe, "Interval Estimation for the Difference Between
Independent Proportions", Statistics in Medicine 17, 1998, method 10).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

FEW: Final = 30
"""Of fewer no share is said: at 30, half of them leaves everything from a third to two thirds possible."""
RESAMPLES: Final = 1_000
SEED: Final = 7
_Z: Final = 1.959964
_EDGE: Final = 0.025


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """So many `hits` of so many, as a share from 0 to 1 with its 95 % interval; None where there is nothing to divide
    by."""

    hits: int
    of: int
    share: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One share less another, with its 95 % interval; None where one of them is not known."""

    by: float | None = None
    low: float | None = None
    high: float | None = None


def share_of(hits: int, of: int) -> Figure:
    """A share of things that have nothing to do with each other."""
    if not of:
        return Figure(hits=hits, of=of)
    low, high = wilson(hits, of)
    return Figure(hits=hits, of=of, share=hits / of, low=low, high=high)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The shares that so many hits leave possible. Raises ValueError without anything to divide by."""
    if not 0 <= hits <= of or not of:
        raise ValueError("Hits are among those counted, and there are some.")
    share, weight = hits / of, _Z * _Z / of
    middle = (share + weight / 2) / (1 + weight)
    half = _Z * sqrt(share * (1 - share) / of + weight / (4 * of)) / (1 + weight)
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))


def difference(one: Figure, other: Figure) -> Difference:
    """By how much the share of `one` is above that of `other`."""
    if one.share is None or other.share is None:
        return Difference()
    (low, high), (other_low, other_high) = wilson(one.hits, one.of), wilson(other.hits, other.of)
    by = one.share - other.share
    return Difference(
        by=by,
        low=by - sqrt((one.share - low) ** 2 + (other_high - other.share) ** 2),
        high=by + sqrt((high - one.share) ** 2 + (other.share - other_low) ** 2),
    )


def shares_by_day(days: Sequence[Sequence[int]]) -> tuple[Figure, ...]:
    """A row a day of counts in pairs, (hits, of) for each share: the shares over all days. Days are drawn again for the
    interval, since trades of one day are no strangers to each other."""
    if not days:
        return ()
    cells = np.asarray(days, dtype=np.int64)
    total = cells.sum(axis=0)
    chosen = np.random.default_rng(SEED).multinomial(len(cells), np.full(len(cells), 1 / len(cells)), size=RESAMPLES)
    drawn = chosen @ cells
    return tuple(
        _wider(share_of(int(total[at]), int(total[at + 1])), drawn[:, at], drawn[:, at + 1])
        for at in range(0, cells.shape[1], 2)
    )


def _wider(figure: Figure, hits: NDArray[np.int64], of: NDArray[np.int64]) -> Figure:
    some = of > 0
    if figure.low is None or figure.high is None or not some.any():
        return figure
    low, high = np.quantile(hits[some] / of[some], [_EDGE, 1 - _EDGE]).tolist()
    return Figure(
        hits=figure.hits, of=figure.of, share=figure.share, low=min(low, figure.low), high=max(high, figure.high)
    )
