"""Rules about what may be traded, and how: lists of words."""

from apps.policies.rules.built import Built
from apps.policies.rules.case import Case
from apps.policies.rules.finding import PASSED, Finding
from apps.policies.rules.params import Params
from apps.policies.types import LineVerdict, ReasonCode

ORDER_TYPES = frozenset({"MARKET", "LIMIT", "STOP_LIMIT"})
TIMES_IN_FORCE = frozenset({"GTC", "IOC", "FOK", "GTD"})


def allowed_instrument(params: Params) -> Built:
    instruments = params.words("instruments")
    shown = ", ".join(sorted(instruments))

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        code = case.ask.instrument
        if code in instruments:
            return case.passed(code, "in", shown) if case.wordy else PASSED
        return Finding(LineVerdict.FAIL, ReasonCode.INSTRUMENT_NOT_ALLOWED, code, "in", shown)

    return Built(check)


def restricted_list(params: Params) -> Built:
    instruments = params.words("instruments")
    shown = ", ".join(sorted(instruments))

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        code = case.ask.instrument
        if code not in instruments:
            return case.passed(code, "not in", shown) if case.wordy else PASSED
        return Finding(LineVerdict.FAIL, ReasonCode.INSTRUMENT_RESTRICTED, code, "not in", shown)

    return Built(check)


def allowed_order_types(params: Params) -> Built:
    order_types = params.words("order_types", ORDER_TYPES)
    times_in_force = params.words("times_in_force", TIMES_IN_FORCE, needed=False) or TIMES_IN_FORCE
    shown_types, shown_times = ", ".join(sorted(order_types)), ", ".join(sorted(times_in_force))

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        ask = case.ask
        if ask.order_type not in order_types:
            return Finding(LineVerdict.FAIL, ReasonCode.ORDER_TYPE_NOT_ALLOWED, str(ask.order_type), "in", shown_types)
        if ask.time_in_force not in times_in_force:
            return Finding(
                LineVerdict.FAIL, ReasonCode.ORDER_TYPE_NOT_ALLOWED, str(ask.time_in_force), "in", shown_times
            )
        return case.passed(str(ask.order_type), "in", shown_types) if case.wordy else PASSED

    return Built(check)
