"""Rules about the market: how old its price is, and how far from it an order may be."""

from datetime import timedelta
from decimal import Decimal

from apps.policies.rules.built import Built
from apps.policies.rules.case import Case
from apps.policies.rules.finding import PASSED, Bps, Finding, Micros
from apps.policies.rules.params import Params
from apps.policies.rules.reading import CLOCK_SKEW_S_MAX, FACT_AGE_S_MAX, Touch, micros
from apps.policies.types import Ask, FactKind, LineVerdict, ReasonCode

_TEN_THOUSAND = Decimal(10_000)


def stale_quote(params: Params) -> Built:
    """Age first, then a clock ahead of ours, then the spread: one line, the first of them that fails."""
    age_s_max = params.whole("max_age_s", low=1, high=FACT_AGE_S_MAX[FactKind.QUOTE])
    skew_s_max = params.whole("max_skew_s", low=0, high=CLOCK_SKEW_S_MAX, default=CLOCK_SKEW_S_MAX)
    spread_bps_max = params.bps_or_none("max_spread_bps")
    age_max, skew_max = timedelta(seconds=age_s_max), timedelta(seconds=skew_s_max)
    age_shown, skew_shown = Decimal(age_s_max), Decimal(skew_s_max)

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        touch = case.touch
        age = touch.age
        if age > age_max:
            return Finding(LineVerdict.FAIL, ReasonCode.QUOTE_STALE, Micros(micros(age)), "<=", age_shown, "s")
        if -age > skew_max:
            return Finding(LineVerdict.FAIL, ReasonCode.FACT_FROM_FUTURE, Micros(micros(-age)), "<=", skew_shown, "s")
        if spread_bps_max is not None and (touch.ask - touch.bid) * _TEN_THOUSAND > spread_bps_max * touch.middle:
            spread = Bps(touch.middle + touch.ask - touch.bid, touch.middle)
            return Finding(LineVerdict.FAIL, ReasonCode.SPREAD_TOO_WIDE, spread, "<=", spread_bps_max, "bps")
        return case.passed(Micros(micros(age)), "<=", age_shown, "s") if case.wordy else PASSED

    return Built(check)


def price_collar(params: Params) -> Built:
    """How much worse than the middle the price may be (`aggressive_bps`), and how far from it either way (`away_bps`).

    A stop-limit is measured from where it wakes up: its limit against its stop price, its stop price against the
    middle. A market order is measured at the touch; beyond it, it may slip by `market_slippage_bps`, which bounds what
    it costs at worst.
    """
    aggressive_bps = params.bps("aggressive_bps")
    away_bps = params.bps("away_bps")
    slippage_bps = params.bps_or_none("market_slippage_bps")

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        value, reference, far = _measured(case.ask, case.touch)
        middle = case.touch.middle
        worse = value - reference if case.ask.side == "BUY" else reference - value
        if worse * _TEN_THOUSAND > aggressive_bps * reference:
            observed = Bps(reference + worse, reference)
            return Finding(LineVerdict.FAIL, ReasonCode.PRICE_TOO_AGGRESSIVE, observed, "<=", aggressive_bps, "bps")
        away = abs(far - middle)
        if away * _TEN_THOUSAND > away_bps * middle:
            return Finding(
                LineVerdict.FAIL, ReasonCode.PRICE_TOO_FAR, Bps(middle + away, middle), "<=", away_bps, "bps"
            )
        return case.passed(Bps(reference + worse, reference), "<=", aggressive_bps, "bps") if case.wordy else PASSED

    return Built(check, market_slippage_bps=slippage_bps)


def _measured(ask: Ask, touch: Touch) -> tuple[Decimal, Decimal, Decimal]:
    """The price judged, what it is judged against, and the price that must not be far from the middle."""
    if ask.limit_price is None:
        paid = touch.ask if ask.side == "BUY" else touch.bid
        return paid, touch.middle, paid
    if ask.stop_price is not None:
        return ask.limit_price, ask.stop_price, ask.stop_price
    return ask.limit_price, touch.middle, ask.limit_price
