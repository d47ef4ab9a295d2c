"""What became of a trade: only where it is over."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from apps.connectors.types import Candle
from apps.lessons.rules.candle_math import atr
from apps.lessons.rules.scene import Course, Scene

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
_WORTH_KEEPING_ATR: Final = ONE
_WORTH_KEEPING_R: Final = ONE


def best(scene: Scene) -> Decimal | None:
    """The maximum favourable excursion: how far the price went for the trade while it was held, per unit; 0 or more."""
    return _excursion(scene, 1)


def worst(scene: Scene) -> Decimal | None:
    """The maximum adverse excursion: how far it went against the trade, per unit, as a positive number."""
    return _excursion(scene, -1)


def _excursion(scene: Scene, way: int) -> Decimal | None:
    course, entry = scene.course, scene.entry
    if course is None or entry is None or not course.candles:
        return None
    up = scene.sign * way > 0
    far = max(one.high for one in course.candles) if up else min(one.low for one in course.candles)
    moves = (way * scene.sign * (price - entry) for price in (far, course.exit_price))
    return max(*moves, ZERO)


def in_risk(scene: Scene, move: Decimal | None) -> Decimal | None:
    """A move per unit in multiples of the planned risk."""
    risk = scene.risk_per_unit
    return move / risk if move is not None and risk is not None else None


def given_back(scene: Scene) -> Decimal | None:
    """The part of the best open profit that was not kept: 0 sold at the best, 1 or more kept nothing of it.

    Not said where the best was below one planned risk (or, without a plan, one average true range): nothing to keep.
    """
    course, entry, peak = scene.course, scene.entry, best(scene)
    if course is None or entry is None or peak is None:
        return None
    worth = scene.risk_per_unit or atr(scene.candles)
    if worth is None or peak < worth:
        return None
    return (peak - scene.sign * (course.exit_price - entry)) / peak


def beyond_stop(scene: Scene) -> Decimal | None:
    """How far beyond the planned stop it was closed, in planned risks; 0 where it was not beyond."""
    course, risk, stop = scene.course, scene.risk_per_unit, scene.plan.stop
    if course is None or risk is None or stop is None:
        return None
    return max(scene.sign * (stop - course.exit_price) / risk, ZERO)


def held_past_stop(scene: Scene) -> Decimal | None:
    """Minutes between the end of the candle in which the planned stop was crossed and the exit; 0 where it was not."""
    course, stop = scene.course, scene.plan.stop
    if course is None or stop is None or scene.risk_per_unit is None or not course.candles:
        return None
    crossed = _crossed_by(course, scene.sign, stop)
    if crossed is None:
        return ZERO
    span = course.closed_at - crossed
    return max(Decimal(span // timedelta(seconds=1)) / 60, ZERO)


def had_resting_stop(scene: Scene) -> Decimal | None:
    """Where the planned stop was crossed: 1 if a stop order rested at the venue while it was held, 0 if none did."""
    course, stop = scene.course, scene.plan.stop
    if course is None or stop is None or course.stops is None or _crossed_by(course, scene.sign, stop) is None:
        return None
    return ONE if course.stops else ZERO


def stop_moved(scene: Scene) -> Decimal | None:
    """How far stop orders were moved away from the entry, against the plan or the one before, in planned risks."""
    course, risk, stop = scene.course, scene.risk_per_unit, scene.plan.stop
    if course is None or risk is None or stop is None or course.stops is None:
        return None
    tightest, moved = stop, ZERO
    for price in course.stops:
        moved = max(moved, scene.sign * (tightest - price) / risk)
        tightest = max(tightest, price) if scene.sign > 0 else min(tightest, price)
    return moved


def out_of_plan(scene: Scene) -> Decimal | None:
    """How far before both planned ends it was closed, in planned risks from the nearer one; 0 at or beyond either."""
    course, risk, plan = scene.course, scene.risk_per_unit, scene.plan
    if course is None or risk is None or plan.stop is None or plan.target is None:
        return None
    to_target = scene.sign * (plan.target - course.exit_price)
    to_stop = scene.sign * (course.exit_price - plan.stop)
    return max(min(to_target, to_stop), ZERO) / risk


def entry_slippage(scene: Scene) -> Decimal | None:
    """How much worse the entry was filled than the price it was judged at, in basis points; negative is better."""
    course, meant = scene.course, scene.price
    if course is None or course.entry_price is None or meant is None or meant <= 0:
        return None
    return 10_000 * scene.sign * (course.entry_price - meant) / meant


def minutes_held(scene: Scene) -> Decimal | None:
    """Minutes between entry and exit."""
    course = scene.course
    if course is None or course.opened_at is None:
        return None
    return max(Decimal((course.closed_at - course.opened_at) // timedelta(seconds=1)) / 60, ZERO)


def _crossed_by(course: Course, sign: int, stop: Decimal) -> datetime | None:
    """When the candle ended in which the price was first at or beyond the stop."""
    for candle in course.candles:
        if sign * (_adverse(candle, sign) - stop) <= 0:
            return min(candle.start + timedelta(seconds=course.candle_s), course.closed_at)
    return None


def _adverse(candle: Candle, sign: int) -> Decimal:
    return candle.low if sign > 0 else candle.high
