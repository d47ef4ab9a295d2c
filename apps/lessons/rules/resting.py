"""When a lesson that nobody finds useful stops being shown. Pure.

Silence is no verdict: people must have said that it is not similar. Were it useful every other time, five in a row who
say no would be one in 32; and what was shown for fewer than twenty proposals has had no fair trial.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

SHOWN_MIN: Final = 20
"""Proposals and questions it was shown for."""
DISMISSED_MIN: Final = 5
"""Times that somebody said it was not similar, other than whoever asked for the trade it is of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of showing a lesson: for how many proposals or questions, and what was said of it."""

    lesson: UUID
    shown: int
    useful: int
    dismissed: int


def to_rest(tried: Collection[Tried]) -> tuple[Tried, ...]:
    """Those that were shown often, dismissed again and again, and never found useful by anybody."""
    return tuple(one for one in tried if one.shown >= SHOWN_MIN and one.dismissed >= DISMISSED_MIN and not one.useful)
