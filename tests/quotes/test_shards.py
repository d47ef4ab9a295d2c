"""Instruments over sockets: each once, none above the size, and little moves when few come and go."""

from hypothesis import given
from hypothesis import strategies as st

from apps.quotes.rules.shards import plan

codes = st.sets(st.integers(0, 60).map(lambda number: f"X{number}-USD"), max_size=40)
SIZE = 7


@given(codes, codes)
def test_each_instrument_is_on_one_socket(before: set[str], after: set[str]) -> None:
    planned = plan(plan([], before, SIZE), after, SIZE)
    assert sorted(code for shard in planned for code in shard) == sorted(after)
    assert all(0 < len(shard) <= SIZE for shard in planned)


@given(codes)
def test_what_is_as_wanted_stays_as_it_is(wanted: set[str]) -> None:
    planned = plan([], wanted, SIZE)
    assert plan(planned, wanted, SIZE) == planned


def test_one_that_comes_or_goes_touches_one_socket() -> None:
    names = [f"X{number}-USD" for number in range(20)]
    planned = plan([], names, SIZE)
    assert len(set(plan(planned, names[1:], SIZE)) - set(planned)) == 1
    assert len(set(plan(planned, [*names, "NEW-USD"], SIZE)) - set(planned)) == 1
