"""Which mistakes a text speaks of, by its nearness to sentences that show them. Pure: vectors in, weights out.

Kernel ridge regression over the prototypes, one column a tag: closed form, the same on every machine, and fitted to our
own sentences alone. What comes out suggests; it never counts as evidence (see CaseTag).
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apps.lessons.types import MistakeTag

TAGS = tuple(MistakeTag)

# Chosen by five-fold cross-validation over the prototypes, then read on the development set (docs/lessons.md).
WIDTH = 3.0  # of the kernel over meaning: larger looks at nearer prototypes only
WORDS_WEIGHT = 0.2  # of shared words beside meaning
RIDGE = 0.1
SHARPNESS = 12.0
NO_MISTAKE_SCORE = 0.25  # what a tag must beat; below it a text speaks of nothing on the list

SENTENCE_END = re.compile(r"(?<=[.!?;])\s+")
# A sentence that names a mistake to say that it was not made tells against it: it must not find the lessons of it.
RULES_OUT = re.compile(
    r"\b(not (?:really )?(?:a )?(?:case|matter|question|example) of|nothing to do with|(?:not|never|wasn't|isn't) the "
    r"(?:cause|problem|issue|reason|trouble)|ruled out|unrelated to|cannot be blamed|played no (?:part|role))\b",
    re.IGNORECASE,
)

# Names the way of finding: another sentence, number or step gives other weights. Count on where a step changes.
FORM = (1, *TAGS, WIDTH, WORDS_WEIGHT, RIDGE, SHARPNESS, NO_MISTAKE_SCORE, SENTENCE_END.pattern, RULES_OUT.pattern)

Rows = NDArray[np.float32]
Scores = NDArray[np.float64]
Weighed = dict[str, float]  # by tag, from 0 to 1; together 1 at most


@dataclass(frozen=True, slots=True)
class Tagger:
    """The prototypes as vectors, a row each, and what each of them says for each tag. `words` has a row for each number
    of the vectors of words instead; None where meaning is words."""

    meaning: Rows
    words: Rows | None
    weights: Scores


def learn(meaning: Rows, words: Rows | None, tags: Sequence[MistakeTag | None]) -> Tagger:
    """A tagger of the prototypes whose vectors and tags these are, row by row."""
    shown = np.zeros((len(tags), len(TAGS)))
    for row, tag in zip(shown, tags, strict=True):
        if tag is not None:
            row[TAGS.index(tag)] = 1.0
    near = nearness(meaning @ meaning.T, None if words is None else words @ words.T)
    weights: Scores = np.linalg.solve(near + RIDGE * np.eye(len(tags)), shown).astype(np.float64)
    return Tagger(meaning, None if words is None else np.ascontiguousarray(words.T), weights)


def nearness(cosines: Rows, in_words: Rows | None) -> Scores:
    """How near each text is to each prototype: falls off with meaning, plus a little for shared words."""
    near: Scores = np.exp(WIDTH * (cosines.astype(np.float64) - 1.0))
    return near if in_words is None else near + WORDS_WEIGHT * in_words


def shared(words: Rows, by_number: Rows) -> Rows:
    """`words @ by_number`. A sentence has some sixty of two thousand numbers, and only those are multiplied."""
    found = np.zeros((len(words), by_number.shape[1]), dtype=np.float32)
    for row, text in zip(found, words, strict=True):
        places = np.flatnonzero(text)
        row[:] = text[places] @ by_number[places]
    return found


def sentences(text: str) -> list[str]:
    """The sentences that may speak of a mistake: those that rule one out are left."""
    return [said for said in SENTENCE_END.split(text.strip()) if said and not RULES_OUT.search(said)]


def posterior(tagger: Tagger, meaning: Rows, words: Rows | None) -> Scores:
    """How much the sentences (a row each) speak of each mistake, in the order of TAGS. What the weights miss to 1 is
    the weight of "none of these"; nothing to read is an empty answer."""
    if not len(meaning):
        return np.zeros(0)
    in_words = None if words is None or tagger.words is None else shared(words, tagger.words)
    scores = (nearness(meaning @ tagger.meaning.T, in_words) @ tagger.weights).sum(axis=0)
    raised = np.exp(SHARPNESS * (np.append(scores, NO_MISTAKE_SCORE) - scores.max()))
    weights: Scores = raised[:-1] / raised.sum()
    return weights


def weighed(weights: Scores) -> Weighed:
    """What `posterior` found, strongest first."""
    order = np.argsort(-weights, kind="stable")
    return {TAGS[place]: weight for place, weight in zip(order.tolist(), weights[order].tolist(), strict=True)}


def overlap(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """How much two texts speak of the same mistakes, 0 to 1: the cosine of their weights, where what is missing to 1 in
    either is a direction of its own, so that two vague texts do not agree by both being vague."""
    common = sum(weight * second[tag] for tag, weight in first.items() if tag in second)
    if not common:
        return 0.0
    return min(1.0, common / (length(first) * length(second)))


def length(tags: Mapping[str, float]) -> float:
    """Of the weights as a vector, "none of these" included."""
    rest = max(0.0, 1.0 - sum(tags.values()))
    return math.hypot(rest, *tags.values())
