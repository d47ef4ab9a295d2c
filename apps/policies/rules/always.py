"""What is checked whatever the policy says: the terms, the trading state, and what the venue takes.

These are the checks no row can switch off. Each answers like a rule and has a line like a rule.
"""

from decimal import Decimal

from apps.policies.rules.built import Built
from apps.policies.rules.case import Case
from apps.policies.rules.finding import PASSED, Finding, Micros
from apps.policies.rules.params import Params
from apps.policies.rules.reading import FACT_AGE_S_MAX, ZERO, micros, read_only_venue
from apps.policies.types import FactKind, LineVerdict, ReasonCode, State

_QUOTE_AGE_S_MAX = Decimal(FACT_AGE_S_MAX[FactKind.QUOTE])


def read_only(case: Case) -> Finding | None:
    """At a venue where Aika only reads, no; None at any other, which has no such line: decisions that were made before
    there were such venues have none either."""
    venue = read_only_venue(case.ask, case.facts)
    return None if venue is None else Finding(LineVerdict.FAIL, ReasonCode.VENUE_READ_ONLY, venue)


def terms(case: Case, keys: tuple[str, ...]) -> Finding:
    """The ask is whole: see price.check_terms."""
    order_type = case.terms.order_type
    return case.passed(order_type) if case.wordy else PASSED


def trading_state(case: Case, keys: tuple[str, ...]) -> Finding:
    """ACTIVE passes, HALTED denies, REDUCING lets through only what shrinks the position and keeps its sign.

    Orders under way on the same side count as filled: two sells of 60 % each would turn the position around.
    """
    state, _, quantity = case.state, case.position, case.priced.quantity
    if state is State.ACTIVE:
        return case.passed("ACTIVE", "=", "ACTIVE") if case.wordy else PASSED
    if state is State.HALTED:
        return Finding(LineVerdict.FAIL, ReasonCode.TRADING_HALTED, "HALTED", "=", "ACTIVE")
    return case.at_most(quantity, reducible(case), case.ask.base_currency, ReasonCode.ONLY_REDUCING)


def reducible(case: Case) -> Decimal:
    """The most base this ask may move and only shrink the position, every order under way on its side filled first."""
    position = case.position
    if case.ask.side == "SELL":
        return max(position.quantity - position.working_sell, ZERO)
    return max(-position.quantity - position.working_buy, ZERO)


def trading_state_rule(params: Params) -> Built:
    """The rule of that kind: it has no parameters, and says the same as the check that always runs."""
    return Built(trading_state)


def quote(case: Case, keys: tuple[str, ...]) -> Finding:
    """There is a price that can be decided on; a stale_quote rule tightens this."""
    age = case.touch.age
    return case.passed(Micros(micros(age)), "<=", _QUOTE_AGE_S_MAX, "s") if case.wordy else PASSED


def tradable(case: Case, keys: tuple[str, ...]) -> Finding:
    """The venue trades the instrument, and this type of order in it."""
    instrument, ask = case.instrument, case.ask
    code = None
    if not instrument.tradable:
        code = ReasonCode.INSTRUMENT_NOT_TRADABLE
    elif instrument.cancel_only:
        code = ReasonCode.INSTRUMENT_CANCEL_ONLY
    elif instrument.post_only and not ask.post_only:
        code = ReasonCode.INSTRUMENT_POST_ONLY
    elif instrument.limit_only and ask.limit_price is None:
        code = ReasonCode.INSTRUMENT_LIMIT_ONLY
    if code is not None:
        return Finding(LineVerdict.FAIL, code, ask.instrument)
    return case.passed(ask.instrument) if case.wordy else PASSED


def price_increment(case: Case, keys: tuple[str, ...]) -> Finding:
    """Every price is a multiple of the price increment."""
    increment, ask = case.instrument.price_increment, case.terms
    for price in (ask.limit_price, ask.stop_price):
        if price is not None and price % increment:
            return _off_grid(price, increment, ask.quote_currency, ReasonCode.PRICE_OFF_INCREMENT)
    if not case.wordy:
        return PASSED
    shown = "" if ask.limit_price is None else ask.limit_price
    return case.passed(shown, "multiple of", increment, ask.quote_currency)


def quantity_increment(case: Case, keys: tuple[str, ...]) -> Finding:
    """The size is a multiple of its increment, in base or in quote currency."""
    instrument, ask = case.instrument, case.terms
    if ask.quantity is not None:
        size, increment, unit = ask.quantity, instrument.quantity_increment, ask.base_currency
    else:
        size, increment, unit = ask.quote_quantity or ZERO, instrument.quote_increment, ask.quote_currency
    if size % increment:
        return _off_grid(size, increment, unit, ReasonCode.QUANTITY_OFF_INCREMENT)
    return case.passed(size, "multiple of", increment, unit) if case.wordy else PASSED


def venue_quantity(case: Case, keys: tuple[str, ...]) -> Finding:
    """Within what the venue takes in base units; a size in quote currency is held against the notional alone."""
    instrument, ask = case.instrument, case.terms
    if ask.quantity is None:
        return PASSED
    if ask.quantity < instrument.min_quantity:
        code = ReasonCode.QUANTITY_BELOW_VENUE_MIN
        return case.at_least(ask.quantity, instrument.min_quantity, ask.base_currency, code)
    return case.at_most(ask.quantity, instrument.max_quantity, ask.base_currency, ReasonCode.QUANTITY_ABOVE_VENUE_MAX)


def venue_notional(case: Case, keys: tuple[str, ...]) -> Finding:
    """Within what the venue takes in quote currency."""
    instrument, priced, unit = case.instrument, case.priced, case.ask.quote_currency
    if priced.least_notional_quote < instrument.min_notional:
        code = ReasonCode.NOTIONAL_BELOW_VENUE_MIN
        return case.at_least(priced.least_notional_quote, instrument.min_notional, unit, code)
    return case.at_most(priced.notional_quote, instrument.max_notional, unit, ReasonCode.NOTIONAL_ABOVE_VENUE_MAX)


def _off_grid(value: Decimal, increment: Decimal, unit: str, code: ReasonCode) -> Finding:
    return Finding(LineVerdict.FAIL, code, value, "multiple of", increment, unit)


# Name of the line, what it measures in words, the check.
ALWAYS = (
    ("always/terms", "Terms", terms),
    ("always/trading-state", "Trading state", trading_state),
    ("always/quote", "Price of the market", quote),
    ("always/tradable", "Instrument at the venue", tradable),
    ("always/price-increment", "Price steps of the venue", price_increment),
    ("always/quantity-increment", "Quantity steps of the venue", quantity_increment),
    ("always/venue-quantity", "Quantity the venue takes", venue_quantity),
    ("always/venue-notional", "Worth the venue takes", venue_notional),
)
READ_ONLY_KEY, READ_ONLY_TITLE = "always/read-only", "Orders at the venue"
SIZE_LIMIT_KEY, SIZE_LIMIT_TITLE = "always/size-limit", "A limit on the worth of one order"
APPROVAL_KEY, APPROVAL_TITLE = "always/approval", "Approval"
POLICY_KEY, POLICY_TITLE = "always/policy", "Active policy"
