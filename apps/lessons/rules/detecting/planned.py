"""What the plan and the size of a proposal say."""

from decimal import Decimal
from statistics import median
from typing import Final

from apps.connectors.types import Side
from apps.lessons.rules.candle_math import atr
from apps.lessons.rules.scene import Scene

USUAL_MIN: Final = 5
ONE: Final = Decimal(1)
ZERO: Final = Decimal(0)


def stop_distance(scene: Scene) -> Decimal | None:
    """Entry to planned stop, in average true ranges of an hour."""
    width, risk = atr(scene.candles), scene.risk_per_unit
    return risk / width if width is not None and risk is not None else None


def has_planned_stop(scene: Scene) -> Decimal | None:
    """1 where the plan names a stop, 0 where it names an exit and no stop. Where nothing is planned: not known."""
    if scene.reduces or not scene.has_plan:
        return None
    return ZERO if scene.plan.stop is None else ONE


def reward_to_risk(scene: Scene) -> Decimal | None:
    """What the target would bring, by what the stop would cost."""
    risk, gain = scene.risk_per_unit, _gain_per_unit(scene)
    return gain / risk if risk is not None and gain is not None else None


def costs_of_target(scene: Scene) -> Decimal | None:
    """Fees of entry and exit, as a fraction of what the target would bring."""
    gain, entry = _gain_per_unit(scene), scene.entry
    if scene.fee_rate is None or gain is None or entry is None or scene.plan.target is None:
        return None
    return scene.fee_rate * (entry + scene.plan.target) / gain


def size_of_limit(scene: Scene) -> Decimal | None:
    """Notional, as a fraction of the largest order that policy allows."""
    if scene.notional is None or not scene.notional_max:
        return None
    return scene.notional / scene.notional_max


def size_of_median(scene: Scene) -> Decimal | None:
    """Notional, in medians of what was usual in 90 days; not known with fewer than five to compare with."""
    if scene.notional is None or len(scene.usual_notionals) < USUAL_MIN:
        return None
    usual = median(scene.usual_notionals)
    return scene.notional / usual if usual > 0 else None


def adds_to_loser(scene: Scene) -> Decimal | None:
    """By how many percent what is held already loses, where this adds to it; 0 where it adds to none that loses."""
    if scene.held is None or scene.reduces:
        return None
    if scene.held == 0:
        return ZERO
    if scene.held_price is None or scene.held_price <= 0 or scene.price is None:
        return None
    return max(100 * scene.sign * (scene.held_price - scene.price) / scene.held_price, ZERO)


def positions_alike(scene: Scene) -> Decimal | None:
    """Other open positions the same way, of the same kind of asset."""
    return None if scene.others_held is None or scene.reduces else Decimal(scene.others_held)


def beyond_market(scene: Scene) -> Decimal | None:
    """How far the limit price goes through the price it would meet, in basis points; negative where it rests."""
    quote = scene.quote
    if quote is None or scene.limit_price is None:
        return None
    met = quote.ask if scene.side is Side.BUY else quote.bid
    return 10_000 * scene.sign * (scene.limit_price - met) / met if met > 0 else None


def _gain_per_unit(scene: Scene) -> Decimal | None:
    entry = scene.entry
    if entry is None or scene.plan.target is None:
        return None
    gain = scene.sign * (scene.plan.target - entry)
    return gain if gain > 0 else None
