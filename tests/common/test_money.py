"""Rounding never buys more, and nothing else rounds."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apps.common import money
from apps.common.errors import Invalid


def exact(units: int, places: int) -> Decimal:
    return Decimal((units < 0, tuple(int(digit) for digit in str(abs(units))), -places))


amounts = st.builds(exact, st.integers(-(10**37), 10**37), st.integers(0, 18))
quantities = st.builds(exact, st.integers(0, 10**37), st.integers(0, 18))
increments = st.builds(exact, st.integers(1, 10**20), st.integers(0, 18))
in_range = st.builds(exact, st.integers(-(10**28), 10**28), st.just(18))


@given(quantities, increments)
def test_rounding_a_quantity_down_never_buys_more(quantity: Decimal, increment: Decimal) -> None:
    rounded = money.floor_to(quantity, increment)
    assert rounded <= quantity
    assert Fraction(quantity) - Fraction(rounded) < Fraction(increment)
    assert Fraction(rounded) % Fraction(increment) == 0


@given(amounts, increments)
def test_floor_and_ceiling_are_neighbours(value: Decimal, increment: Decimal) -> None:
    low, high = Fraction(money.floor_to(value, increment)), Fraction(money.ceil_to(value, increment))
    assert low <= Fraction(value) <= high
    assert high - low in (0, Fraction(increment))


@given(in_range)
def test_minor_units_enclose_the_amount(value: Decimal) -> None:
    low, high = money.minor_down(value), money.minor_up(value)
    assert Fraction(money.from_minor(low)) <= Fraction(value) <= Fraction(money.from_minor(high))
    assert high - low in (0, 1)


@given(st.integers(-money.MINOR_MAX, money.MINOR_MAX))
def test_minor_units_survive_the_round_trip(minor: int) -> None:
    assert money.minor_up(money.from_minor(minor)) == minor == money.minor_down(money.from_minor(minor))


@given(in_range, in_range)
def test_what_is_used_plus_what_is_asked_never_counts_as_less(used: Decimal, asked: Decimal) -> None:
    assume(used >= 0 and asked >= 0)
    assert money.minor_up(used) + money.minor_up(asked) >= money.minor_up(money.total([used, asked]))


@given(amounts, amounts)
def test_products_and_sums_are_exact(a: Decimal, b: Decimal) -> None:
    assert Fraction(money.product(a, b)) == Fraction(a) * Fraction(b)
    assert Fraction(money.total([a, b])) == Fraction(a) + Fraction(b)


@given(quantities, increments)
def test_a_distance_is_never_made_smaller(a: Decimal, b: Decimal) -> None:
    true = (Fraction(a) - Fraction(b)) / Fraction(b) * 10_000
    told = Fraction(money.bps(a, b))
    assert abs(true) <= abs(told) < abs(true) + Fraction(1, 10**money.BPS_PLACES)
    assert (told > 0) == (true > 0)


def test_these_are_the_numbers() -> None:
    assert money.minor_up(Decimal("0.000000001")) == 1
    assert money.minor_down(Decimal("0.999999999")) == 99_999_999
    assert money.minor_up(Decimal("-0.000000001")) == 0
    assert str(money.floor_to(Decimal("0.123456789"), Decimal("0.00010"))) == "0.1234"
    assert str(money.ceil_to(Decimal("101"), Decimal("100"))) == "200"
    assert money.bps(Decimal("101"), Decimal("100")) == 100
    assert str(money.bps(Decimal("99"), Decimal("100"))) == "-100"
    assert money.total([]) == 0


@pytest.mark.parametrize("amount", ["92233720368.54775808", "1E+40", "-92233720368.54775808", "1E+1000"])
def test_an_amount_beyond_the_column_is_refused(amount: str) -> None:
    for rounded in (money.minor_up, money.minor_down):
        with pytest.raises(Invalid) as caught:
            rounded(Decimal(amount))
        assert caught.value.code == "AMOUNT_OVERFLOW"
    assert money.minor_up(Decimal("92233720368.54775807")) == money.MINOR_MAX


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_refused(amount: str) -> None:
    with pytest.raises(Invalid) as caught:
        money.minor_up(Decimal(amount))
    assert caught.value.code == "AMOUNT_NOT_FINITE"
    with pytest.raises(ValueError):
        money.floor_to(Decimal(amount), Decimal(1))
    with pytest.raises(ValueError):
        money.bps(Decimal(amount), Decimal(1))


@pytest.mark.parametrize("increment", ["0", "-0.01", "NaN"])
def test_an_increment_is_above_zero(increment: str) -> None:
    for rounded in (money.floor_to, money.ceil_to, money.bps):
        with pytest.raises(ValueError):
            rounded(Decimal(1), Decimal(increment))
