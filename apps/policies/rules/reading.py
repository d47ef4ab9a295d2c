"""Facts as numbers. Whatever cannot be read strictly is a `Doubt`, and a doubt denies.

Arithmetic here is exact: it runs under `EXACT`, where a result that would have to be rounded raises instead. Comparing
an exact number with a limit of at most 8 places says the same as comparing its minor units (1e-8), rounded up.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Clamped, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from functools import lru_cache
from typing import NamedTuple

from apps.common.decimals import parse_decimal, parse_instant
from apps.common.errors import Invalid
from apps.common.money import MINOR_MAX, from_minor
from apps.policies.rules.finding import Doubt
from apps.policies.types import Ask, Fact, FactKind, Facts, FactSpec, ReasonCode, State

EXACT = Context(prec=400, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero, Clamped])
AMOUNT_MAX = from_minor(MINOR_MAX)
ZERO = Decimal(0)

CLOCK_SKEW_S_MAX = 2
_SKEW = timedelta(seconds=CLOCK_SKEW_S_MAX)
_MICROSECOND = timedelta(microseconds=1)

# No rule can be set looser than these. What Aika reads from its own rows is read for the one evaluation, so a minute is
# ample; what rests on balances read from the venue is as old as they are, and counts what was sent since.
FACT_AGE_S_MAX: Mapping[FactKind, int] = {
    FactKind.TRADING_STATE: 60,
    FactKind.INSTRUMENT: 86_400,
    FactKind.QUOTE: 60,
    FactKind.BALANCES: 300,
    FactKind.FEES: 86_400,
    FactKind.POSITION: 300,
    FactKind.GROSS: 300,
    FactKind.DAY_NOTIONAL: 60,
    FactKind.DAY_LOSS: 60,
    FactKind.ORDER_RATE: 60,
    FactKind.DUPLICATES: 60,
    FactKind.FX: 60,
}
_AGE_MAX = {kind: timedelta(seconds=seconds) for kind, seconds in FACT_AGE_S_MAX.items()}


class Instrument(NamedTuple):
    """What the venue takes for an instrument."""

    tradable: bool
    cancel_only: bool
    limit_only: bool
    post_only: bool
    price_increment: Decimal
    quantity_increment: Decimal
    quote_increment: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    max_notional: Decimal


class Touch(NamedTuple):
    """The best bid and ask; `middle` is half their sum, `age` how long ago they were heard."""

    bid: Decimal
    ask: Decimal
    middle: Decimal
    age: timedelta


class Position(NamedTuple):
    """What is held (negative: short) and what may still be bought and sold by orders under way."""

    quantity: Decimal
    working_buy: Decimal
    working_sell: Decimal


@lru_cache(maxsize=8192)
def number(text: str) -> Decimal:
    """The number of a canonical text. Texts repeat (increments, limits, balances), so reading is remembered."""
    return parse_decimal(text, field="fact")


def micros(span: timedelta) -> int:
    """Whole microseconds of a span."""
    return span // _MICROSECOND


def fresh(facts: Facts, spec: FactSpec, now: datetime, age_max: timedelta | None = None) -> Fact:
    """The fact of that spec, not older than its kind may be (or `age_max`, if tighter) and not from the future."""
    fact = facts.get(spec.key)
    if not isinstance(fact, Fact):
        raise Doubt(ReasonCode.FACT_MISSING, spec.key)
    as_of = fact.as_of
    if not isinstance(as_of, datetime) or as_of.tzinfo is None:
        raise Doubt(ReasonCode.FACT_MALFORMED, spec.key)
    age = now - as_of
    limit = _AGE_MAX[spec.kind]
    if age > (limit if age_max is None or age_max > limit else age_max):
        raise Doubt(ReasonCode.QUOTE_STALE if spec.kind is FactKind.QUOTE else ReasonCode.FACT_STALE, spec.key)
    if -age > _SKEW:
        raise Doubt(ReasonCode.FACT_FROM_FUTURE, spec.key)
    return fact


def signed(fact: Fact, name: str, spec: FactSpec) -> Decimal:
    """A finite number of either sign."""
    text = fact.values.get(name)
    if text is None:
        raise Doubt(ReasonCode.FACT_MISSING, f"{spec.key} {name}")
    if type(text) is not str:
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{spec.key} {name}")
    try:
        return number(text)
    except Invalid:
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{spec.key} {name}") from None


def amount(fact: Fact, name: str, spec: FactSpec) -> Decimal:
    """A finite number, zero or above."""
    value = signed(fact, name, spec)
    if value < ZERO:
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{spec.key} {name}")
    return value


def positive(fact: Fact, name: str, spec: FactSpec) -> Decimal:
    """A finite number above zero."""
    value = signed(fact, name, spec)
    if value <= ZERO:
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{spec.key} {name}")
    return value


def flag(fact: Fact, name: str, spec: FactSpec) -> bool:
    """Exactly "true" or "false"."""
    text = fact.values.get(name)
    if text is None:
        raise Doubt(ReasonCode.FACT_MISSING, f"{spec.key} {name}")
    if text == "true":
        return True
    if text == "false":
        return False
    raise Doubt(ReasonCode.FACT_MALFORMED, f"{spec.key} {name}")


def trading_state_spec(ask: Ask) -> FactSpec:
    return FactSpec(FactKind.TRADING_STATE, ask.connection)


def instrument_spec(ask: Ask) -> FactSpec:
    return FactSpec(FactKind.INSTRUMENT, ask.instrument)


def quote_spec(ask: Ask) -> FactSpec:
    return FactSpec(FactKind.QUOTE, ask.instrument)


def position_spec(ask: Ask) -> FactSpec:
    return FactSpec(FactKind.POSITION, ask.instrument)


def fx_spec(ask: Ask) -> FactSpec:
    """The rate that turns one unit of the quote currency into the reporting currency."""
    return FactSpec(FactKind.FX, f"{ask.quote_currency}/{ask.reporting_currency}")


def read_trading_state(ask: Ask, facts: Facts, now: datetime) -> State:
    spec = trading_state_spec(ask)
    text = fresh(facts, spec, now).values.get("state")
    if text is None:
        raise Doubt(ReasonCode.FACT_MISSING, f"{spec.key} state")
    try:
        return State(text)
    except ValueError:
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{spec.key} state") from None


def read_instrument(ask: Ask, facts: Facts, now: datetime) -> Instrument:
    spec = instrument_spec(ask)
    fact = fresh(facts, spec, now)
    return Instrument(
        flag(fact, "tradable", spec),
        flag(fact, "cancel_only", spec),
        flag(fact, "limit_only", spec),
        flag(fact, "post_only", spec),
        positive(fact, "price_increment", spec),
        positive(fact, "quantity_increment", spec),
        positive(fact, "quote_increment", spec),
        amount(fact, "min_quantity", spec),
        amount(fact, "max_quantity", spec),
        amount(fact, "min_notional", spec),
        amount(fact, "max_notional", spec),
    )


def read_touch(ask: Ask, facts: Facts, now: datetime) -> Touch:
    """Bid and ask that can be decided on: positive, not crossed, not old, not from the future."""
    spec = quote_spec(ask)
    fact = fresh(facts, spec, now)
    try:
        occurred_at = parse_instant(fact.values.get("occurred_at"), field="occurred_at")
    except Invalid:
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{spec.key} occurred_at") from None
    if occurred_at - now > _SKEW:
        raise Doubt(ReasonCode.FACT_FROM_FUTURE, f"{spec.key} occurred_at")
    bid, best_ask = positive(fact, "bid", spec), positive(fact, "ask", spec)
    if bid >= best_ask:
        raise Doubt(ReasonCode.QUOTE_CROSSED, spec.key)
    return Touch(bid, best_ask, (bid + best_ask) / 2, now - fact.as_of)


def read_position(ask: Ask, facts: Facts, now: datetime) -> Position:
    spec = position_spec(ask)
    fact = fresh(facts, spec, now)
    return Position(
        signed(fact, "quantity", spec), amount(fact, "working_buy", spec), amount(fact, "working_sell", spec)
    )


def read_fx(ask: Ask, facts: Facts, now: datetime) -> Decimal:
    if ask.quote_currency == ask.reporting_currency:
        return Decimal(1)
    spec = fx_spec(ask)
    return positive(fresh(facts, spec, now), "rate", spec)
