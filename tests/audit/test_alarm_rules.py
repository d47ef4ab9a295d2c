"""When something becomes an alarm, when it is over and when it is told again: for every input, not for a few."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.rules import alarms as rules
from apps.audit.types import OpenAlarm, Standing, Telling

NOW = datetime(2026, 3, 2, 14, 46, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SWEPT = frozenset({"A", "B"})

seconds = st.integers(min_value=0, max_value=10_000)
codes = st.sampled_from(["A", "B", "NOTICED"])
standings = st.builds(
    Standing,
    code=st.sampled_from(sorted(SWEPT)),
    subject=st.sampled_from(["x", "y", "z"]),
    message=st.just("It stays."),
    since=seconds.map(lambda age: NOW - timedelta(seconds=age)),
    bound_s=seconds,
    extent=st.integers(min_value=1, max_value=100),
    by_us=st.booleans(),
)
opens = st.builds(OpenAlarm, id=st.integers(1, 99), code=codes, subject=st.sampled_from(["x", "y"]), extent=st.just(1))
one_each = st.lists(standings, unique_by=lambda item: (item.code, item.subject))
open_each = st.lists(opens, unique_by=lambda item: (item.code, item.subject))


def standing(**changes: object) -> Standing:
    usual = Standing(code="A", subject="x", message="It stays.", since=NOW, bound_s=60)
    return replace(usual, **changes)


def settle(items: list[Standing], known: list[OpenAlarm], *, now: datetime = NOW, resumed_at: datetime | None = None):  # type: ignore[no-untyped-def]
    return rules.settle(standing=items, open_alarms=known, swept=SWEPT, now=now, resumed_at=resumed_at)


@given(bound=seconds)
def test_the_bound_itself_is_still_within(bound: int) -> None:
    item = standing(bound_s=bound)
    end = NOW + timedelta(seconds=bound)
    assert not rules.is_beyond(item, now=end)
    assert rules.is_beyond(item, now=end + MICROSECOND)


@given(items=one_each, known=open_each)
def test_what_is_open_afterwards_is_what_is_beyond_its_bound(items: list[Standing], known: list[OpenAlarm]) -> None:
    found = settle(items, known)
    after = {(alarm.code, alarm.subject) for alarm in known} - {(alarm.code, alarm.subject) for alarm in found.cleared}
    after |= {(item.code, item.subject) for item in found.raised}
    beyond = {(item.code, item.subject) for item in items if rules.is_beyond(item, now=NOW)}
    assert {key for key in after if key[0] in SWEPT} == beyond


@given(items=one_each, known=open_each)
def test_what_others_notice_is_left_to_them(items: list[Standing], known: list[OpenAlarm]) -> None:
    found = settle(items, known)
    assert all(alarm.code in SWEPT for alarm in (*found.cleared, *(pair[0] for pair in found.grown)))


@given(items=one_each, known=open_each)
def test_doing_it_twice_does_nothing_the_second_time(items: list[Standing], known: list[OpenAlarm]) -> None:
    first = settle(items, known)
    grown = {pair[0].id: pair[1].extent for pair in first.grown}
    gone = {(alarm.code, alarm.subject) for alarm in first.cleared}
    after = [replace(alarm, extent=grown.get(alarm.id, alarm.extent)) for alarm in known]
    after = [alarm for alarm in after if (alarm.code, alarm.subject) not in gone]
    after += [OpenAlarm(id=1000, code=item.code, subject=item.subject, extent=item.extent) for item in first.raised]
    second = settle(items, after)
    assert (second.raised, second.cleared) == ((), ())
    assert all(pair[1].extent >= 2 * pair[0].extent for pair in second.grown) and not second.grown


@given(items=one_each, known=open_each, off_for=seconds)
def test_a_restart_neither_raises_early_nor_clears(items: list[Standing], known: list[OpenAlarm], off_for: int) -> None:
    """Just switched on: what the desk does itself is not held against it yet, and nothing that is open is over."""
    found = settle(items, known, resumed_at=NOW - timedelta(seconds=off_for))
    calm = settle(items, known)
    assert found.cleared == calm.cleared
    assert set(found.raised) <= set(calm.raised)
    early = [item for item in found.raised if item.by_us and item.bound_s >= off_for]
    assert early == []
    assert [item for item in calm.raised if not item.by_us] == [item for item in found.raised if not item.by_us]


def test_twice_as_much_is_worse_and_a_little_more_is_not() -> None:
    item = standing(since=NOW - timedelta(hours=1), extent=7)
    known = [OpenAlarm(id=1, code="A", subject="x", extent=4)]
    assert settle([item], known).grown == ()
    assert settle([replace(item, extent=8)], known).grown == ((known[0], replace(item, extent=8)),)


@given(first=st.integers(1, 5000), most=st.integers(1, 100_000), told=st.integers(1, 10_000))
def test_waits_double_up_to_the_most_and_never_shrink(first: int, most: int, told: int) -> None:
    wait, following = (rules.wait_s(n, first_s=first, most_s=most) for n in (told, told + 1))
    assert first <= wait <= max(first, most)
    assert following == min(2 * wait, max(first, most))
    assert rules.wait_s(1, first_s=first, most_s=most) == first


def test_a_wait_before_the_first_telling_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="not been told"):
        rules.wait_s(0, first_s=1, most_s=1)


@given(told=st.integers(0, 50), wait=seconds)
def test_acknowledged_or_over_is_never_told(told: int, wait: int) -> None:
    due = Telling(told=told, tell_at=NOW - timedelta(seconds=wait), acknowledged=False, cleared=False)
    assert rules.is_due(due, NOW)
    assert rules.is_due(replace(due, tell_at=None), NOW)
    assert not rules.is_due(replace(due, tell_at=NOW + MICROSECOND), NOW)
    assert not rules.is_due(replace(due, acknowledged=True), NOW)
    assert not rules.is_due(replace(due, cleared=True), NOW)
