"""What a closed trade came to: its P&L, how it ended, its multiple of the planned risk, and how bad it was.

Percents are of what was paid or received at the entry. A loss is judged after fees.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final

from apps.common.decimals import decimal_text
from apps.common.errors import Invalid
from apps.common.money import product
from apps.lessons.types import Result

SEVERE_R: Final = Decimal(3)
SEVERE_PCT: Final = Decimal(6)
"""Without a plan there is no R; a loss of 2 % of the entry stands for one, as most plans here risk about that."""
UNMEASURED: Final = Decimal("0.5")
_SEVERITY_STEP: Final = Decimal("0.0001")
_RATIO_STEP: Final = Decimal("0.00000001")
_RATIO_MAX: Final = Decimal(10**9)
_MONEY_STEP: Final = Decimal("0.000000000000000001")
_CENT_PLACES: Final = 2
_PRECISION: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoned:
    """P&L after fees in quote currency (18 places), and in percent of the entry (8 places; None for one of nothing)."""

    pnl: Decimal
    pnl_pct: Decimal | None


def result_of(pnl: Decimal | None) -> Result:
    """How it ended, by what was left after fees."""
    if pnl is None:
        return Result.UNKNOWN
    if pnl == 0:
        return Result.FLAT
    return Result.WON if pnl > 0 else Result.LOST


def severity(*, pnl: Decimal | None, r_multiple: Decimal | None, pnl_pct: Decimal | None) -> Decimal:
    """How bad a loss was, from 0 to 1 (a loss of 3 R, or of 6 % without a plan, and anything worse). 0 for no loss.

    With the same plan it never falls as the loss grows. A loss of unknown measure is in the middle: not forgotten, and
    not the worst there is.
    """
    if pnl is None or pnl >= 0:
        return Decimal(0)
    for measure, severe in ((r_multiple, SEVERE_R), (pnl_pct, SEVERE_PCT)):
        if measure is not None:
            return _rounded(min(Decimal(1), _divided(abs(measure), severe)), _SEVERITY_STEP)
    return UNMEASURED


def r_multiple(*, pnl: Decimal | None, risk: Decimal | None) -> Decimal | None:
    """P&L in multiples of the planned risk (8 places); None without either, or where nothing was at risk."""
    if pnl is None or risk is None or risk <= 0:
        return None
    return ratio(pnl, risk)


def ratio(a: Decimal, b: Decimal) -> Decimal:
    """`a / b`, rounded half-even to 8 places, and not beyond a thousand million: what is worse than that is as bad.

    Raises ZeroDivisionError for b = 0.
    """
    return max(-_RATIO_MAX, min(_RATIO_MAX, _rounded(_divided(a, b), _RATIO_STEP)))


def reckon(*, is_long: bool, quantity: Decimal, entry_price: Decimal, exit_price: Decimal, fees: Decimal) -> Reckoned:
    """The P&L that follows from the numbers of a trade of `quantity` base units; fees in quote currency."""
    paid, received = product(quantity, entry_price), product(quantity, exit_price)
    with localcontext() as context:
        context.prec = _PRECISION
        pnl = (received - paid if is_long else paid - received) - fees
        pct = ratio(100 * pnl, paid) if paid else None
    return Reckoned(pnl=_rounded(pnl, _MONEY_STEP), pnl_pct=pct)


def check_pnl(
    *,
    is_long: bool,
    quantity: Decimal,
    entry_price: Decimal,
    exit_price: Decimal,
    fees: Decimal,
    pnl: Decimal | None,
    pnl_pct: Decimal | None,
) -> Reckoned:
    """What follows from the numbers, where what was reported agrees with it; None reported agrees.

    Reports are rounded: off by less than one in the last digit reported, and by less than a cent and a hundredth of
    what was paid at the entry (of a percent, for `pnl_pct`), is agreement. Raises Invalid PNL_DOES_NOT_FOLLOW with the
    right figure, for `pnl` or `pnl_pct`.
    """
    right = reckon(is_long=is_long, quantity=quantity, entry_price=entry_price, exit_price=exit_price, fees=fees)
    hundredth = _rounded(_divided(product(quantity, entry_price), Decimal(100)), _MONEY_STEP)
    if pnl is not None and abs(pnl - right.pnl) >= (bound := min(_last_digit(pnl), hundredth)) and pnl != right.pnl:
        raise _differs("pnl", pnl, right.pnl, bound)
    pct = right.pnl_pct
    if pnl_pct is not None and pct is not None and abs(pnl_pct - pct) >= (bound := _last_digit(pnl_pct)):
        raise _differs("pnl_pct", pnl_pct, pct, bound)
    return right


def _differs(field: str, reported: Decimal, right: Decimal, bound: Decimal) -> Invalid:
    unit = "the P&L in quote currency" if field == "pnl" else "the P&L in percent of the entry"
    return Invalid(
        "PNL_DOES_NOT_FOLLOW",
        f"{field} is {decimal_text(reported)}; from the other numbers follows {decimal_text(right)}.",
        fix=f"Send {decimal_text(right)} ({unit}, after fees), leave {field} out, or correct the other numbers.",
        field=field,
        reported=decimal_text(reported),
        right=decimal_text(right),
        tolerance=decimal_text(bound),
    )


def _last_digit(reported: Decimal) -> Decimal:
    """One in the last digit that was reported, at most a cent."""
    exponent = reported.as_tuple().exponent
    places = max(_CENT_PLACES, -exponent if isinstance(exponent, int) else 0)
    return Decimal(1).scaleb(-places)


def _divided(a: Decimal, b: Decimal) -> Decimal:
    with localcontext() as context:
        context.prec = _PRECISION
        return a / b


def _rounded(value: Decimal, step: Decimal) -> Decimal:
    with localcontext() as context:
        context.prec = _PRECISION
        return _plain(value.quantize(step, rounding=ROUND_HALF_EVEN))


def _plain(value: Decimal) -> Decimal:
    return Decimal(decimal_text(value))
