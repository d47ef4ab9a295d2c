"""Sentences that show each mistake in words: said before the trade (thesis.txt) and afterwards (narrative.txt).

Our own, and more to be added: a line `[tag]`, then its sentences. `[none]` holds what is said of any trade.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from apps.lessons.types import MistakeTag, TextKind

NO_MISTAKE = "none"


@dataclass(frozen=True, slots=True)
class Prototype:
    """One sentence, the mistake it shows (None where it shows none), and whether it is said before or afterwards."""

    tag: MistakeTag | None
    kind: TextKind
    text: str


@cache
def prototypes() -> tuple[Prototype, ...]:
    """All of them. Raises ValueError for a tag that is not on the list."""
    folder = Path(__file__).parent
    return tuple(one for kind in TextKind for one in read((folder / f"{kind}.txt").read_text(encoding="utf-8"), kind))


def read(content: str, kind: TextKind) -> list[Prototype]:
    """The sentences of one file. Raises ValueError as above."""
    found: list[Prototype] = []
    tag: MistakeTag | None = None
    for line in content.splitlines():
        if line.startswith("["):
            name = line.strip("[]")
            tag = None if name == NO_MISTAKE else MistakeTag(name)
        elif line:
            found.append(Prototype(tag, kind, line))
    return found
