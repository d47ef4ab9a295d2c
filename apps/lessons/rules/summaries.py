"""A case in four lines for people, and in two texts for machines. The same case always gives the same words.

No locale and no model has a say: numbers have a point, no groups, and fixed places. What is not known is a question
mark.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final

from apps.common.decimals import decimal_text
from apps.lessons.types import CaseVerdict, Fact, Result

SUMMARY_VERSION: Final = 2
"""Of the four lines. A change of wording is a new version: rows say by which one they were written."""
TEXT_VERSION: Final = 1
"""Of the two texts; part of an embedding space's name, since vectors of two wordings cannot be compared."""

THESIS_CHARS_MAX: Final = 400
BROKEN_MAX: Final = 2
_PRICE_STEP: Final = Decimal("0.00000001")
_FACT_STEP: Final = Decimal("0.0001")
_R_STEP: Final = Decimal("0.01")
_PRECISION: Final = 120
_UNKNOWN: Final = "?"
_WORDS: Final = {Result.WON: "WIN", Result.LOST: "LOSS", Result.FLAT: "FLAT", Result.UNKNOWN: "UNKNOWN"}

_DIGIT: Final = re.compile(r"\d")
# What ends a sentence or a clause stays where the number before it goes.
_MARKS: Final = ".,;:!?)"
_LOOSE: Final = re.compile(r" (?=[.,;:!?)])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What is told of a case. Prices in quote currency, R in multiples of the planned risk, times aware UTC.

    `teaches` is true for a case with a lesson: only then are cause and rule part of it. `verdict` is what people or
    rules made of it: a rule may have been broken that nothing measures.
    """

    result: Result
    product: str
    side: str
    quantity: Decimal
    entry_price: Decimal | None
    exit_price: Decimal
    exit_reason: str
    opened_at: datetime | None
    closed_at: datetime
    regime: str
    r_multiple: Decimal | None
    mfe_r: Decimal | None
    mae_r: Decimal | None
    thesis: str
    notes: str
    facts: Sequence[Fact]
    verdict: CaseVerdict = CaseVerdict.UNKNOWN
    teaches: bool = False
    cause: str = ""
    next_time: str = ""


def summary(story: Story) -> str:
    """The lines people read: what happened, why it was meant, what was broken, and what it teaches."""
    lines = [
        _happened(story),
        f"Thesis: {_cut(_one_line(story.thesis)) or _UNKNOWN}",
        _broken(story),
    ]
    if story.teaches:
        cause, rule = _sentence(story.cause), _sentence(story.next_time)
        lines.append(f"Cause: {cause or 'not reviewed.'} Next time: {rule or 'no rule yet.'}")
    return "\n".join(lines)


def thesis_text(story: Story) -> str:
    """What is embedded of the plan: the proposer's own words, as they are."""
    return story.thesis


def narrative_text(story: Story) -> str:
    """What is embedded of how it went: the facts broken, the reporter's notes, cause and rule, without any number.

    Numbers are the rarest words there are, and say nothing of which mistake it was. Empty where nothing is told.
    """
    parts = [f"{_name(fact)} beyond its limit." for fact in worst(story.facts)]
    parts += [_sentence(text) for text in (story.notes, story.cause, story.next_time)]
    return " ".join(part for part in (without_numbers(part) for part in parts) if part)


def without_numbers(text: str) -> str:
    """The text on one line, without every word that holds a digit. Takes time in proportion to its length."""
    words = (_without_number(word) for word in text.split())
    bare = _LOOSE.sub("", " ".join(word for word in words if word))
    return bare if any(character.isalpha() for character in bare) else ""


def _without_number(word: str) -> str:
    """The word; of one with a digit in it only the marks at its end, and the bracket at its beginning."""
    if _DIGIT.search(word) is None:
        return word
    opened = "(" if word.startswith("(") else ""
    closed = word[len(word.rstrip(_MARKS)) :]
    if opened and closed.startswith(")"):
        opened, closed = "", closed[1:]
    return opened + closed


def worst(facts: Sequence[Fact], limit: int = BROKEN_MAX) -> list[Fact]:
    """The facts that were beyond their limit, the furthest beyond it first; by name where that is the same."""
    return sorted((fact for fact in facts if fact.violated), key=lambda fact: (-_excess(fact), fact.name))[:limit]


def number(value: Decimal | None, step: Decimal = _PRICE_STEP) -> str:
    """A number as every summary writes it: rounded half-even to the places of `step`, no zeros at the end."""
    if value is None:
        return _UNKNOWN
    with localcontext() as context:
        context.prec = _PRECISION
        return decimal_text(value.quantize(step, rounding=ROUND_HALF_EVEN))


def multiple(value: Decimal | None) -> str:
    """A multiple of the planned risk, with its sign and two places: `-1.27R`."""
    if value is None:
        return f"{_UNKNOWN}R"
    with localcontext() as context:
        context.prec = _PRECISION
        rounded = value.quantize(_R_STEP, rounding=ROUND_HALF_EVEN)
        return f"{rounded if rounded else abs(rounded):+f}R"


def held(opened_at: datetime | None, closed_at: datetime) -> str:
    """For how long, in its two largest units, rounded down."""
    if opened_at is None:
        return _UNKNOWN
    seconds = max(0, int((closed_at - opened_at).total_seconds()))
    for unit, length, below, below_length in (("d", 86400, "h", 3600), ("h", 3600, "min", 60)):
        if seconds >= length:
            rest = seconds % length // below_length
            return f"{seconds // length} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{seconds // 60} min" if seconds >= 60 else f"{seconds} s"


def _happened(story: Story) -> str:
    return (
        f"{_WORDS[story.result]} {multiple(story.r_multiple)} {story.product} {story.side} {number(story.quantity)}; "
        f"in {number(story.entry_price)} out {number(story.exit_price)} ({story.exit_reason or _UNKNOWN}) "
        f"after {held(story.opened_at, story.closed_at)}; regime {story.regime or _UNKNOWN}; "
        f"MFE {multiple(story.mfe_r)} MAE {multiple(story.mae_r)}"
    )


def _broken(story: Story) -> str:
    broken = worst(story.facts)
    if broken:
        return "Broken: " + "; ".join(_measured(fact) for fact in broken)
    if story.verdict is CaseVerdict.PROCESS_ERROR:
        return "Broken: a rule, by its verdict; nothing that was measured shows it"
    if not any(fact.violated is False for fact in story.facts):
        return "No rule known to be broken: nothing was measured against one"
    return "No rule broken"


def _measured(fact: Fact) -> str:
    unit = f" {fact.unit}" if fact.unit else ""
    limit = "" if fact.limit is None else f" (limit {number(fact.limit, _FACT_STEP)})"
    return f"{_name(fact)} {number(fact.value, _FACT_STEP)}{unit}{limit}"


def _excess(fact: Fact) -> Decimal:
    if fact.value is None or fact.limit is None:
        return Decimal(0)
    with localcontext() as context:
        context.prec = _PRECISION
        distance = abs(fact.value - fact.limit)
        return distance / abs(fact.limit) if fact.limit else distance


def _name(fact: Fact) -> str:
    return fact.name.replace("_", " ")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _sentence(text: str) -> str:
    line = _one_line(text)
    return line if not line or line[-1] in ".!?" else f"{line}."


def _cut(text: str) -> str:
    return text if len(text) <= THESIS_CHARS_MAX else text[: THESIS_CHARS_MAX - 1] + "…"
