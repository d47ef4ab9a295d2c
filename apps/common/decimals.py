"""Decimals and instants as text, in one normal form each: what is hashed, stored and sent."""

import re
from datetime import UTC, datetime
from decimal import Decimal

from apps.common.errors import Invalid

INTEGER_DIGITS_MAX = 20
PLACES_MAX = 18
TEXT_CHARS_MAX = 100
EXPONENT_MAX = 100

_DECIMAL = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)


def decimal_text(value: Decimal) -> str:
    """The one text of a number: no exponent, no trailing zeros, no plus sign, and zero is "0".

    Raises ValueError for NaN and infinities, and for exponents beyond 100, which no amount of money has.
    """
    if not value.is_finite():
        raise ValueError("Only finite decimals have a text.")
    if value.is_zero():
        return "0"
    if abs(value.adjusted()) > EXPONENT_MAX:
        raise ValueError("The decimal is beyond any amount of money.")
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def parse_decimal(
    text: object, *, field: str, integer_digits: int = INTEGER_DIGITS_MAX, places: int = PLACES_MAX
) -> Decimal:
    """The number a text says, exactly and in normal form. Zeros at the end do not count as places.

    Raises Invalid: DECIMAL_NOT_TEXT (a JSON number has already lost digits), DECIMAL_MALFORMED (exponents, signs such
    as "+" and "-0", blanks, leading zeros, digits outside ASCII, NaN), DECIMAL_TOO_PRECISE, DECIMAL_TOO_LARGE.
    """
    if not isinstance(text, str):
        raise Invalid(
            "DECIMAL_NOT_TEXT", f'{field} must be a text, "0.25".', fix="Put the number in quotes.", field=field
        )
    if len(text) > TEXT_CHARS_MAX:
        raise Invalid("DECIMAL_TOO_LARGE", f"{field} has more than {TEXT_CHARS_MAX} characters.", field=field)
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise _malformed(field)
    sign, whole, fraction = match[1], match[2], (match[3] or "").rstrip("0")
    if len(whole) > integer_digits:
        raise Invalid(
            "DECIMAL_TOO_LARGE",
            f"{field} has more than {integer_digits} digits before the point.",
            fix="Send a smaller number.",
            field=field,
            integer_digits=str(len(whole)),
        )
    if len(fraction) > places:
        raise Invalid(
            "DECIMAL_TOO_PRECISE",
            f"{field} has more than {places} decimal places.",
            fix=f"Round it to {places} places yourself: Aika never rounds what was asked.",
            field=field,
            places=str(len(fraction)),
        )
    plain = f"{whole}.{fraction}" if fraction else whole
    if sign and plain == "0":
        raise _malformed(field)
    return Decimal(sign + plain)


def instant_text(value: datetime) -> str:
    """An aware instant as UTC text with six digits: `2026-11-22T19:28:00.000000Z`. A naive one raises TypeError."""
    if value.tzinfo is UTC:  # as almost every one is
        return value.isoformat(timespec="microseconds")[:-6] + "Z"
    if value.tzinfo is None or value.utcoffset() is None:
        raise TypeError("A naive datetime is no instant.")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_instant(text: object, *, field: str) -> datetime:
    """The aware UTC instant of an ISO 8601 text that names its offset ("Z" or "+02:00"); digits past six are cut off.

    Raises Invalid INSTANT_MALFORMED, also for a text without an offset.
    """
    if isinstance(text, str) and _INSTANT.fullmatch(text):
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # the right shape, yet no day of any calendar: same answer as below
    raise Invalid(
        "INSTANT_MALFORMED",
        f"{field} must be an instant such as 2026-11-22T19:28:00Z.",
        fix="Send ISO 8601 with an offset.",
        field=field,
    )


def _malformed(field: str) -> Invalid:
    return Invalid(
        "DECIMAL_MALFORMED",
        f"{field} is not a plain decimal number.",
        fix="Send digits and at most one point, such as 12.5 or -0.1: no exponent, no plus sign, no blanks.",
        field=field,
    )
