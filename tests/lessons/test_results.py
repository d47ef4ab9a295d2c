"""What a trade came to, how bad that was, and a reported P&L against its own numbers."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.common.errors import Invalid
from apps.lessons.rules import results
from apps.lessons.types import Result

D = Decimal
MONEY = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=D(0), max_value=D(10) ** 12)
POSITIVE = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=D("1E-8"), max_value=D(10) ** 9)
RATIOS = st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-1000, max_value=1000)


@pytest.mark.parametrize(
    ("pnl", "result"),
    [(None, Result.UNKNOWN), (D(0), Result.FLAT), (D("0.01"), Result.WON), (D("-0.01"), Result.LOST)],
)
def test_how_it_ended(pnl: Decimal | None, result: Result) -> None:
    assert results.result_of(pnl) == result


@pytest.mark.parametrize(
    ("pnl", "r", "pct", "severity"),
    [
        (D(-1), D(-1), D(-50), "0.3333"),
        (D(-1), D(-3), None, "1"),
        (D(-1), D(-30), None, "1"),
        (D(-1), None, D(-3), "0.5"),
        (D(-1), None, D(-9), "1"),
        (D(-1), None, None, "0.5"),
        (D(0), D(-3), None, "0"),
        (D(1), D(3), D(50), "0"),
        (None, None, None, "0"),
    ],
)
def test_how_bad_it_was(pnl: Decimal | None, r: Decimal | None, pct: Decimal | None, severity: str) -> None:
    assert results.severity(pnl=pnl, r_multiple=r, pnl_pct=pct) == D(severity)


def severity_of(loss: Decimal, risk: Decimal | None, paid: Decimal | None) -> Decimal:
    """As a case measures it: R by the plan, percent by what was paid."""
    return results.severity(
        pnl=-loss,
        r_multiple=results.r_multiple(pnl=-loss, risk=risk),
        pnl_pct=None if paid is None else results.ratio(-100 * loss, paid),
    )


@given(MONEY, MONEY, st.none() | POSITIVE, st.none() | POSITIVE)
@example(D(0), D("1E-8"), None, None)
@example(D("2.99999999"), D(3), D(1), None)
def test_severity_never_falls_as_the_loss_grows(
    one: Decimal, other: Decimal, risk: Decimal | None, paid: Decimal | None
) -> None:
    small, large = sorted((one, other))
    assert 0 <= severity_of(small, risk, paid) <= severity_of(large, risk, paid) <= 1


@given(POSITIVE, POSITIVE, POSITIVE, MONEY, st.booleans())
def test_pnl_is_what_fractions_say(
    quantity: Decimal, entry: Decimal, exit_price: Decimal, fees: Decimal, is_long: bool
) -> None:
    found = results.reckon(is_long=is_long, quantity=quantity, entry_price=entry, exit_price=exit_price, fees=fees)
    moved = Fraction(exit_price) - Fraction(entry)
    exact = Fraction(quantity) * (moved if is_long else -moved) - Fraction(fees)
    assert Fraction(found.pnl) == exact
    assert found.pnl_pct is not None
    right = 100 * exact / (Fraction(quantity) * Fraction(entry))
    if abs(right) < 10**9:
        assert abs(Fraction(found.pnl_pct) - right) <= Fraction(1, 2 * 10**8)


TRADE = {"is_long": True, "quantity": D("0.6"), "entry_price": D(100), "exit_price": D("95.01"), "fees": D("0.123")}
# -3.117 after fees, -5.195 % of 60


@pytest.mark.parametrize("pnl", [None, D("-3.117"), D("-3.12"), D("-3.11"), D("-3.1165")])
@pytest.mark.parametrize("pct", [None, D("-5.195"), D("-5.2"), D("-5.19")])
def test_a_report_that_follows_from_its_numbers_is_taken_and_made_exact(
    pnl: Decimal | None, pct: Decimal | None
) -> None:
    if pnl == D("-3.1165"):
        with pytest.raises(Invalid):
            results.check_pnl(**TRADE, pnl=pnl, pnl_pct=pct)  # type: ignore[arg-type]
        return
    found = results.check_pnl(**TRADE, pnl=pnl, pnl_pct=pct)  # type: ignore[arg-type]
    assert (found.pnl, found.pnl_pct) == (D("-3.117"), D("-5.195"))


@pytest.mark.parametrize(
    ("pnl", "pct", "field", "right"),
    [
        (D("-2.99"), None, "pnl", "-3.117"),  # before fees
        (D("3.12"), None, "pnl", "-3.117"),  # the sign
        (D(-3), None, "pnl", "-3.117"),
        (None, D("-0.05195"), "pnl_pct", "-5.195"),  # a fraction
        (D("-3.12"), D("-5.3"), "pnl_pct", "-5.195"),
    ],
)
def test_a_report_that_does_not_is_refused_with_the_right_figure(
    pnl: Decimal | None, pct: Decimal | None, field: str, right: str
) -> None:
    with pytest.raises(Invalid) as refused:
        results.check_pnl(**TRADE, pnl=pnl, pnl_pct=pct)  # type: ignore[arg-type]
    error = refused.value
    assert (error.code, error.field, error.details["right"]) == ("PNL_DOES_NOT_FOLLOW", field, right)
    assert right in error.message
    assert right in error.fix


def test_without_a_planned_risk_there_is_no_multiple() -> None:
    for pnl, risk in ((None, D(1)), (D(-1), None), (D(-1), D(0)), (D(-1), D(-1))):
        assert results.r_multiple(pnl=pnl, risk=risk) is None
    assert results.r_multiple(pnl=D(-10), risk=D(3)) == D("-3.33333333")


def test_a_multiple_of_next_to_nothing_still_fits_its_column() -> None:
    assert results.r_multiple(pnl=-(D(10) ** 20), risk=D("1E-18")) == -(D(10) ** 9)
