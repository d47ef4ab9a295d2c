"""How good a list of found lessons is, against graded labels (0: not like it, 3: the same mistake, product and side).

nDCG@10 with the grade as gain (as trec_eval has it). P@5: the share of the first five that are graded at all. R@5: of
the lessons with the query's highest grade, five at most, the share that is among the first five; hit@5: whether any is.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from statistics import fmean

DEEP = 10
FIRST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Means over queries, each from 0 to 1."""

    ndcg: float
    recall: float
    hit: float
    precision: float


def figures(found: Sequence[Sequence[Hashable]], grades: Sequence[Mapping[Hashable, int]]) -> Figures:
    """The figures of one list a query, best first. Queries without any label are left out; none with one: zeros."""
    judged = [(ids, labels) for ids, labels in zip(found, grades, strict=True) if labels]
    if not judged:
        return Figures(ndcg=0.0, recall=0.0, hit=0.0, precision=0.0)
    shares = [best_found(ids, labels) for ids, labels in judged]
    return Figures(
        ndcg=fmean(ndcg(ids, labels) for ids, labels in judged),
        recall=fmean(shares),
        hit=fmean(share > 0 for share in shares),
        precision=fmean(sum(one in labels for one in ids[:FIRST]) / FIRST for ids, labels in judged),
    )


def ndcg(ids: Sequence[Hashable], labels: Mapping[Hashable, int]) -> float:
    """Gain of the first ten, discounted by place, against the best possible order."""
    best = discounted(sorted(labels.values(), reverse=True))
    return discounted([labels.get(one, 0) for one in ids]) / best if best else 0.0


def discounted(gains: Sequence[int]) -> float:
    """The sum over the first ten of gain / log2(place + 1)."""
    return sum(gain / log2(place + 2) for place, gain in enumerate(gains[:DEEP]))


def best_found(ids: Sequence[Hashable], labels: Mapping[Hashable, int]) -> float:
    """The share of R@5."""
    highest = max(labels.values())
    best = {one for one, grade in labels.items() if grade == highest}
    return len(best & set(ids[:FIRST])) / min(FIRST, len(best))
