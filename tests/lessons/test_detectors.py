"""Detectors: pure, null where something is missing, monotone, broken beyond a limit, not at it; an example a tag."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from apps.common.errors import Invalid
from apps.connectors.types import Candle, Quote, Side
from apps.lessons.management.commands import write_facts_table
from apps.lessons.rules import detectors, mistakes, regimes
from apps.lessons.rules.detecting import course as course_rules
from apps.lessons.rules.detecting.market import in_weekend
from apps.lessons.rules.detectors import BY_NAME, DETECTORS
from apps.lessons.rules.scene import Course, Scene
from apps.lessons.types import CaseVerdict, Fact, MistakeTag, Plan, TagFound, TagSource

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday
FRIDAY = datetime(2026, 11, 27, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)


def bars(closes: list[D], *, width: str = "1", until: datetime = NOW) -> list[Candle]:
    """Hours that end at `until`, half a `width` to either side of each close."""
    half, count = D(width) / 2, len(closes)
    return [
        Candle(until - (count - n) * HOUR, close, close + half, close - half, close, D(1))
        for n, close in enumerate(closes)
    ]


def flat(count: int = 100, price: str = "100", width: str = "1") -> list[Candle]:
    return bars([D(price)] * count, width=width)


def quote(bid: str = "99.99", ask: str = "100.01", quantity: str = "10", age_s: int = 1) -> Quote:
    at = NOW - timedelta(seconds=age_s)
    return Quote(
        instrument="BTC-USD",
        bid=D(bid),
        ask=D(ask),
        bid_quantity=D(quantity),
        ask_quantity=D(quantity),
        occurred_at=at,
        received_at=at,
    )


def good(**changes: Any) -> Scene:
    """An entry that breaks nothing: with a plan, in a calm market, of a usual size."""
    scene = Scene(
        at=NOW,
        side=Side.BUY,
        asset_class="crypto",
        price=D(100),
        limit_price=D(100),
        quantity=D(1),
        notional=D(100),
        plan=Plan(thesis="Range.", entry=D(100), stop=D(98), target=D(106)),
        candles=flat(),
        quote=quote(),
        held=D(0),
        others_held=0,
        usual_notionals=[D(100)] * 5,
        notional_max=D(1000),
        fee_rate=D("0.001"),
        losses_known=True,
    )
    return replace(scene, **changes)


def over(exit_price: str, *, held: list[Candle] | None = None, stops: list[D] | None = None, **changes: Any) -> Scene:
    """The same, and what became of it after five hours."""
    course = Course(
        entry_price=D(100),
        exit_price=D(exit_price),
        opened_at=NOW,
        closed_at=NOW + 5 * HOUR,
        candles=held if held is not None else bars([D(100)] * 5, until=NOW + 5 * HOUR),
        stops=stops if stops is not None else [D(98)],
    )
    return good(course=course, **changes)


def facts(scene: Scene) -> dict[str, Fact]:
    return {fact.name: fact for fact in detectors.detect(scene)}


def broken(scene: Scene) -> set[str]:
    return {name for name, fact in facts(scene).items() if fact.violated}


def path(*closes: str) -> list[Candle]:
    return bars([D(close) for close in closes], until=NOW + len(closes) * HOUR)


SAWTOOTH = bars([D(100) + (n % 2) for n in range(100)])
FALLING = bars([D(200) - n for n in range(100)])

# A scene, and the facts and mistakes it shows.
GOLDEN: list[tuple[str, Callable[[], Scene], set[str], set[MistakeTag]]] = [
    ("nothing", good, set(), set()),
    ("nothing afterwards", lambda: over("103"), set(), set()),
    (
        "stop_too_tight",
        lambda: good(plan=Plan(entry=D(100), stop=D("99.6"), target=D(106))),
        {"stop_distance_atr"},
        {MistakeTag.STOP_TOO_TIGHT},
    ),
    (
        "no_stop",
        lambda: good(plan=Plan(entry=D(100), target=D(106))),
        {"has_planned_stop"},
        {MistakeTag.NO_STOP},
    ),
    ("reward", lambda: good(plan=Plan(entry=D(100), stop=D(98), target=D(101))), {"reward_to_risk"}, set()),
    ("carry_cost", lambda: good(fee_rate=D("0.02")), {"costs_of_target"}, {MistakeTag.CARRY_COST}),
    ("oversized", lambda: good(notional=D(400)), {"size_of_median"}, {MistakeTag.OVERSIZED}),
    ("oversized by policy", lambda: good(notional_max=D(99)), {"size_of_limit"}, {MistakeTag.OVERSIZED}),
    (
        "fat_finger",
        lambda: good(notional=D(1000)),
        {"size_of_median"},
        {MistakeTag.OVERSIZED, MistakeTag.FAT_FINGER},
    ),
    ("fat_finger in the price", lambda: good(limit_price=D(103)), {"beyond_market"}, {MistakeTag.FAT_FINGER}),
    (
        "averaged_down",
        lambda: good(held=D(1), held_price=D(104)),
        {"adds_to_loser"},
        {MistakeTag.AVERAGED_DOWN},
    ),
    ("adding to a winner", lambda: good(held=D(1), held_price=D(96)), set(), set()),
    ("correlated", lambda: good(others_held=4), {"positions_alike"}, {MistakeTag.CORRELATED}),
    (
        "falling_knife",
        lambda: good(candles=FALLING),
        {"with_trend"},
        {MistakeTag.FALLING_KNIFE},
    ),
    (
        "chased_breakout",
        lambda: good(candles=[*flat(99), *bars([D("100.4")], width="1.8")], price=D(102)),
        {"chase", "bar_closed"},
        {MistakeTag.CHASED_BREAKOUT, MistakeTag.NO_CONFIRMATION},
    ),
    (
        "no_confirmation",
        lambda: good(candles=bars([D(100) + D(n) / 100 for n in range(100)]), price=D("101.6")),
        {"bar_closed"},
        {MistakeTag.NO_CONFIRMATION},
    ),
    (
        "chop",
        lambda: good(candles=SAWTOOTH, price=D("101.6")),
        {"breakout_in_noise", "bar_closed"},
        {MistakeTag.CHOP, MistakeTag.NO_CONFIRMATION},
    ),
    ("slippage", lambda: good(quote=quote("99.8", "100.2")), {"spread"}, {MistakeTag.SLIPPAGE}),
    ("slippage in the book", lambda: good(quote=quote(quantity="0.1")), {"size_of_book"}, {MistakeTag.SLIPPAGE}),
    ("stale_data", lambda: good(quote=quote(age_s=6)), {"tick_age"}, {MistakeTag.STALE_DATA}),
    (
        "revenge",
        lambda: good(last_loss_at=NOW - timedelta(minutes=29)),
        {"since_loss"},
        {MistakeTag.REVENGE},
    ),
    (
        "weekend",
        lambda: good(asset_class="equity", at=FRIDAY, quote=None),
        {"to_weekend"},
        {MistakeTag.WEEKEND},
    ),
    ("no weekend", lambda: good(at=FRIDAY, quote=None), set(), set()),
    ("round_trip", lambda: over("99.9", held=path("104", "100")), {"given_back"}, {MistakeTag.ROUND_TRIP}),
    (
        "thesis_broken",
        lambda: over("97.5", held=path("97", "97", "97")),
        {"held_past_stop"},
        {MistakeTag.THESIS_BROKEN},
    ),
    (
        "stop widened",
        lambda: over("99", stops=[D(98), D(97)]),
        {"stop_moved"},
        {MistakeTag.NO_STOP},
    ),
    ("stop trailed", lambda: over("99", stops=[D(98), D(99)]), set(), set()),
    (
        "no stop rested",
        lambda: over("98", held=path("100", "100", "100", "100", "97.9"), stops=[]),
        {"had_resting_stop"},
        {MistakeTag.NO_STOP},
    ),
    (
        "filled beyond the stop",
        lambda: over("96.5", held=path("100", "100", "100", "100", "97")),
        {"beyond_stop"},
        {MistakeTag.SLIPPAGE},
    ),
    ("filled worse", lambda: over("103", price=D("99.7")), {"entry_slippage"}, {MistakeTag.SLIPPAGE}),
    *(
        (
            one.name,
            (lambda name, value: lambda: good(given={name: value}))(
                one.name, (one.limit or D(0)) + (D("0.1") if one.breaks == "above" else D("-0.1"))
            ),
            {one.name},
            {one.tag} if one.tag else set(),
        )
        for one in DETECTORS
        if one.given
    ),
]


@pytest.mark.parametrize(("scene", "names", "tags"), [row[1:] for row in GOLDEN], ids=[row[0] for row in GOLDEN])
def test_each_mistake_has_a_scene_that_shows_it(
    scene: Callable[[], Scene], names: set[str], tags: set[MistakeTag]
) -> None:
    found = mistakes.tags_of(detectors.detect(scene()))
    assert broken(scene()) == names
    assert {tag.tag for tag in found} == tags
    assert {tag.source for tag in found} <= {TagSource.RULE}
    assert all(tag.because for tag in found)


def test_every_mistake_of_the_list_is_shown_by_some_scene() -> None:
    assert set().union(*(row[3] for row in GOLDEN)) == set(MistakeTag)


def test_what_was_told_says_so_and_what_was_measured_does_not() -> None:
    told = facts(good(given={"minutes_to_event": D(300), "chase": D(0)}))
    assert {name for name, fact in told.items() if fact.told} == {"minutes_to_event"}, "chase is measured of this scene"
    bare = facts(Scene(at=NOW, side=Side.BUY, given={"chase": D(0)}))
    assert (bare["chase"].value, bare["chase"].told) == (0, True)


def test_what_nobody_measures_is_never_measured_otherwise() -> None:
    """Kept to four places, it is not the figure that was told, and no figure to hold it against either."""
    detectors.check_told(Scene(at=NOW, side=Side.BUY, given={"iv_percentile": D("0.123456")}))
    with pytest.raises(Invalid, match="FACT_DIFFERS"):
        detectors.check_told(good(given={"reward_to_risk": D("0.123456")}))


def test_of_what_is_measured_only_what_speaks_against_a_proposal_counts_untold() -> None:
    given = {"chase": D(0), "bar_closed": D(0), "spread": D(30), "hour": D(3), "oos_sharpe": D(2)}
    counted = detectors.as_it_counts(Scene(at=NOW, side=Side.BUY, given=given))
    assert set(counted.given) == {"bar_closed", "spread", "oos_sharpe"}


def test_an_empty_scene_knows_the_hour_and_nothing_else() -> None:
    found = facts(Scene(at=NOW, side=Side.BUY))
    assert {name for name, fact in found.items() if fact.value is not None} == {"hour", "to_weekend"}
    assert {fact.violated for fact in found.values()} == {None}


OPTIONAL = [one.name for one in fields(Scene) if one.name not in {"at", "side", "reduces", "asset_class"}]
EMPTY: dict[str, Any] = {one.name: getattr(Scene(at=NOW, side=Side.BUY), one.name) for one in fields(Scene)}


@pytest.mark.parametrize("name", OPTIONAL)
def test_what_is_missing_makes_facts_unknown_and_never_broken(name: str) -> None:
    whole, lacking = facts(over("99")), facts(replace(over("99"), **{name: EMPTY[name]}))
    for fact in lacking.values():
        before = whole[fact.name]
        assert fact.value is None or before.value is not None or fact == before, fact.name
    unknown = {one for one, fact in lacking.items() if fact.value is None}
    assert all(lacking[one].violated is None for one in unknown)


prices = st.decimals(min_value=D("0.01"), max_value=D(1_000_000), places=2)
walks = st.lists(st.integers(-50, 50), min_size=0, max_size=120).map(
    lambda steps: bars([D(1000) + sum(steps[: n + 1]) for n in range(len(steps))])
)
optional = st.none() | prices


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Anything at all, known in part."""
    return Scene(
        at=NOW + timedelta(minutes=draw(st.integers(0, 20_000))),
        side=draw(st.sampled_from(Side)),
        asset_class=draw(st.sampled_from(["", "crypto", "equity"])),
        reduces=draw(st.booleans()),
        price=draw(optional),
        limit_price=draw(optional),
        quantity=draw(optional),
        notional=draw(optional),
        plan=Plan(entry=draw(optional), stop=draw(optional), target=draw(optional)),
        candles=draw(walks),
        quote=draw(st.none() | st.builds(quote, age_s=st.integers(-10, 1000))),
        held=draw(st.none() | st.just(D(0)) | prices),
        held_price=draw(optional),
        others_held=draw(st.none() | st.integers(0, 9)),
        usual_notionals=draw(st.lists(prices, max_size=8)),
        notional_max=draw(optional),
        fee_rate=draw(st.none() | st.just(D("0.006"))),
        losses_known=draw(st.booleans()),
        last_loss_at=draw(st.none() | st.just(NOW)),
        course=draw(
            st.none()
            | st.builds(
                Course,
                entry_price=optional,
                exit_price=prices,
                opened_at=st.none() | st.just(NOW),
                closed_at=st.just(NOW + HOUR),
                candles=walks,
                stops=st.none() | st.lists(prices, max_size=3),
            )
        ),
    )


