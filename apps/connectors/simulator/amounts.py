"""Decimals in and out of text. Nothing here, or anywhere in the simulator, turns money into a binary float."""

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

ZERO = Decimal(0)
_PLAIN = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?|\.[0-9]{1,20}")


def parse_plain(text: object) -> Decimal | None:
    """The non-negative decimal in `text`, or None: signs, exponents, NaN and JSON numbers are not amounts here."""
    if not isinstance(text, str) or not _PLAIN.fullmatch(text):
        return None
    return Decimal(text)


def text_of(value: Decimal) -> str:
    """Fixed-point text without trailing zeros ("0.10" gives "0.1", "1E+2" gives "100")."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def rounded_text(value: Decimal, places: int = 16) -> str:
    """Text of a quotient that need not end: half-even at `places`."""
    return text_of(value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN))


def floor_to(value: Decimal, increment: Decimal) -> Decimal:
    """The largest multiple of `increment` that is not above `value`."""
    return (value / increment).to_integral_value(rounding=ROUND_FLOOR) * increment


def ceil_to(value: Decimal, increment: Decimal) -> Decimal:
    """The smallest multiple of `increment` that is not below `value`."""
    return (value / increment).to_integral_value(rounding=ROUND_CEILING) * increment


def is_multiple(value: Decimal, increment: Decimal) -> bool:
    """Whether `value` lies on the grid of `increment`."""
    return value % increment == 0
