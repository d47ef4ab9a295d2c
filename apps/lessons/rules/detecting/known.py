"""The tables of detectors: name, unit, limit, the mistake it shows, the measure, and what it means in words."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Final

from apps.lessons.rules.detecting import course, market, planned
from apps.lessons.rules.detecting.detector import Breaks, Detector
from apps.lessons.rules.scene import ALWAYS_OPEN, Scene
from apps.lessons.types import MistakeTag


def _limited(
    breaks: Breaks,
    name: str,
    unit: str,
    limit: str,
    tag: MistakeTag | None,
    measure: Callable[[Scene], Decimal | None],
    means: str,
    *,
    afterwards: bool = False,
    applies: Callable[[Scene], bool] = lambda scene: True,
) -> Detector:
    return Detector(
        name=name,
        unit=unit,
        measure=measure,
        means=means,
        limit=Decimal(limit),
        breaks=breaks,
        tag=tag,
        afterwards=afterwards,
        applies=applies,
    )


_above: Final = partial(_limited, Breaks.ABOVE)
_below: Final = partial(_limited, Breaks.BELOW)


def _noted(
    name: str, unit: str, measure: Callable[[Scene], Decimal | None], means: str, *, afterwards: bool = False
) -> Detector:
    return Detector(name=name, unit=unit, measure=measure, means=means, afterwards=afterwards)


def _closes(scene: Scene) -> bool:
    """Whether its market closes for the weekend."""
    return bool(scene.asset_class) and scene.asset_class not in ALWAYS_OPEN


PLANNED: Final = (
    _below(
        "stop_distance_atr",
        "ATR",
        "0.5",
        MistakeTag.STOP_TOO_TIGHT,
        planned.stop_distance,
        "Entry to planned stop, in average true ranges of an hour (of 14).",
    ),
    _below(
        "has_planned_stop",
        "yes",
        "1",
        MistakeTag.NO_STOP,
        planned.has_planned_stop,
        "1: the plan names a stop; 0: it names an exit and no stop. Nothing planned: not known.",
    ),
    _below(
        "reward_to_risk",
        "x",
        "1",
        None,
        planned.reward_to_risk,
        "What the target would bring, by what the stop would cost.",
    ),
    _above(
        "costs_of_target",
        "fraction",
        "0.5",
        MistakeTag.CARRY_COST,
        planned.costs_of_target,
        "Fees of entry and exit, of what the target would bring.",
    ),
    _above(
        "size_of_limit",
        "fraction",
        "1",
        MistakeTag.OVERSIZED,
        planned.size_of_limit,
        "Notional, of the largest order that policy allows.",
    ),
    _above(
        "size_of_median",
        "x",
        "3",
        MistakeTag.OVERSIZED,
        planned.size_of_median,
        "Notional, in medians of the approved proposals of 90 days (at least 5).",
    ),
    _above(
        "adds_to_loser",
        "%",
        "0",
        MistakeTag.AVERAGED_DOWN,
        planned.adds_to_loser,
        "By how much what is held already loses, where this adds to it.",
    ),
    _above(
        "positions_alike",
        "positions",
        "3",
        MistakeTag.CORRELATED,
        planned.positions_alike,
        "Other open positions the same way, of the same kind of asset.",
    ),
    _above(
        "beyond_market",
        "bps",
        "200",
        MistakeTag.FAT_FINGER,
        planned.beyond_market,
        "How far the limit price goes through the price it would meet.",
    ),
)
MARKET: Final = (
    _below(
        "with_trend",
        "ATR",
        "-2",
        MistakeTag.FALLING_KNIFE,
        market.with_trend,
        "The last hour's close against the mean of 48, positive where the entry goes with it.",
    ),
    _above(
        "chase",
        "ATR",
        "0.5",
        MistakeTag.CHASED_BREAKOUT,
        market.chase,
        "How far the entry lies beyond the edge of the last 20 hours.",
    ),
    _below(
        "bar_closed",
        "yes",
        "1",
        MistakeTag.NO_CONFIRMATION,
        market.bar_closed,
        "Of an entry that breaks out: whether the last hour closed beyond the 20 before it.",
    ),
    _below(
        "breakout_in_noise",
        "fraction",
        "0.15",
        MistakeTag.CHOP,
        market.breakout_in_noise,
        "Of an entry that breaks out: net change of 24 hours by the way they went.",
    ),
    _noted(
        "volatility_percentile",
        "fraction",
        market.volatility_percentile,
        "Volatility of the last 24 hours among those of the week; 1 is the highest.",
    ),
    _above("spread", "bps", "25", MistakeTag.SLIPPAGE, market.spread, "Ask less bid, of their middle."),
    _above(
        "size_of_book",
        "x",
        "5",
        MistakeTag.SLIPPAGE,
        market.size_of_book,
        "Quantity, in what the best price offers on the side it would meet.",
    ),
    _above("tick_age", "s", "5", MistakeTag.STALE_DATA, market.tick_age, "Since the last price came in."),
    _below(
        "since_loss",
        "min",
        "30",
        MistakeTag.REVENGE,
        market.since_loss,
        "Since the desk last lost; a week where it has not in one.",
    ),
    _noted("hour", "h UTC", market.hour, "The hour of the day."),
    _below(
        "to_weekend",
        "min",
        "120",
        MistakeTag.WEEKEND,
        market.to_weekend,
        "Until Friday, 21:00 UTC; 0 in the weekend. Broken only where the market closes.",
        applies=_closes,
    ),
)
COURSE: Final = (
    _above(
        "given_back",
        "fraction",
        "0.9",
        MistakeTag.ROUND_TRIP,
        course.given_back,
        "Of the best open profit (MFE), where it was worth keeping, what was not kept.",
        afterwards=True,
    ),
    _above(
        "beyond_stop",
        "R",
        "0.5",
        MistakeTag.SLIPPAGE,
        course.beyond_stop,
        "How far beyond the planned stop it was closed.",
        afterwards=True,
    ),
    _above(
        "held_past_stop",
        "min",
        "60",
        MistakeTag.THESIS_BROKEN,
        course.held_past_stop,
        "How long it was held after the planned stop was crossed.",
        afterwards=True,
    ),
    _below(
        "had_resting_stop",
        "yes",
        "1",
        MistakeTag.NO_STOP,
        course.had_resting_stop,
        "Of a planned stop that was crossed: whether a stop order rested at the venue.",
        afterwards=True,
    ),
    _above(
        "stop_moved",
        "R",
        "0",
        MistakeTag.NO_STOP,
        course.stop_moved,
        "How far stop orders were moved away from the entry.",
        afterwards=True,
    ),
    _noted("out_of_plan", "R", course.out_of_plan, "How far before both planned ends it was closed.", afterwards=True),
    _above(
        "entry_slippage",
        "bps",
        "25",
        MistakeTag.SLIPPAGE,
        course.entry_slippage,
        "How much worse the entry was filled than the price it was judged at.",
        afterwards=True,
    ),
    _noted("minutes_held", "min", course.minutes_held, "Entry to exit.", afterwards=True),
)


def _given(name: str, unit: str, limit: str, breaks: Breaks, tag: MistakeTag, means: str) -> Detector:
    return Detector(
        name=name,
        unit=unit,
        measure=lambda scene: scene.given.get(name),
        means=means,
        limit=Decimal(limit),
        breaks=breaks,
        tag=tag,
        given=True,
    )


ELSEWHERE: Final = (
    _given("minutes_to_event", "min", "120", Breaks.BELOW, MistakeTag.HELD_EVENT, "Until the next scheduled event."),
    _given(
        "minutes_to_session_close", "min", "30", Breaks.BELOW, MistakeTag.OVERNIGHT_GAP, "Until the session closes."
    ),
    _given(
        "hours_to_reopening", "h", "12", Breaks.ABOVE, MistakeTag.OVERNIGHT_GAP, "From the close to the next opening."
    ),
    _given(
        "financing_of_target",
        "fraction",
        "0.5",
        Breaks.ABOVE,
        MistakeTag.CARRY_COST,
        "Expected financing, of what the target would bring.",
    ),
    _given("days_to_expiry", "days", "5", Breaks.BELOW, MistakeTag.ROLL_EXPIRY, "Until the contract expires."),
    _given(
        "iv_percentile",
        "fraction",
        "0.8",
        Breaks.ABOVE,
        MistakeTag.VOL_CRUSH,
        "Implied volatility among that of a year.",
    ),
    _given("short_interest", "fraction", "0.2", Breaks.ABOVE, MistakeTag.SHORT_SQUEEZE, "Of the float, sold short."),
    _given(
        "positioning_percentile",
        "fraction",
        "0.9",
        Breaks.ABOVE,
        MistakeTag.CROWDED,
        "Of the crowd's position the same way, among that of a year.",
    ),
    _given("oos_sharpe", "x", "0.5", Breaks.BELOW, MistakeTag.OVERFIT, "Sharpe ratio of the setup out of sample."),
)
