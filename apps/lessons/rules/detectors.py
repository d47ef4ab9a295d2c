"""The detectors: every fact there is, what it measures, its unit and where it breaks a limit. Pure.

The same table serves a proposal and what became of it. A fact that cannot be known is None, never guessed; what stands
in `ELSEWHERE` needs data that Aika does not read (events, options, positioning, sessions): None unless it is given.
`docs/outcomes.md` has the table, and a test holds the two to each other.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from apps.common.decimals import decimal_text
from apps.lessons.rules.detecting.detector import Detector
from apps.lessons.rules.detecting.known import COURSE, ELSEWHERE, MARKET, PLANNED
from apps.lessons.rules.scene import Scene
from apps.lessons.types import Fact

FACTS_VERSION: Final = 1
DETECTORS: Final[Sequence[Detector]] = (*PLANNED, *MARKET, *COURSE, *ELSEWHERE)
BY_NAME: Final[Mapping[str, Detector]] = {one.name: one for one in DETECTORS}


def detect(scene: Scene) -> tuple[Fact, ...]:
    """Every fact of the scene, in the order of the table; those of its course only where it has one."""
    return tuple(one.fact(scene) for one in DETECTORS if scene.course is not None or not one.afterwards)


def detect_course(scene: Scene) -> tuple[Fact, ...]:
    """The facts that are known only afterwards."""
    return tuple(one.fact(scene) for one in DETECTORS if one.afterwards)


def joined(entries: Sequence[Sequence[Fact]]) -> tuple[Fact, ...]:
    """The facts of several entries into one position as one list: of each the one that is broken, else the first known.

    A position bought in three orders is as flawed as the worst of them.
    """
    found: dict[str, Fact] = {}
    for facts in entries:
        for fact in facts:
            kept = found.get(fact.name)
            if kept is None or (fact.violated and not kept.violated) or (kept.value is None and fact.value is not None):
                found[fact.name] = fact
    return tuple(found.values())


def table() -> str:
    """The facts as Markdown, for the documentation."""
    lines = ["| fact | unit | broken | shows | known | what it is |", "| --- | --- | --- | --- | --- | --- |"]
    for one in DETECTORS:
        limit = "\u2013" if one.limit is None else f"{one.breaks.value} {decimal_text(one.limit)}"
        tag = "\u2013" if one.tag is None else one.tag.value
        known = "where given" if one.given else "afterwards" if one.afterwards else "when proposed"
        lines.append(f"| `{one.name}` | {one.unit} | {limit} | {tag} | {known} | {one.means} |")
    return "\n".join(lines)
