"""How a score of an answer is kept. Pure."""

from decimal import Decimal
from typing import Final

_PLACES: Final = 6


def kept_score(value: float) -> Decimal:
    """A score, or a part of one, to six places: what it was, without the noise of its arithmetic."""
    return Decimal(f"{value:.{_PLACES}f}")
