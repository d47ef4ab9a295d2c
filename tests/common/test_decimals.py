"""Decimals and instants as text."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.decimals import decimal_text, instant_text, parse_decimal, parse_instant
from apps.common.errors import Invalid

fitting = st.integers(-(10**38) + 1, 10**38 - 1).map(lambda units: Decimal(units).scaleb(-18))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("-0.000", "0"),
        ("1E+3", "1000"),
        ("1E-8", "0.00000001"),
        ("100", "100"),
        ("1.10", "1.1"),
        ("-2.50", "-2.5"),
        ("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
    ],
)
def test_a_number_has_one_text(number: str, text: str) -> None:
    assert decimal_text(Decimal(number)) == text


@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_every_number_that_fits_survives_the_round_trip(units: int) -> None:
    sign, digits = ("-" if units < 0 else ""), str(abs(units)).rjust(19, "0")
    text = decimal_text(Decimal(f"{sign}{digits[:-18]}.{digits[-18:]}"))
    assert decimal_text(parse_decimal(text, field="quantity")) == text


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+101", "1E-101"])
def test_what_is_no_amount_has_no_text(number: str) -> None:
    with pytest.raises(ValueError):
        decimal_text(Decimal(number))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (1, "DECIMAL_NOT_TEXT"),
        (1.5, "DECIMAL_NOT_TEXT"),
        (True, "DECIMAL_NOT_TEXT"),
        (None, "DECIMAL_NOT_TEXT"),
        (b"1", "DECIMAL_NOT_TEXT"),
        (Decimal(1), "DECIMAL_NOT_TEXT"),
        ("", "DECIMAL_MALFORMED"),
        (" 1", "DECIMAL_MALFORMED"),
        ("1\n", "DECIMAL_MALFORMED"),
        ("1\x00", "DECIMAL_MALFORMED"),
        ("+1", "DECIMAL_MALFORMED"),
        ("-0", "DECIMAL_MALFORMED"),
        ("-0.0", "DECIMAL_MALFORMED"),
        ("01", "DECIMAL_MALFORMED"),
        (".5", "DECIMAL_MALFORMED"),
        ("5.", "DECIMAL_MALFORMED"),
        ("1,5", "DECIMAL_MALFORMED"),
        ("1_000", "DECIMAL_MALFORMED"),
        ("1e400", "DECIMAL_MALFORMED"),
        ("NaN", "DECIMAL_MALFORMED"),
        ("Infinity", "DECIMAL_MALFORMED"),
        ("\u0661", "DECIMAL_MALFORMED"),
        ("\uff11", "DECIMAL_MALFORMED"),
        ("1" * 21, "DECIMAL_TOO_LARGE"),
        ("1" * 101, "DECIMAL_TOO_LARGE"),
        ("0." + "0" * 18 + "1", "DECIMAL_TOO_PRECISE"),
    ],
)
def test_what_is_no_plain_decimal_is_refused_by_name(text: object, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_decimal(text, field="quantity")
    assert caught.value.code == code
    assert caught.value.field == "quantity"


def test_the_bounds_are_the_callers_and_zeros_are_no_places() -> None:
    assert parse_decimal("9" * 20 + "." + "9" * 18, field="q") == Decimal("9" * 20 + "." + "9" * 18)
    assert parse_decimal("1.2300000000000000000000", field="q", places=2) == Decimal("1.23")
    assert str(parse_decimal("100.00", field="q")) == "100"
    with pytest.raises(Invalid, match="more than 2 decimal places"):
        parse_decimal("1.234", field="q", places=2)
    with pytest.raises(Invalid, match="more than 3 digits"):
        parse_decimal("1234", field="q", integer_digits=3)


@given(st.text(max_size=40))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        number = parse_decimal(text, field="q")
    except Invalid:
        return
    assert number == Decimal(text)


@given(st.datetimes(timezones=st.timezones()))
def test_an_instant_survives_the_round_trip(moment: datetime) -> None:
    try:
        text = instant_text(moment)
    except OverflowError:  # an edge of the calendar that has no UTC
        return
    assert parse_instant(text, field="at") == moment.astimezone(UTC)
    assert len(text) == 27


@pytest.mark.parametrize(
    "text",
    [None, 5, "", "now", "2026-11-22", "2026-11-22T19:28:00", "2026-13-22T19:28:00Z", "2026-11-22 19:28:00Z",
     "2026-11-22T25:00:00Z", "0001-01-01T00:00:00+23:00", "2026-11-22T19:28:00Z\n"],
)  # fmt: skip
def test_what_is_no_instant_is_refused(text: object) -> None:
    with pytest.raises(Invalid) as caught:
        parse_instant(text, field="expires_at")
    assert (caught.value.code, caught.value.field) == ("INSTANT_MALFORMED", "expires_at")


def test_an_instant_is_utc_and_keeps_six_digits() -> None:
    assert parse_instant("2026-11-22T21:28:00.123456789+02:00", field="at") == datetime(
        2026, 11, 22, 19, 28, 0, 123456, tzinfo=UTC
    )
    with pytest.raises(TypeError):
        instant_text(datetime(2026, 1, 1))  # noqa: DTZ001  a naive one is the point
