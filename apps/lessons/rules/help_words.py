"""Figures of an evaluation in words, the same on the page and in the terminal. Pure.

No rate without its numbers, and none at all of fewer than `FEW`: then the numbers stand alone, and say so.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from apps.lessons.rules.shares import FEW
from apps.lessons.rules.walkforward import FALSE_ALARMS, WARM_UP
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
    """`43 % (30 to 57 %), 26 of 60`; `too few to say, 3 of 7`; `none yet`."""
    return ", ".join(part for part in (share(record), counts(record)) if part)


def share(record: Record) -> str:
    """The share with its interval, or why none is said."""
    if not record["of"]:
        return "none yet"
    if record["of"] < FEW or record["share"] is None:
        return "too few to say"
    return f"{_percent(record['share'])} % ({_percent(record['low'])} to {_percent(record['high'])} %)"


def counts(record: Record) -> str:
    """What it is a share of; nothing where there is nothing to divide by."""
    return f"{record['hits']} of {record['of']}" if record["of"] else ""


def catches(figures: Record) -> str:
    """Whether what policy counts catches more repeat losses than what it is held against, in a sentence. Nothing is
    said of a warning that was given too often: whoever warns always catches everything."""
    rows: dict[str, Record] = {row["warning"]: row for row in figures["warnings"]}
    recalls = {name: row["recall"] for name, row in rows.items()}
    own, alarms = recalls[WarningKind.COUNTED], rows[WarningKind.COUNTED]["false_alarms"]
    if not own["of"]:
        return (
            f"Nothing to say yet: {WARM_UP} trades that repeat no mistake set a threshold first, and no repeat loss "
            "has come after them."
        )
    if own["of"] < FEW:
        return f"Too few to say: {own['of']} repeat losses were judged, and a share is said of {FEW} or more."
    if alarms["low"] is not None and Decimal(alarms["low"]) > Decimal(repr(FALSE_ALARMS)):
        return f"What policy counts warned too often to be compared: false alarms {figure(alarms)}."
    others = [recalls[kind] for kind in WarningKind if kind not in OWN and recalls[kind]["of"] >= FEW]
    if others and all(Decimal(own["low"]) > Decimal(other["high"]) for other in others):
        return "What policy counts catches more repeat losses than anything it is held against."
    if any(Decimal(own["high"]) < Decimal(other["low"]) for other in others):
        return "What policy counts catches fewer repeat losses than something it is held against: it does not help."
    return "No difference can be told yet between what policy counts and what it is held against."


def compared(holdout: Record, *, percent: int) -> str:
    """Whether proposals that saw lessons lost less often than those held out, in words. `percent` is the share that is
    held out now."""
    if not holdout["withheld"]["of_proposals"]["of"]:
        if percent:
            return f"{percent} % of proposals are held out, and none of them had a lesson to see yet."
        return "Nobody knows: no proposal is held out. LESSONS_HOLDOUT_SHARE is 0; at 20, one in five sees no lesson."
    said = _compared(holdout)
    return said if percent else f"{said} Nothing is held out any more: LESSONS_HOLDOUT_SHARE is 0."


def _compared(holdout: Record) -> str:
    held, seen, by = holdout["withheld"]["of_proposals"], holdout["shown"]["of_proposals"], holdout["by"]
    if min(held["of"], seen["of"]) < FEW:
        return f"Too few to say: {held['of']} were held out and {seen['of']} saw lessons; {FEW} of each are needed."
    between = f"by {_signed(by['low'])} to {_signed(by['high'])} points (95 %; below 0 is fewer losses with lessons)"
    if Decimal(by["high"]) < 0:
        return f"Proposals that saw lessons lost less often: the share that lost differs {between}."
    if Decimal(by["low"]) > 0:
        return f"Proposals that saw lessons lost more often, they do not help: the share that lost differs {between}."
    return f"No difference can be told: the share that lost differs {between}."


def _percent(part: str) -> str:
    return f"{(Decimal(part) * 100).quantize(Decimal(1), ROUND_HALF_EVEN):f}"


def _signed(part: str) -> str:
    points = (Decimal(part) * 100).quantize(Decimal(1), ROUND_HALF_EVEN)
    return f"{'−' if points < 0 else '+' if points > 0 else ''}{abs(points):f}"