@given(scenes())
def test_any_scene_gives_the_same_facts_again_and_each_is_well_formed(scene: Scene) -> None:
    found = detectors.detect(scene)
    assert found == detectors.detect(scene)
    assert [fact.name for fact in found] == [
        one.name for one in DETECTORS if scene.course is not None or not one.afterwards
    ]
    for fact in found:
        assert (fact.violated is None) == (fact.value is None or fact.limit is None)
        assert fact.value is None or fact.value.is_finite()
    shown = mistakes.tags_of(found)
    assert len({tag.tag for tag in shown}) == len(shown)
    assert bool(shown) <= any(fact.violated for fact in found)
    assert mistakes.verdict_of(found, shown) in CaseVerdict
    regimes.regime_of(scene.candles)


@pytest.mark.parametrize("name", [one.name for one in DETECTORS if one.limit is not None])
@given(value=st.decimals(min_value=D(-1000), max_value=D(1000), places=4))
def test_a_fact_is_broken_beyond_its_limit_and_not_at_it(name: str, value: D) -> None:
    detector = replace(BY_NAME[name], measure=lambda scene: value, applies=lambda scene: True)
    limit = detector.limit
    assert limit is not None
    beyond = value > limit if detector.breaks == "above" else value < limit
    assert detector.fact(good()).violated is beyond
    assert replace(detector, measure=lambda scene: limit).fact(good()).violated is False


