"""What a warning is measured by: only what was known before, thresholds included; and what a share is worth."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.lessons.rules import shares, walkforward, warnings
from apps.lessons.rules.walkforward import WARM_UP, Held, Judged, Past, walk
from apps.lessons.rules.warnings import WarningKind
from apps.lessons.types import Result
from tests.lessons.helping.streams import ALL, BEGAN, past, stream, with_mistake

WARNINGS = {str(kind): warn for kind, warn in warnings.all_of({}).items()}
LENGTH = 130


def of_those(judged: Sequence[Judged], trades: Sequence[Past]) -> list[tuple[object, bool, object]]:
    """What was predicted of these trades."""
    mine = {one.id for one in trades}
    return [(one.trade.id, one.is_repeat, one.fired) for one in judged if one.trade.id in mine]


def with_what_came_later(trades: Sequence[Past], cut: int, seed: int) -> tuple[list[Past], list[Past]]:
    """The trades that had closed when trade `cut` was decided, alone; and the whole stream, in which people have since
    disputed, confirmed and taken out of the count."""
    moment = trades[cut].decided_at
    early = [one for one in trades if one.closed_at < moment]
    later = moment + timedelta(days=seed % 9)
    changed = [
        replace(
            one,
            mistakes=(*(replace(held, until=later) for held in one.mistakes), Held(tag="chop", since=later)),
            reviewed=(later, "PLANNED_LOSS"),
            counted_until=later if at % 3 == 0 else None,
        )
        for at, one in enumerate(early)
    ]
    known = {one.id for one in early}
    return early, changed + [one for one in trades if one.id not in known]


@given(seed=st.integers(0, 10_000), cut=st.integers(WARM_UP + 30, LENGTH - 1))
def test_what_came_later_changes_no_earlier_warning(seed: int, cut: int) -> None:
    early, whole = with_what_came_later(stream(LENGTH, seed=seed), cut, seed)
    alone = [(one, fired) for one, _, fired in of_those(walk(early, WARNINGS, as_of=ALL), early)]
    among = [(one, fired) for one, _, fired in of_those(walk(whole, WARNINGS, as_of=ALL), early)]
    assert among == alone


@given(seed=st.integers(0, 10_000), cut=st.integers(WARM_UP + 30, LENGTH - 1))
def test_an_evaluation_as_of_a_day_is_the_one_of_that_day(seed: int, cut: int) -> None:
    trades = stream(LENGTH, seed=seed)
    moment = trades[cut].decided_at
    then = [one for one in trades if one.closed_at <= moment]
    assert walk(trades, WARNINGS, as_of=moment) == walk(then, WARNINGS, as_of=moment)


def everything_is_known(state: Any, closing: list[Past], *, until: object) -> None:
    state.known.extend(() if state.known else closing)
    AS_IT_IS(walkforward._Walk(open=state.open, others=state.others), closing, until=until)  # type: ignore[arg-type]


AS_IT_IS = walkforward._close
NAIVE = {
    "every trade is known at once": (walkforward, "_close", everything_is_known),
    "mistakes are those of today": (Held, "at", lambda held, moment: held.until is None),
    "verdicts are those of today": (
        Past,
        "verdict_at",
        lambda one, at: one.reviewed[1] if one.reviewed else one.verdict,
    ),
    "what counts today counted then": (Past, "counts_at", lambda one, at: one.counted_until is None),
}


@pytest.mark.parametrize("naive", NAIVE)
def test_a_walk_that_looks_ahead_is_caught_by_the_same_check(monkeypatch: pytest.MonkeyPatch, naive: str) -> None:
    monkeypatch.setattr(*NAIVE[naive])
    caught = []
    for seed in (3, 4, 5):
        early, whole = with_what_came_later(stream(LENGTH, seed=seed), WARM_UP + 45, seed)
        alone = [(one, fired) for one, _, fired in of_those(walk(early, WARNINGS, as_of=ALL), early)]
        among = [(one, fired) for one, _, fired in of_those(walk(whole, WARNINGS, as_of=ALL), early)]
        assert any(fired for _, fired in alone)
        caught.append(among != alone)
    assert any(caught)


def test_a_repeat_is_a_loss_by_a_mistake_that_had_lost_before_it_was_decided() -> None:
    first, second = with_mistake(past(0), "no_stop"), with_mistake(past(5), "no_stop")
    found = {one.trade.id: one.is_repeat for one in walk([first, second], {}, as_of=ALL)}
    assert found == {first.id: False, second.id: True}
    for other in (
        with_mistake(past(0), "chop"),
        with_mistake(past(0), "no_stop", result=Result.WON),
        replace(first, closed_at=second.closed_at),
        replace(first, decided_at=BEGAN - timedelta(days=92), closed_at=BEGAN - timedelta(days=91)),
        replace(first, counted_until=second.decided_at),
    ):
        assert not any(one.is_repeat for one in walk([other, second], {}, as_of=ALL)), other
    assert not any(one.is_repeat for one in walk([first, replace(second, result=Result.WON)], {}, as_of=ALL))


def test_a_warning_that_sees_the_mistake_catches_it_and_one_that_sees_nothing_does_not() -> None:
    judged = walk(stream(900, seed=5), WARNINGS, as_of=ALL)
    found = {kind: walkforward.measure(judged, kind) for kind in WarningKind}
    assert found[WarningKind.SHOWN].judged == found[WarningKind.SHOWN].recall.of == 0
    own, chance = found[WarningKind.COUNTED], found[WarningKind.CHANCE]
    assert own.recall.low is not None and chance.recall.high is not None
    assert own.recall.low > 0.3 > chance.recall.high
    assert 0.05 < (chance.recall.share or 0) < 0.18
    for kind in (WarningKind.COUNTED, WarningKind.CHANCE, WarningKind.SAME_INSTRUMENT):
        assert 0.05 < (found[kind].false_alarms.share or 0) < 0.16, kind
    assert own.judged == chance.judged == own.recall.of + own.false_alarms.of
    assert own.precision.hits == own.recall.hits


def test_an_own_trade_in_parts_and_a_reported_win_are_counted_as_policy_does() -> None:
    asked = replace(past(9), seen=frozenset({"no_stop"}))
    lost = [with_mistake(past(number), "no_stop") for number in range(3)]
    told = replace(with_mistake(past(4), "no_stop", result=Result.WON), told=True)
    score = warnings.counted(asked, lost)
    assert warnings.counted(asked, [*lost, told]) == score > 0.5
    assert warnings.counted(asked, [replace(one, trade=lost[0].trade) for one in lost]) < score
    assert warnings.counted(asked, [replace(one, verdict="PLANNED_LOSS") for one in lost]) == 0
    late = replace(lost[0], decided_at=BEGAN - timedelta(days=40), closed_at=BEGAN - timedelta(days=40))
    assert warnings.counted(asked, [late]) == 0
    assert warnings.counted(asked, [replace(one, counted_until=asked.decided_at) for one in lost]) == 0


def test_words_are_compared_with_those_of_losses_alone() -> None:
    lost, won, mine = replace(past(0), result=Result.LOST), past(1), past(9)
    rows = np.asarray([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    warn = warnings.words_like_a_loss(dict(zip((lost.id, won.id, mine.id), rows, strict=True)))
    assert warn(mine, [lost, won]) == pytest.approx(0.6)
    assert warn(mine, [won]) == -1
    assert warn(past(20), [lost]) is None


def test_walks_of_nothing_say_nothing() -> None:
    assert walk([], WARNINGS, as_of=ALL) == ()
    measured = walkforward.measure((), WarningKind.COUNTED)
    assert (measured.judged, measured.recall.share, measured.winners.low) == (0, None, None)
    unknown = [replace(past(number), result=Result.UNKNOWN) for number in range(3)]
    assert walk(unknown, WARNINGS, as_of=ALL) == ()


@given(of=st.integers(1, 400), data=st.data())
def test_an_interval_holds_its_share_and_few_leave_much_open(of: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, of))
    low, high = shares.wilson(hits, of)
    assert 0 <= low <= hits / of <= high <= 1
    assert high - low > 1 / (of + 4)


def test_intervals_are_those_of_the_papers() -> None:
    # Wilson's of 15 of 148 and Newcombe's example (a): 56/70 less 48/80, both as printed there.
    assert shares.wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    by = shares.difference(shares.share_of(56, 70), shares.share_of(48, 80))
    assert (by.by, by.low, by.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert shares.difference(shares.share_of(0, 0), shares.share_of(1, 2)) == shares.Difference()


def test_trades_of_one_day_that_go_together_widen_the_interval() -> None:
    apart = shares.shares_by_day([[at % 2, 1] for at in range(100)])[0]
    together = shares.shares_by_day([[10 * (at % 2), 10] for at in range(10)])[0]
    assert (apart.share, together.share) == (0.5, 0.5)
    assert (together.high or 0) - (together.low or 0) > 1.5 * ((apart.high or 0) - (apart.low or 0))
    assert shares.shares_by_day([]) == ()


def test_the_multiple_of_the_plan_is_no_part_of_a_repeat() -> None:
    first, second = with_mistake(past(0), "no_stop"), with_mistake(past(5), "no_stop")
    larger = replace(first, r_multiple=Decimal(-9))
    assert [one.is_repeat for one in walk([larger, second], {}, as_of=ALL)] == [False, True]
