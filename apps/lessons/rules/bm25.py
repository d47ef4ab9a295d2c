"""Which words of a text are looked for, and what they weigh (BM25). Pure."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Final

TERM_CHARS_MAX: Final = 40
QUERY_TERMS_MAX: Final = 32
K1: Final = 1.2
B: Final = 0.75

_TERM: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+(?:['\u2019][^\W_]+)?")
_STOP: Final = frozenset(
    re.findall(
        "[a-z]+",
        """a about after all also am an and any are as at be because been before being but by can could did do does
        doing down for from further had has have having he her here hers him his how i if in into is it its
        itself just me more most my no nor not of off on once only or other our ours out over own same she should
        so some such than that the their theirs them then there these they this those through to too under until
        up very was we were what when where which while who whom why will with would you your yours""",
    )
)
_ENDINGS: Final = (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("s", ""))
_STEM_MIN: Final = 3


def terms(text: str) -> Counter[str]:
    """The words of a text with how often each stands there: lower case, without accents, common words and endings."""
    found: Counter[str] = Counter()
    for match in _TERM.finditer(_folded(text)):
        word = match.group().partition("'")[0]
        if word not in _STOP:
            found[_stem(word)[:TERM_CHARS_MAX]] += 1
    return found


def query_terms(text: str) -> tuple[str, ...]:
    """The words of a question, each once, at most 32: the most repeated first."""
    return tuple(term for term, _ in terms(text).most_common(QUERY_TERMS_MAX))


def idf(*, total: int, having: int) -> float:
    """What a word that stands in `having` of `total` texts weighs; never below zero."""
    return math.log(1 + (total - having + 0.5) / (having + 0.5))


def coverage(weights: Mapping[str, float], matched: frozenset[str]) -> float:
    """The share, by weight, of a question's words that a text has: 0 to 1."""
    total = sum(weights.values())
    return sum(weights[term] for term in matched if term in weights) / total if total else 0.0


def bm25(*, weight: float, count: int, length: int, average: float) -> float:
    """What one word adds: `count` times in a text of `length` words, where texts have `average`."""
    return weight * count * (K1 + 1) / (count + K1 * (1 - B + B * length / max(average, 1)))


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.lower()).replace("\u2019", "'")
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def _stem(word: str) -> str:
    """Without its ending: `stops`, `stopped` and `stopping` are `stop`. As English words are."""
    if not word.isascii() or word.isdigit():
        return word
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and not word.endswith(("ss", "us")) and len(word) - len(ending) >= _STEM_MIN:
            word = word[: -len(ending)] + instead
            if ending in {"ing", "ed"} and len(word) > _STEM_MIN and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    return word[:-1] if word.endswith("e") and len(word) > _STEM_MIN else word