@given(
    st.decimals(min_value=D("0.1"), max_value=D(90), places=2), st.decimals(min_value=D(1), max_value=D(9), places=2)
)
def test_the_wider_the_stop_the_more_ranges_and_the_less_reward(risk: D, more: D) -> None:
    near, far = (facts(good(plan=Plan(entry=D(100), stop=D(100) - one, target=D(106)))) for one in (risk, risk + more))
    for name, way in (("stop_distance_atr", 1), ("reward_to_risk", -1)):
        a, b = near[name].value, far[name].value
        assert a is not None and b is not None
        assert way * (b - a) >= 0


@given(st.lists(prices, min_size=2, max_size=2))
def test_measures_grow_with_what_they_measure(pair: list[D]) -> None:
    low, high = sorted(pair)
    for name, scene in (
        ("size_of_median", lambda value: good(notional=value)),
        ("size_of_limit", lambda value: good(notional=value)),
        ("size_of_book", lambda value: good(quantity=value)),
        ("beyond_market", lambda value: good(limit_price=value)),
        ("chase", lambda value: good(price=value)),
        ("adds_to_loser", lambda value: good(held=D(1), held_price=value)),
        ("beyond_stop", lambda value: over(str(200_000_000 - value))),
    ):
        a, b = facts(scene(low))[name].value, facts(scene(high))[name].value
        assert a is not None and b is not None
        assert b >= a, name


