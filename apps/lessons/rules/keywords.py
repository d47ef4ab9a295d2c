"""Similarity of words alone: what is left where the vector index cannot be asked."""

import math
import re
from typing import Final

_WORD: Final = re.compile(r"[a-z][a-z'-]{2,}")
WORDS_MAX: Final = 64
_COMMON: Final = frozenset(
    re.findall(
        "[a-z]+",
        """about after again against all also and any are because been before being below between both but can could did
        does down during each few for from further had has have here how into its just more most not now off once only
        other our out over same should some such than that the their them then there these they this those through too
        under until very was were what when where which while who why will with would you your""",
    )
)


def words_of(text: str) -> frozenset[str]:
    """The words that say something, at most `WORDS_MAX`: no numbers, nothing that stands in every sentence."""
    found = dict.fromkeys(word for word in _WORD.findall(text.lower()) if word not in _COMMON)
    return frozenset(list(found)[:WORDS_MAX])


def likeness(asked: frozenset[str], text: str) -> float:
    """From 0 to 1: the cosine of the two sets of words."""
    other = words_of(text)
    if not asked or not other:
        return 0.0
    return len(asked & other) / math.sqrt(len(asked) * len(other))
