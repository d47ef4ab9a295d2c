"""Arithmetic on money, exact or rounded in the direction its name says.

Python's `*` rounds to 28 digits without a word; a quantity and a price of 38 digits each need 76. `product` and `total`
are exact. Amounts compared in SQL are *minor units*: integers of 1e-8, which fit a BIGINT.
"""

from collections.abc import Iterable
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    Clamped,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)

from apps.common.decimals import decimal_text
from apps.common.errors import Invalid

MINOR_PLACES = 8
MINOR_MAX = 2**63 - 1
BPS_PLACES = 8

_EXACT = Context(prec=400, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero, Clamped])
_WIDE = Context(prec=400, traps=[InvalidOperation, Overflow, DivisionByZero])


def product(*factors: Decimal) -> Decimal:
    """The exact product, without the 28-digit rounding of `*`."""
    result = Decimal(1)
    for factor in factors:
        result = _EXACT.multiply(result, factor)
    return result


def total(values: Iterable[Decimal]) -> Decimal:
    """The exact sum; 0 of nothing."""
    result = Decimal(0)
    for value in values:
        result = _EXACT.add(result, value)
    return result


def minor_up(value: Decimal) -> int:
    """Minor units (1e-8), rounded up: what is used or asked, held against a limit.

    Raises Invalid AMOUNT_OVERFLOW beyond a BIGINT, AMOUNT_NOT_FINITE for NaN and infinities.
    """
    return _minor(value, ROUND_CEILING)


def minor_down(value: Decimal) -> int:
    """Minor units (1e-8), rounded down: what is available, or a limit itself. Raises as `minor_up`."""
    return _minor(value, ROUND_FLOOR)


def from_minor(minor: int) -> Decimal:
    """The amount of that many 1e-8, exactly."""
    return _scaled(minor, -MINOR_PLACES)


def floor_to(value: Decimal, increment: Decimal) -> Decimal:
    """The largest multiple of `increment` that is not above `value`. Raises ValueError unless increment > 0."""
    return _multiple(value, increment, up=False)


def ceil_to(value: Decimal, increment: Decimal) -> Decimal:
    """The smallest multiple of `increment` that is not below `value`. Raises ValueError unless increment > 0."""
    return _multiple(value, increment, up=True)


def bps(a: Decimal, b: Decimal) -> Decimal:
    """How far `a` lies above `b`, in basis points of `b`; negative when below.

    Rounded away from zero at 8 places: a distance is never made smaller, and comparing it with a limit of at most
    8 places gives what exact numbers would. Raises ValueError unless b > 0 and both are finite.
    """
    if not (a.is_finite() and b.is_finite()) or b <= 0:
        raise ValueError("Basis points need a positive, finite reference.")
    # Integers: a division would have to round before it could be rounded the right way.
    unit = min(_exponent(a), _exponent(b))
    whole_a, whole_b = _units(a, unit), _units(b, unit)
    scaled = (whole_a - whole_b) * 10_000 * 10**BPS_PLACES
    magnitude = -(-abs(scaled) // whole_b)
    return _scaled(magnitude if scaled >= 0 else -magnitude, -BPS_PLACES)


def _minor(value: Decimal, rounding: str) -> int:
    if not value.is_finite():
        raise Invalid("AMOUNT_NOT_FINITE", "The amount is not a finite number.")
    if not value.is_zero() and value.adjusted() > 30:
        raise _overflow()
    minor = int(_WIDE.scaleb(value, MINOR_PLACES).to_integral_value(rounding, _WIDE))
    if not -MINOR_MAX <= minor <= MINOR_MAX:
        raise _overflow()
    return minor


def _overflow() -> Invalid:
    return Invalid(
        "AMOUNT_OVERFLOW",
        "The amount is larger than Aika can hold against a limit.",
        fix="Send less than 92 billion.",
    )


def _multiple(value: Decimal, increment: Decimal, *, up: bool) -> Decimal:
    if not (value.is_finite() and increment.is_finite()) or increment <= 0:
        raise ValueError("Rounding needs a finite value and an increment above zero.")
    unit = min(_exponent(value), _exponent(increment))
    whole, step = _units(value, unit), _units(increment, unit)
    count = -(-whole // step) if up else whole // step
    return _scaled(count * step, unit)


def _scaled(units: int, exponent: int) -> Decimal:
    """units * 10**exponent in normal form: 1.5, not 1.500, and 100, not 1E+2."""
    return Decimal(decimal_text(_EXACT.scaleb(Decimal(units), exponent)))


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)  # noqa: S101  finite, as every caller has checked; tells the type checker
    return exponent


def _units(value: Decimal, unit: int) -> int:
    return int(_EXACT.scaleb(value, -unit))
