"""What a detector is: a measure, a limit, and what breaking it shows."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from enum import StrEnum
from typing import Final

from apps.common.decimals import decimal_text
from apps.lessons.rules.scene import Scene
from apps.lessons.types import Fact, MistakeTag

_STEP: Final = Decimal("0.0001")
_VALUE_MAX: Final = Decimal(10**9)


class Breaks(StrEnum):
    """On which side of its limit a fact is broken. At the limit itself nothing is."""

    ABOVE = "above"
    BELOW = "below"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One fact. `tag` is the mistake that a broken one shows; `afterwards` are known only once the trade is over.

    `applies` says of which scenes it can be broken at all.
    """

    name: str
    unit: str
    measure: Callable[[Scene], Decimal | None]
    means: str
    limit: Decimal | None = None
    breaks: Breaks = Breaks.NEVER
    tag: MistakeTag | None = None
    afterwards: bool = False
    given: bool = False
    applies: Callable[[Scene], bool] = lambda scene: True

    def measured(self, scene: Scene) -> Decimal | None:
        """Its value, as it is kept; None where it cannot be known."""
        return _rounded(self.measure(scene))

    def fact(self, scene: Scene) -> Fact:
        """What it finds; what cannot be measured is as it was told, where somebody told it."""
        value, told = self.measured(scene), self.given and self.name in scene.given
        if value is None and self.name in scene.given:
            value, told = _rounded(scene.given[self.name]), True
        limit = self.limit if self.applies(scene) else None
        violated = self._is_broken(value, limit)
        return Fact(name=self.name, value=value, unit=self.unit, limit=limit, violated=violated, told=told)

    def _is_broken(self, value: Decimal | None, limit: Decimal | None) -> bool | None:
        if value is None or limit is None:
            return None
        return value > limit if self.breaks is Breaks.ABOVE else value < limit


def _rounded(value: Decimal | None) -> Decimal | None:
    """To four places and a thousand million at most, so that a fact is a short text; never above the limit by it."""
    if value is None:
        return None
    with localcontext() as context:
        context.prec = 60
        bounded = max(-_VALUE_MAX, min(_VALUE_MAX, value))
        return Decimal(decimal_text(bounded.quantize(_STEP, rounding=ROUND_HALF_EVEN)))
