"""What a rule answers before it is put into words."""

from decimal import Decimal
from typing import NamedTuple

from apps.policies.types import LineVerdict, ReasonCode, Tier


class Bps(NamedTuple):
    """How far `value` lies above `reference`, in basis points, divided out only when somebody reads it."""

    value: Decimal
    reference: Decimal


class Micros(NamedTuple):
    """A span in microseconds, turned into seconds only when somebody reads it."""

    span_us: int


Shown = Decimal | str | Bps | Micros


class Finding(NamedTuple):
    """One rule's answer: observed, operator, limit, unit. `about` names the fact, parameter or list it turned on;
    `said` is the sentence of a rule that words itself."""

    verdict: LineVerdict
    code: ReasonCode
    observed: Shown = ""
    operator: str = ""
    limit: Shown = ""
    unit: str = ""
    about: str = ""
    tier: Tier | None = None
    said: str = ""


PASSED = Finding(LineVerdict.PASS, ReasonCode.WITHIN_LIMIT)
OUT_OF_SCOPE = Finding(LineVerdict.NOT_APPLICABLE, ReasonCode.OUT_OF_SCOPE)


class Doubt(Exception):
    """Something a rule must know is missing, malformed, stale, or contradicts itself; no error of the program."""

    def __init__(self, code: ReasonCode, about: str = "") -> None:
        super().__init__(code, about)
        self.code = code
        self.about = about

    @property
    def finding(self) -> Finding:
        """The doubt as an answer: it denies."""
        return Finding(LineVerdict.ERROR, self.code, about=self.about)
