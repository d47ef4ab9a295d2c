"""The detectors: every fact there is, what it measures, its unit and where it breaks a limit. Pure.

The same table serves a proposal and what became of it. A fact that cannot be known is None, never guessed; what stands
in `ELSEWHERE` needs data that Aika does not read (events, options, positioning, sessions): None unless it is told.
`docs/outcomes.md` has the table, and a test holds the two to each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from apps.common.decimals import decimal_text
from apps.common.errors import Invalid
from apps.lessons.rules.detecting.detector import Detector
from apps.lessons.rules.detecting.known import COURSE, ELSEWHERE, MARKET, PLANNED
from apps.lessons.rules.scene import Scene
from apps.lessons.types import Fact

FACTS_VERSION: Final = 1
DETECTORS: Final[Sequence[Detector]] = (*PLANNED, *MARKET, *COURSE, *ELSEWHERE)
BY_NAME: Final[Mapping[str, Detector]] = {one.name: one for one in DETECTORS}

_BY_THE_CLOCK: Final = frozenset({"hour", "to_weekend"})
TOLD: Final[Sequence[Detector]] = tuple(
    one for one in DETECTORS if not one.afterwards and one.name not in _BY_THE_CLOCK
)
"""What a proposal or a report may tell of the moment it was decided: the rest follows from its times and course."""


def detect(scene: Scene) -> tuple[Fact, ...]:
    """Every fact of the scene, in the order of the table; those of its course only where it has one."""
    return tuple(one.fact(scene) for one in DETECTORS if scene.course is not None or not one.afterwards)


def detect_course(scene: Scene) -> tuple[Fact, ...]:
    """The facts that are known only afterwards."""
    return tuple(one.fact(scene) for one in DETECTORS if one.afterwards)


def check_told(scene: Scene) -> None:
    """What was told (`given`) against what is measured here: off by less than its last digit agrees.

    Raises Invalid FACT_OUT_OF_RANGE, and FACT_DIFFERS with the right figure: of two truths neither would be evidence.
    """
    for name, told in scene.given.items():
        one = BY_NAME[name]
        if one.unit == "yes" and told not in (0, 1):
            raise Invalid(
                "FACT_OUT_OF_RANGE",
                f"{name} is 1 for yes and 0 for no.",
                fix="Send one of them.",
                field=f"facts.{name}",
            )
        right, exponent = None if one.given else one.measured(scene), told.as_tuple().exponent
        step = Decimal(1).scaleb(min(0, int(exponent)))
        if right is not None and abs(right - told) >= step:
            raise Invalid(
                "FACT_DIFFERS",
                f"{name} is {decimal_text(right)} {one.unit}, as it is measured here.",
                fix="Leave it out: it is kept as it is measured.",
                field=f"facts.{name}",
                told=decimal_text(told),
                right=decimal_text(right),
            )


def as_it_counts(scene: Scene) -> Scene:
    """The scene of a proposal with what is told of it as far as that counts.

    What is read nowhere here is as it was told. What is measured here, and could not be at this moment, stays unknown
    where telling it would speak for the proposal: a measure that is missing is no way out of what unknown facts cost.
    """
    against = {name for name in scene.given if BY_NAME[name].given or BY_NAME[name].fact(scene).violated}
    return replace(scene, given={name: value for name, value in scene.given.items() if name in against})


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
        known = "where told" if one.given else "afterwards" if one.afterwards else "when proposed"
        lines.append(f"| `{one.name}` | {one.unit} | {limit} | {tag} | {known} | {one.means} |")
    return "\n".join(lines)
