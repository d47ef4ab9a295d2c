"""What is remembered comes in the right order: worse losses never fall, nothing similar is empty, repeats make room."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.lessons.rules import ranking, results
from apps.lessons.rules.keywords import words_of
from apps.lessons.rules.ranking import (
    WEIGHTS,
    RankCandidate,
    Ranked,
    RankQuery,
    Weights,
    in_common,
    rank,
    scored,
    similar,
    varied,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SPACE = UUID(int=7)
QUERY = RankQuery(tags={"no_stop": 1.0}, product="BTC-USD", asset_class="crypto", side="BUY")


def a_candidate(name: str = "one", **changed: Any) -> RankCandidate:
    found = RankCandidate(
        id=uuid5(SPACE, name),
        trade=name,
        product="BTC-USD",
        asset_class="crypto",
        side="BUY",
        tags={"no_stop": 1.0},
        thesis=0.5,
        narrative=0.6,
        severity=0.3,
        closed_at=NOW - timedelta(days=3),
    )
    return replace(found, **changed)


def severity_of(r_multiple: Decimal) -> float:
    severity = results.severity(pnl=r_multiple, r_multiple=r_multiple, pnl_pct=None)
    return int(severity * 10_000) / 10_000


@given(
    smaller=st.decimals(min_value="0.01", max_value="20", places=2),
    more=st.decimals(min_value=0, max_value="50", places=2),
    likeness=st.floats(min_value=-1, max_value=1),
    tags=st.dictionaries(st.sampled_from(["no_stop", "chop", "revenge"]), st.floats(min_value=0, max_value=1)),
    age=st.integers(min_value=0, max_value=3000),
)
@settings(max_examples=1000)
def test_a_score_never_falls_as_the_loss_grows(
    smaller: Decimal, more: Decimal, likeness: float, tags: dict[str, float], age: int
) -> None:
    one = a_candidate(narrative=likeness, tags=tags, closed_at=NOW - timedelta(days=age))
    small = scored(QUERY, replace(one, severity=severity_of(-smaller)), NOW)
    large = scored(QUERY, replace(one, severity=severity_of(-smaller - more)), NOW)
    assert large.score >= small.score >= 0


def test_the_worse_of_two_like_losses_comes_first() -> None:
    mild, bad = a_candidate("mild", severity=0.2), a_candidate("bad", severity=1.0)
    assert [one.candidate.trade for one in rank(QUERY, [mild, bad], NOW, limit=5)] == ["bad", "mild"]


def test_an_old_disaster_stays_in_sight() -> None:
    old = scored(QUERY, a_candidate(severity=1.0, closed_at=NOW - timedelta(days=5000)), NOW)
    assert old.components["recency"] >= 0.6
    assert rank(QUERY, [old.candidate], NOW, limit=5)


def test_nothing_similar_is_an_empty_answer_and_structure_does_not_make_it_similar() -> None:
    unlike = a_candidate(thesis=0.1, narrative=0.05, tags={"chop": 1.0})
    assert rank(QUERY, [unlike], NOW, limit=10) == []
    assert rank(QUERY, [replace(unlike, tags={"no_stop": 0.9})], NOW, limit=10)


def test_same_product_and_side_come_before_another_product_of_the_class() -> None:
    same = a_candidate("same")
    other_side = a_candidate("other side", side="SELL")
    product = a_candidate("other product", product="ETH-USD")
    elsewhere = a_candidate("elsewhere", product="CL", asset_class="commodity")
    found = rank(QUERY, [elsewhere, product, other_side, same], NOW, limit=5)
    assert [one.candidate.trade for one in found] == ["same", "other side", "other product", "elsewhere"]


def test_a_question_without_a_product_matches_none_by_structure() -> None:
    asked = RankQuery(tags={"no_stop": 1.0})
    assert scored(asked, a_candidate(product="", asset_class="", side=""), NOW).components["structure"] == 1.0


def test_a_trade_is_shown_once_and_a_text_twice() -> None:
    text = "The stop was taken off"
    same_trade = [a_candidate(f"{number}", trade="t", text="abcde"[number:] * 3) for number in range(3)]
    same_text = [a_candidate(f"text {number}", text=text) for number in range(5)]
    found = rank(QUERY, [*same_trade, *same_text], NOW, limit=10)
    assert sum(one.candidate.trade == "t" for one in found) == 1
    assert sum(one.candidate.text == text for one in found) == ranking.WEIGHTS.cluster_max


def chosen_plainly(losses: Sequence[Ranked], weights: Weights, limit: int) -> list[Ranked]:
    """What `varied` promises: at each step all that are left are held against all that are shown."""
    top = losses[0].score if losses and losses[0].score > 0 else 1.0
    said = {one.candidate.id: words_of(one.candidate.text) for one in losses}
    left, shown = list(losses), list[Ranked]()

    def shares(one: Ranked) -> list[float]:
        return [in_common(said[one.candidate.id], said[other.candidate.id]) for other in shown]

    def worth(one: Ranked) -> float:
        return weights.diversity * one.score / top - (1.0 - weights.diversity) * max(shares(one), default=0.0)

    while left and len(shown) < limit:
        shown.append(max(left, key=worth))
        left = [
            one
            for one in left
            if all(one.candidate.trade != other.candidate.trade for other in shown)
            and sum(share >= weights.cluster_at for share in shares(one)) < weights.cluster_max
        ]
    return sorted(shown, key=lambda one: (-one.score, one.candidate.id))


SAID = ["stop", "moved", "away", "chased", "gap", "late"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.2, 0.25, 0.5, 0.500001, 0.9]) | st.floats(min_value=0, max_value=1),
            st.lists(st.sampled_from(SAID), max_size=4),
            st.integers(min_value=0, max_value=20),
        ),
        max_size=30,
    ),
    st.integers(min_value=1, max_value=12),
)
@settings(max_examples=500)
def test_most_texts_are_never_read_and_the_same_are_chosen(
    given_: list[tuple[float, list[str], int]], limit: int
) -> None:
    found = [
        a_candidate(f"{place}", narrative=likeness, text=" ".join(said), trade=f"t{trade}")
        for place, (likeness, said, trade) in enumerate(given_)
    ]
    losses = similar(QUERY, found, NOW)
    assert varied(losses, WEIGHTS, limit) == chosen_plainly(losses, WEIGHTS, limit)


def test_the_most_similar_win_stands_behind_the_losses_and_is_marked() -> None:
    won = [a_candidate("won", won=True, severity=0.0), a_candidate("less like", won=True, severity=0.0, narrative=0.5)]
    lost = [a_candidate(f"lost {number}") for number in range(4)]
    found = rank(QUERY, [*won, *lost], NOW, limit=3)
    assert [one.is_counter_example for one in found] == [False, False, False, True]
    assert found[-1].candidate.trade == "won"


def test_the_same_facts_beyond_their_limits_are_in_common_without_any_tag() -> None:
    asked = RankQuery(tags={}, facts=frozenset({"stop_distance_atr", "adds_to_loser"}))
    alike = a_candidate(tags={}, facts=frozenset({"adds_to_loser"}), thesis=0.0, narrative=0.0)
    assert scored(asked, alike, NOW).components["tags"] > 0.7
    assert scored(asked, replace(alike, facts=frozenset({"other"})), NOW).components["tags"] == 0


def test_the_order_does_not_depend_on_the_order_given() -> None:
    found = [a_candidate(f"{number}", text=f"{number}") for number in range(6)]
    assert similar(QUERY, found, NOW) == similar(QUERY, found[::-1], NOW)


@given(st.lists(st.floats(min_value=0, max_value=1), max_size=12), st.integers(min_value=1, max_value=5))
def test_what_is_picked_is_in_order_and_no_more_than_asked(likeness: list[float], limit: int) -> None:
    found = rank(
        QUERY, [a_candidate(f"{place}", narrative=value) for place, value in enumerate(likeness)], NOW, limit=limit
    )
    assert len(found) == min(limit, len(likeness))
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
