"""Numbers and instants as people read them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.common import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (Decimal("0.44"), "0.4 s"),
        (Decimal("9.99"), "9.9 s"),
        (42, "42 s"),
        (702, "11 min 42 s"),
        (76_440, "21 h 14 min"),
        (345_600, "4 days"),
        (-3, "0 s"),
    ],
)
def test_a_span_never_reads_longer_than_it_is(seconds: Decimal | int, text: str) -> None:
    assert words.span(seconds) == text


def test_money_is_rounded_against_us() -> None:
    assert words.cost(Decimal("3214.601")) == "3,214.61"
    assert words.proceeds(Decimal("3214.609")) == "3,214.60"
    assert words.result(Decimal("-107.751")) == "\u2212107.76"
    assert words.result(Decimal("115.899")) == "+115.89"
    assert words.result(Decimal(0)) == "0.00"


def test_signs_stand_first_and_zero_has_none() -> None:
    assert words.signed(Decimal("12")) == "+12.0"
    assert words.signed(Decimal("-31.46")) == "\u221231.5"
    assert words.signed(Decimal("-0.01")) == "0.0"
    assert words.grouped(Decimal("-0")) == "0"
    assert words.grouped(Decimal("NaN")) == "not known"


def test_a_share_of_a_limit_never_reads_as_less() -> None:
    assert words.percent(Decimal("0.9201")) == "93 %"
    assert words.percent(Decimal("0.032")) == "3.2 %"


def test_a_small_price_keeps_its_digits() -> None:
    assert words.price(Decimal("0.06123400")) == "0.061234"
    assert words.price(Decimal("64292")) == "64,292.00"


def test_moments_name_the_day_where_it_is_another() -> None:
    now = datetime(2026, 11, 22, 14, 34, 18, tzinfo=UTC)
    assert words.moment(now + timedelta(minutes=12), now) == "14:46 UTC"
    assert words.moment(now + timedelta(days=1), now) == "23 Nov 14:34 UTC"
    assert words.ago(now - timedelta(seconds=198), now) == "3 min 18 s ago"
    assert words.ago(now + timedelta(seconds=5), now) == "just now"


@pytest.mark.parametrize("letter", ["\u202e", "\u2066", "\u200b", "\x07", "\u2028", "\ufeff", "\x7f"])
def test_what_steers_text_unseen_is_shown(letter: str) -> None:
    assert words.is_hidden(letter)
    assert words.bare_code(letter) == f"[U+{ord(letter):04X}]"


@pytest.mark.parametrize("letter", ["a", "\u00e9", "\n", "\t", " ", "\u05d0"])
def test_what_people_write_is_left_alone(letter: str) -> None:
    assert not words.is_hidden(letter)
