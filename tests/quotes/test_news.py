"""Which of two prices is kept: the newer one, whatever the source, and nothing that only looks newer."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.quotes.rules.news import LATE, Moment, is_late, is_news

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def moment(occurred_s: float, received_s: float, bid: str = "1") -> Moment:
    return Moment(int(occurred_s * 1_000_000), int(received_s * 1_000_000), (bid, "2"))


@pytest.mark.parametrize("asked", [False, True])
def test_the_newer_instant_wins_whatever_the_source(asked: bool) -> None:
    older, newer = moment(0, 5), moment(1, 2, "1.1")
    assert is_news(newer, older, asked=asked) and not is_news(older, newer, asked=asked)


def test_a_message_that_repeats_an_instant_does_not_look_fresh() -> None:
    known, repeated = moment(0, 0), moment(0, 8)
    assert not is_news(repeated, known, asked=False)
    assert is_news(repeated, known, asked=True), "the venue was asked, and has just said that it is still so"


def test_an_answer_confirms_a_quiet_book_and_only_the_same_prices() -> None:
    told = moment(1, 1)
    assert is_news(moment(0.5, 60), told, asked=True)
    assert not is_news(moment(0.5, 60, "1.5"), told, asked=True)
    assert not is_news(moment(0.5, 60), told, asked=False)


def test_the_same_price_may_be_written_in_two_ways() -> None:
    assert is_news(moment(0.5, 60, "1.50"), moment(1, 1, "1.5"), asked=True)
    assert not is_news(moment(0.5, 60, "1.51"), moment(1, 1, "1.5"), asked=True)


def test_a_clock_ahead_keeps_nothing_newer_out_once_it_is_put_right() -> None:
    ahead, right = moment(60, 0), moment(1, 1, "1.1")
    assert is_news(right, ahead, asked=False)


def test_what_came_late_is_told_from_what_came_in_time() -> None:
    assert is_late(NOW, NOW + LATE + timedelta(milliseconds=1))
    assert not is_late(NOW, NOW + LATE) and not is_late(NOW + timedelta(seconds=60), NOW)


instants = st.lists(st.integers(0, 50), min_size=1, max_size=4, unique=True)


Rule = Callable[..., bool]


def kept_of(rule: Rule, offered: Iterable[Moment]) -> Moment | None:
    kept: Moment | None = None
    for turn, moment_ in enumerate(offered):
        kept = moment_ if rule(moment_, kept, asked=bool(turn % 2)) else kept
    return kept


@given(instants)
def test_in_any_order_the_newest_is_what_stays(at: list[int]) -> None:
    for order in permutations(at):
        told = [moment(second, 100 + turn, str(second)) for turn, second in enumerate(order)]
        assert kept_of(is_news, told) == max(told)


def last_heard(offered: Moment, known: Moment | None, *, asked: bool) -> bool:
    """The naive rule: what came last is what is so."""
    return known is None or offered.received >= known.received


def by_the_venues_clock(offered: Moment, known: Moment | None, *, asked: bool) -> bool:
    """The other naive rule: its clock is always right."""
    return known is None or offered.occurred >= known.occurred


def test_the_naive_rules_are_caught() -> None:
    newer, overtaken = moment(5, 6, "1.1"), moment(1, 7)
    assert kept_of(is_news, [newer, overtaken]) == newer != kept_of(last_heard, [newer, overtaken])
    ahead, right = moment(60, 0), moment(1, 1, "1.1")
    assert kept_of(is_news, [ahead, right]) == right != kept_of(by_the_venues_clock, [ahead, right])
    told, repeated = moment(0, 0), moment(0, 8)
    assert not is_news(repeated, told, asked=False) and by_the_venues_clock(repeated, told, asked=False)
