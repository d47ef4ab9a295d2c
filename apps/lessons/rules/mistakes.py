"""From facts to mistakes of the closed list, and to what kind of loss it was. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from apps.common.decimals import decimal_text
from apps.lessons.rules.detectors import BY_NAME
from apps.lessons.types import CaseVerdict, Fact, MistakeTag, TagFound, TagSource

# Ten times the usual is no bold bet: somebody typed a digit too many.
SLIP_OF_HAND: Final = Decimal(10)
EXECUTION: Final = frozenset({MistakeTag.SLIPPAGE})
DATA: Final = frozenset({MistakeTag.STALE_DATA})


def tags_of(facts: Sequence[Fact]) -> tuple[TagFound, ...]:
    """The mistakes that broken facts show, each once, with the fact that shows it; in the order of the facts."""
    found: dict[MistakeTag, TagFound] = {}
    for fact in facts:
        for tag in _shown_by(fact):
            found.setdefault(tag, TagFound(tag=tag, source=TagSource.RULE, because=because(fact)))
    return tuple(found.values())


def _shown_by(fact: Fact) -> Iterable[MistakeTag]:
    detector = BY_NAME.get(fact.name)
    if not fact.violated or detector is None or detector.tag is None:
        return
    yield detector.tag
    if fact.name == "size_of_median" and fact.value is not None and fact.value >= SLIP_OF_HAND:
        yield MistakeTag.FAT_FINGER


def because(fact: Fact) -> str:
    """A broken fact in words: `chase 1.2 ATR, limit 0.5`."""
    if fact.value is None or fact.limit is None:
        return fact.name
    return f"{fact.name} {decimal_text(fact.value)} {fact.unit}, limit {decimal_text(fact.limit)}"


def verdict_of(facts: Sequence[Fact], tags: Sequence[TagFound]) -> CaseVerdict:
    """What kind of trade it was, by what rules over facts say.

    PROCESS_ERROR where any rule of one's own was broken; else DATA or EXECUTION where only that went wrong; else
    PLANNED_LOSS where a stop was planned and nothing was broken. Without a plan nobody knows. Words of reporters and
    likenesses decide nothing here.
    """
    shown = {one.tag for one in tags if one.source is TagSource.RULE}
    if shown - EXECUTION - DATA or any(_is_untagged(fact) for fact in facts):
        return CaseVerdict.PROCESS_ERROR
    if shown & DATA:
        return CaseVerdict.DATA
    if shown & EXECUTION:
        return CaseVerdict.EXECUTION
    planned = any(fact.name == "has_planned_stop" and fact.violated is False for fact in facts)
    return CaseVerdict.PLANNED_LOSS if planned else CaseVerdict.UNKNOWN


def _is_untagged(fact: Fact) -> bool:
    """Broken, and no tag of the list says how."""
    detector = BY_NAME.get(fact.name)
    return bool(fact.violated) and (detector is None or detector.tag is None)
