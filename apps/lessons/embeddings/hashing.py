"""Provider `hash`: words, pairs of words and pieces of words, in 2,048 signed buckets. Keyword match, no more.

Nothing is fitted: numbers are dropped (they are the rarest words and match by accident), a feature's weight grows with
the logarithm of its count, and words that carry no meaning count little. docs/lessons.md has the figures of the parts.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from hashlib import blake2b

import numpy as np

from apps.lessons.embeddings import base

DIM = 2048
FEATURES_KEPT = 50_000
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
WORD_WEIGHT, PAIR_WEIGHT, PIECE_WEIGHT = 1.0, 0.5, 0.35
PIECE = 4
FUNCTION_WORDS = frozenset(
    WORD.findall(
        "a an and are as at be been but by did do does for from had has have he her his i if in into is it its me my "
        "no not of on or our out she so than that the their them then there they this to too up us was we were what "
        "when where which while who will with would you your"
    )
)
FUNCTION_WEIGHT = 0.1


def features(text: str) -> Iterator[tuple[str, float]]:
    """Each feature of the text with its weight, as often as it occurs."""
    words = WORD.findall(text.lower())
    for word in words:
        yield "w:" + word, FUNCTION_WEIGHT if word in FUNCTION_WORDS else WORD_WEIGHT
        if word not in FUNCTION_WORDS and len(word) >= PIECE:
            padded = f"<{word}>"
            for start in range(len(padded) - PIECE + 1):
                yield "p:" + padded[start : start + PIECE], PIECE_WEIGHT
    said = [word for word in words if word not in FUNCTION_WORDS]
    for first, second in zip(said, said[1:], strict=False):
        yield f"b:{first} {second}", PAIR_WEIGHT


@lru_cache(maxsize=FEATURES_KEPT)
def bucket(feature: str) -> tuple[int, float]:
    """Where a feature is counted, and its sign: two features in one bucket cancel as often as they add up."""
    number = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest(), "big")
    return (number >> 1) % DIM, 1.0 if number & 1 else -1.0


@cache
def raised(count: int) -> np.float64:
    """What a feature counts that occurs so often in a text."""
    found: np.float64 = 1.0 + np.log(count)
    return found


class HashProvider:
    """Signed feature hashing. Zero dependencies beyond numpy, no model, one microsecond a feature."""

    id = "hash"
    model = "words-pairs-pieces"
    dim = DIM
    version = 1
    digest = ""
    max_tokens: int | None = None
    fit_free = True
    description = (
        "Keyword match: finds texts that share words, not meaning. Where the wording differs it is near chance."
    )

    def embed_documents(self, texts: Sequence[str]) -> base.Matrix:
        rows = np.zeros((len(texts), DIM), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            weights: dict[str, float] = {}
            counts: Counter[str] = Counter()
            for feature, weight in features(text):
                weights[feature] = weight
                counts[feature] += 1
            for feature, count in counts.items():
                place, sign = bucket(feature)
                row[place] += sign * weights[feature] * raised(count)
        return base.normalised(rows)

    def embed_query(self, text: str) -> base.Vector:
        vector: base.Vector = self.embed_documents([text])[0]
        return vector

    def self_test(self) -> None:
        base.check(self)