@given(walks.filter(bool), prices)
def test_excursions_hold_the_exit_and_mirror_each_other(held: list[Candle], exit_price: D) -> None:
    long = over(str(exit_price), held=held)
    short = replace(long, side=Side.SELL)
    best, worst = course_rules.best(long), course_rules.worst(long)
    assert best is not None and worst is not None
    assert best >= max(exit_price - 100, D(0))
    assert worst >= max(100 - exit_price, D(0))
    assert (course_rules.worst(short), course_rules.best(short)) == (best, worst)
    assert course_rules.in_risk(long, best) == best / 2  # two dollars at risk


def test_a_short_is_the_mirror_of_a_long() -> None:
    up = bars([D(100) + n for n in range(100)])
    down = bars([D(300) - n for n in range(100)])
    long, short = good(candles=up, price=D(201)), good(candles=down, price=D(199), side=Side.SELL)
    for name in ("with_trend", "chase", "bar_closed"):
        assert facts(long)[name].value == facts(short)[name].value, name


def test_an_exit_is_not_held_to_what_an_entry_is() -> None:
    scene = good(
        side=Side.SELL, reduces=True, candles=FALLING, last_loss_at=NOW, held=D(1), held_price=D(300), others_held=9
    )
    assert broken(scene) == set()


def test_entries_together_are_as_flawed_as_the_worst() -> None:
    fine, flawed = detectors.detect(good()), detectors.detect(good(held=D(1), held_price=D(104)))
    for order in ([fine, flawed], [flawed, fine]):
        joined = {fact.name: fact for fact in detectors.joined(order)}
        assert joined["adds_to_loser"].violated
    unknown = detectors.detect(Scene(at=NOW, side=Side.BUY))
    assert {one.name: one.value for one in detectors.joined([unknown, fine])}["spread"] is not None
    assert detectors.joined([]) == ()


