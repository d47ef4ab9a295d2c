"""Which remembered trades come first on the screen. It ranks and never counts: what policy counts is rules/evidence.

    score = similarity x structure x recency x severity
    similarity = .5 the nearer of thesis and narrative + .5 the mistakes in common

Similarity alone decides whether a case is like it at all. Recency has a floor, so that an old disaster stays in sight,
and severity never falls as the loss grows. Weights are tuned on the development set (docs/lessons.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from heapq import heappop, heapreplace
from typing import Final
from uuid import UUID

from apps.lessons.rules.keywords import words_of
from apps.lessons.rules.tagging import overlap


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What the parts of a score weigh. Below `similar_floor` nothing is similar."""

    text: float = 0.5
    tags: float = 0.5
    asset_class: float = 0.5
    product: float = 0.5
    side: float = 0.5
    recency_floor: float = 0.6
    half_life: timedelta = timedelta(days=90)
    severity_floor: float = 0.7
    similar_floor: float = 0.2
    diversity: float = 0.7  # of the score, when the next is chosen; the rest goes against repeating what is shown
    cluster_at: float = 0.7  # share of words in common from which two texts say the same
    cluster_max: int = 2


WEIGHTS: Final = Weights()
# Likeness is on another scale in each space of vectors: what is nothing in one is near in another.
FLOORS: Final = {"hash": 0.15, "static": 0.2, "sentence_transformers": 0.2}


def weights_for(provider: str) -> Weights:
    """The weights where the embeddings are this provider's."""
    return replace(WEIGHTS, similar_floor=FLOORS.get(provider, WEIGHTS.similar_floor))


@dataclass(frozen=True, slots=True, kw_only=True)
class RankQuery:
    """What is looked for. `tags` with how sure each is, 0 to 1 (`tagging.posterior`; 1 where a rule over facts found
    it). `facts` are the names of those beyond their limits. An empty product, class or side matches none."""

    tags: Mapping[str, float]
    facts: frozenset[str] = frozenset()
    product: str = ""
    asset_class: str = ""
    side: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankCandidate:
    """A remembered trade. `thesis` and `narrative`: cosines to the question, 0 where unknown. `tags` with how sure each
    is. `severity` from 0 to 1, 0 for a win (`results.severity`). `trade` is the same for two cases of one trade.
    Near-duplicates are told by the words of `text`."""

    id: UUID
    trade: str
    product: str
    asset_class: str
    side: str
    tags: Mapping[str, float]
    thesis: float
    narrative: float
    severity: float
    closed_at: datetime
    won: bool = False
    facts: frozenset[str] = frozenset()
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A candidate in its place. `components` say what its score is made of: {thesis, narrative, tags, structure,
    recency, severity, similarity}."""

    candidate: RankCandidate
    score: float
    components: Mapping[str, float]
    is_counter_example: bool = False


def scored(query: RankQuery, one: RankCandidate, now: datetime, weights: Weights = WEIGHTS) -> Ranked:
    """One candidate's score and its parts."""
    tags = max(overlap(query.tags, one.tags), facts_in_common(query.facts, one.facts))
    similarity = weights.text * max(one.thesis, one.narrative, 0.0) + weights.tags * tags
    structure = structure_of(query, one, weights)
    age = max(timedelta(0), now - one.closed_at)
    recency = weights.recency_floor + (1.0 - weights.recency_floor) * 0.5 ** (age / weights.half_life)
    severity = weights.severity_floor + (1.0 - weights.severity_floor) * min(1.0, max(0.0, one.severity))
    parts = {
        "thesis": one.thesis,
        "narrative": one.narrative,
        "tags": tags,
        "structure": structure,
        "recency": recency,
        "severity": severity,
        "similarity": similarity,
    }
    return Ranked(candidate=one, score=similarity * structure * recency * severity, components=parts)


def facts_in_common(asked: frozenset[str], found: frozenset[str]) -> float:
    """How far the same facts were beyond their limits, 0 to 1: the cosine of the two sets."""
    common = len(asked & found)
    return common / (len(asked) * len(found)) ** 0.5 if common else 0.0


def structure_of(query: RankQuery, one: RankCandidate, weights: Weights) -> float:
    """1, and more for the same class, product, and side of that product."""
    same_class = bool(query.asset_class) and query.asset_class == one.asset_class
    same_product = bool(query.product) and query.product == one.product
    same_side = same_product and bool(query.side) and query.side == one.side
    return 1.0 + weights.asset_class * same_class + weights.product * same_product + weights.side * same_side


def similar(
    query: RankQuery, candidates: Sequence[RankCandidate], now: datetime, weights: Weights = WEIGHTS
) -> list[Ranked]:
    """All that are similar, best first, wins among them."""
    found = [scored(query, candidate, now, weights) for candidate in candidates]
    found = [one for one in found if one.components["similarity"] >= weights.similar_floor]
    return sorted(found, key=lambda one: (-one.score, one.candidate.id))


def rank(
    query: RankQuery, candidates: Sequence[RankCandidate], now: datetime, weights: Weights = WEIGHTS, *, limit: int
) -> list[Ranked]:
    """Up to `limit` losses, best first, and behind them the most similar trade that won, marked as a counter-example.

    Once per trade, and few that say the same. Nothing similar is an empty answer, not the ten least bad.
    """
    found = similar(query, candidates, now, weights)
    shown = varied([one for one in found if not one.candidate.won], weights, limit)
    won = next((one for one in found if one.candidate.won), None)
    return [*shown, replace(won, is_counter_example=True)] if won else shown


def varied(losses: Sequence[Ranked], weights: Weights, limit: int) -> list[Ranked]:
    """Up to `limit` of the losses (best first), chosen one by one: of two that say the same, the second waits.

    What is shown makes no other one worth more. So whichever comes first is held against what is shown, and where it
    still comes first it is next; most texts are never read.
    """
    top = losses[0].score if losses and losses[0].score > 0 else 1.0
    queue = [(-weights.diversity * one.score / top, place) for place, one in enumerate(losses)]
    repeating = [_Repeating(one.candidate.text) for one in losses]
    shown: list[int] = []
    trades: set[str] = set()
    while queue and len(shown) < limit:
        _, place = queue[0]
        one, candidate = repeating[place], losses[place].candidate
        if candidate.trade in trades or one.repeats >= weights.cluster_max:
            heappop(queue)
        elif one.held_against == len(shown):
            shown.append(heappop(queue)[1])
            trades.add(candidate.trade)
        else:
            one.hold_against([repeating[other].words for other in shown[one.held_against :]], weights.cluster_at)
            worth = weights.diversity * losses[place].score / top - (1.0 - weights.diversity) * one.nearest
            heapreplace(queue, (-worth, place))
    return sorted((losses[place] for place in shown), key=lambda one: (-one.score, one.candidate.id))


class _Repeating:
    """How far a text repeats those that are shown: `nearest` has the largest share of words in common, and with
    `repeats` of them it is as good as the same. It was held against so many."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.nearest = 0.0
        self.repeats = self.held_against = 0

    @cached_property
    def words(self) -> frozenset[str]:
        return words_of(self._text)

    def hold_against(self, others: Sequence[frozenset[str]], same_at: float) -> None:
        for words in others:
            share = in_common(self.words, words)
            self.nearest = max(self.nearest, share)
            self.repeats += share >= same_at
        self.held_against += len(others)


def in_common(first: frozenset[str], second: frozenset[str]) -> float:
    """The share of words that two texts have in common; two without words have none."""
    common = len(first & second)
    return common / (len(first) + len(second) - common) if common else 0.0
