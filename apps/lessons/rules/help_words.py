"""Figures of an evaluation in words, the same on the page and in the terminal. Pure.

No rate without its numbers, and none at all of fewer than `FEW`: then the numbers stand alone, and say so.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from apps.lessons.rules.shares import FEW
from apps.lessons.rules.walkforward import WARM_UP
from apps.lessons.rules.warnings import OWN, WarningKind

Record = Mapping[str, Any]

WARNINGS: Final[Mapping[str, tuple[str, str]]] = {
    WarningKind.COUNTED: (
        "What policy counts",
        "losses with the same mistakes or two same facts, against what is usual",
    ),
    WarningKind.SHOWN: ("The nearest lesson, as it was shown", "its score when the trade was proposed"),
    WarningKind.WORDS: ("Words like those of a loss", "the thesis beside earlier theses that lost"),
    WarningKind.SAME_INSTRUMENT: ("Always the same instrument", "losses among its last five trades"),
    WarningKind.THREE_LOSSES: ("Losses of instrument and side", "how many in 30 days"),
    WarningKind.CHANCE: ("Chance", "one trade in ten, whichever"),
}
"""What each warning is called, and what it goes by."""


def figure(record: Record) -> str:
    """`43 % (30 to 57 %), 26 of 60`; `3 of 7: too few to say`; `none yet`."""
    hits, of = record["hits"], record["of"]
    if not of:
        return "none yet"
    if of < FEW or record["share"] is None:
        return f"{hits} of {of}: too few to say"
    return f"{_percent(record['share'])} % ({_percent(record['low'])} to {_percent(record['high'])} %), {hits} of {of}"


def catches(figures: Record) -> str:
    """Whether what policy counts catches more repeat losses than what it is held against, in a sentence."""
    recalls: dict[str, Record] = {row["warning"]: row["recall"] for row in figures["warnings"]}
    own = recalls[WarningKind.COUNTED]
    if not own["of"]:
        return (
            f"Nothing to say yet: {WARM_UP} trades that repeat no mistake set a threshold first, and no repeat loss "
            "has come after them."
        )
    if own["of"] < FEW:
        return f"Too few to say: {own['of']} repeat losses were judged, and a share is said of {FEW} or more."
    others = [recalls[kind] for kind in WarningKind if kind not in OWN and recalls[kind]["of"] >= FEW]
    if others and all(Decimal(own["low"]) > Decimal(other["high"]) for other in others):
        return "What policy counts catches more repeat losses than anything it is held against."
    if any(Decimal(own["high"]) < Decimal(other["low"]) for other in others):
        return "What policy counts catches fewer repeat losses than something it is held against: it does not help."
    return "No difference can be told yet between what policy counts and what it is held against."


def compared(holdout: Record, *, percent: int) -> str:
    """Whether proposals that saw lessons lost less often than those held out, in a sentence. `percent` is the share
    that is held out now."""
    held, seen, by = holdout["withheld"]["of_proposals"], holdout["shown"]["of_proposals"], holdout["by"]
    if not held["of"]:
        if percent:
            return f"{percent} % of proposals are held out, and none of them had a lesson to see yet."
        return "Nobody knows: no proposal is held out. LESSONS_HOLDOUT_SHARE is 0; at 20, one in five sees no lesson."
    if min(held["of"], seen["of"]) < FEW:
        return f"Too few to say: {held['of']} were held out and {seen['of']} saw lessons; {FEW} of each are needed."
    if Decimal(by["high"]) < 0:
        return f"Proposals that saw lessons lost less often: by {_between(by)}."
    if Decimal(by["low"]) > 0:
        return f"Proposals that saw lessons lost more often, by {_between(by)}: they do not help."
    return f"No difference can be told: {_between(by)}."


def _between(by: Record) -> str:
    low, high = sorted((Decimal(by["low"]), Decimal(by["high"])))
    return f"between {_signed(low)} and {_signed(high)} points, more losses being above nothing"


def _percent(share: str) -> str:
    return f"{(Decimal(share) * 100).quantize(Decimal(1), ROUND_HALF_EVEN):f}"


def _signed(share: Decimal) -> str:
    points = (share * 100).quantize(Decimal(1), ROUND_HALF_EVEN)
    return f"{'−' if points < 0 else '+' if points > 0 else ''}{abs(points):f}"