def test_verdicts() -> None:
    def verdict(scene: Scene) -> CaseVerdict:
        found = detectors.detect(scene)
        return mistakes.verdict_of(found, mistakes.tags_of(found))

    assert verdict(over("98")) is CaseVerdict.PLANNED_LOSS
    assert verdict(over("98", plan=Plan())) is CaseVerdict.UNKNOWN
    assert verdict(over("98", quote=quote(age_s=60))) is CaseVerdict.DATA
    assert verdict(over("98", price=D(99))) is CaseVerdict.EXECUTION
    assert verdict(over("98", price=D(99), others_held=9)) is CaseVerdict.PROCESS_ERROR
    assert verdict(over("98", plan=Plan(entry=D(100), stop=D(98), target=D(101)))) is CaseVerdict.PROCESS_ERROR
    told = [TagFound(tag=MistakeTag.REVENGE, source=TagSource.REPORTED)]
    assert mistakes.verdict_of((), told) is CaseVerdict.UNKNOWN


@pytest.mark.parametrize(
    ("at", "closed", "minutes"),
    [
        (datetime(2026, 11, 27, 20, 59, tzinfo=UTC), False, 1),
        (datetime(2026, 11, 27, 21, tzinfo=UTC), True, 0),
        (datetime(2026, 11, 29, 20, 59, tzinfo=UTC), True, 0),
        (datetime(2026, 11, 29, 21, tzinfo=UTC), False, 5 * 1440),
        (datetime(2026, 11, 25, 21, tzinfo=UTC), False, 2 * 1440),
    ],
)
def test_the_week_closes_on_friday_evening(at: datetime, closed: bool, minutes: int) -> None:
    assert in_weekend(at) is closed
    assert facts(good(at=at))["to_weekend"].value == minutes


def test_regimes() -> None:
    calm = [D(100) + (n % 2) for n in range(100)]
    assert regimes.regime_of(bars([D(100) + n for n in range(150)], width="4")) in {"trend_up/1", "volatile/1"}
    assert regimes.regime_of(bars([D(400) - n * D("0.999") for n in range(150)], width="4")) in {
        "trend_down/1",
        "volatile/1",
    }
    assert regimes.regime_of(bars([*calm, *(D(100) + 10 * (n % 2) for n in range(24))])) == "volatile/1"
    assert regimes.regime_of(bars([*(D(100) + 10 * (n % 2) for n in range(60)), *calm])) == "range/1"
    assert regimes.regime_of(bars(calm[:71])) == ""


def test_the_table_in_the_documentation_is_that_of_the_code() -> None:
    text = (Path(settings.BASE_DIR) / "docs" / "outcomes.md").read_text(encoding="utf-8")
    assert text == write_facts_table.Command().page(), "run manage.py write_facts_table"
