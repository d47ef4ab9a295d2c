"""Facts as numbers. Whatever cannot be read strictly is a `Doubt`, and a doubt denies.

Arithmetic here is exact: it runs under `EXACT`, where a result that would have to be rounded raises instead. Comparing
an exact number with a limit of at most 8 places says the same as comparing its minor units (1e-8), rounded up.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Clamped, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, localcontext
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from apps.common.decimals import parse_decimal, parse_instant
from apps.common.errors import Invalid
from apps.common.money import MINOR_MAX, from_minor
from apps.policies.rules.finding import Doubt
from apps.policies.types import Ask, Fact, FactKind, Facts, FactSpec, ReasonCode, State

EXACT = Context(prec=400, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero, Clamped])
AMOUNT_MAX = from_minor(MINOR_MAX)
# A value of the trading state that is there only for venues where Aika places no order: which venue, by name.
READ_ONLY_AT = "read_only_at"
ZERO, ONE, _HALF = Decimal(0), Decimal(1), Decimal("0.5")
_STATES: Mapping[str, State] = {state.value: state for state in State}

CLOCK_SKEW_S_MAX = 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
    FactKind.EQUITY: 300,
    FactKind.ORDER_RATE: 60,
    FactKind.DUPLICATES: 60,
    FactKind.FX: 60,
    FactKind.SIMILAR_LOSSES: 60,
}
_EARLY_MAX = timedelta(seconds=-CLOCK_SKEW_S_MAX)


class Source:
    """A kind of fact as it is read: the beginning of its key, and how old it may be."""

    __slots__ = ("age_max", "prefix", "stale")

    def __init__(self, kind: FactKind) -> None:
        self.prefix = f"{kind}:"
        self.age_max = timedelta(seconds=FACT_AGE_S_MAX[kind])
        self.stale = ReasonCode.QUOTE_STALE if kind is FactKind.QUOTE else ReasonCode.FACT_STALE

    def key(self, scope: str) -> str:
        """The same as `FactSpec.key` of a fact without a window."""
        return f"{self.prefix}{scope}:"


TRADING_STATE, INSTRUMENT = Source(FactKind.TRADING_STATE), Source(FactKind.INSTRUMENT)
QUOTE, POSITION, FX = Source(FactKind.QUOTE), Source(FactKind.POSITION), Source(FactKind.FX)
BALANCES, FEES, GROSS = Source(FactKind.BALANCES), Source(FactKind.FEES), Source(FactKind.GROSS)
DAY_NOTIONAL, DAY_LOSS = Source(FactKind.DAY_NOTIONAL), Source(FactKind.DAY_LOSS)
EQUITY = Source(FactKind.EQUITY)
ORDER_RATE, DUPLICATES = Source(FactKind.ORDER_RATE), Source(FactKind.DUPLICATES)
SIMILAR_LOSSES = Source(FactKind.SIMILAR_LOSSES)


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


_INSTRUMENT_VALUES: Callable[[Mapping[str, str]], tuple[str, ...]] = itemgetter(*Instrument._fields)


_QUOTE_VALUES: Callable[[Mapping[str, str]], tuple[str, str, str]] = itemgetter("occurred_at", "bid", "ask")
_POSITION_NAMES = ("quantity", "working_buy", "working_sell", "bound_quantity", "bound_notional")
_BOUND_VALUES: Callable[[Mapping[str, str]], tuple[str, ...]] = itemgetter(*_POSITION_NAMES)
_POSITION_VALUES: Callable[[Mapping[str, str]], tuple[str, ...]] = itemgetter(*_POSITION_NAMES[:3])


class Touch(NamedTuple):
    """The best bid and ask; `middle` is half their sum, `age` how long ago they were heard."""

    bid: Decimal
    ask: Decimal
    middle: Decimal
    age: timedelta


class Position(NamedTuple):
    """What is held (negative: short) and what may still be bought and sold by orders under way.

    `long` is what would be held if all of it were bought and nothing sold, `exposed` the same with a short counted too.
    `bound_quantity` and `bound_notional` are what the budgets say is bound: bought and held at cost, and reserved. Zero
    where they were not asked.
    """

    quantity: Decimal
    working_buy: Decimal
    working_sell: Decimal
    long: Decimal
    exposed: Decimal
    bound_quantity: Decimal = ZERO
    bound_notional: Decimal = ZERO


@lru_cache(maxsize=1024)
def number(text: str) -> Decimal:
    """The number of a canonical text. Texts repeat (increments, limits, balances), so reading is remembered: so many
    that what repeats stays, and few enough that a process does not grow for an hour on those that do not."""
    return parse_decimal(text, field="fact")


@lru_cache(maxsize=1024)
def _unsigned(text: str) -> Decimal:
    value = number(text)
    if value < ZERO:
        raise Doubt(ReasonCode.FACT_MALFORMED)
    return value


def micros(span: timedelta) -> int:
    """Whole microseconds of a span."""
    return span // _MICROSECOND


def fresh(facts: Facts, source: Source, key: str, now: datetime, age_max: timedelta | None = None) -> Fact:
    """The fact of that key, not older than its kind may be (or `age_max`, if tighter) and not from the future."""
    fact = facts.get(key)
    if not isinstance(fact, Fact):
        raise Doubt(ReasonCode.FACT_MISSING, key)
    if fact.as_of is now:
        return fact  # read for this very evaluation, as Aika's own rows are
    try:
        age = now - fact.as_of
    except TypeError:  # no time, or one without an offset
        raise Doubt(ReasonCode.FACT_MALFORMED, key) from None
    if age > source.age_max or (age_max is not None and age > age_max):
        raise Doubt(source.stale, key)
    if age < _EARLY_MAX:
        raise Doubt(ReasonCode.FACT_FROM_FUTURE, key)
    return fact


def signed(fact: Fact, name: str, key: str) -> Decimal:
    """A finite number of either sign."""
    try:
        return number(fact.values[name])
    except KeyError:
        raise Doubt(ReasonCode.FACT_MISSING, f"{key} {name}") from None
    except (Invalid, TypeError):
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{key} {name}") from None


def amount(fact: Fact, name: str, key: str) -> Decimal:
    """A finite number, zero or above."""
    try:
        return _unsigned(fact.values[name])
    except (KeyError, Invalid, TypeError, Doubt):
        signed(fact, name, key)  # it says in whose words
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{key} {name}") from None


def positive(fact: Fact, name: str, key: str) -> Decimal:
    """A finite number above zero."""
    value = signed(fact, name, key)
    if value <= ZERO:
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{key} {name}")
    return value


def flag(fact: Fact, name: str, key: str) -> bool:
    """Exactly "true" or "false"."""
    text = fact.values.get(name)
    if text == "true":
        return True
    if text == "false":
        return False
    raise Doubt(ReasonCode.FACT_MISSING if text is None else ReasonCode.FACT_MALFORMED, f"{key} {name}")


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
    key = TRADING_STATE.key(ask.connection)
    text = fresh(facts, TRADING_STATE, key, now).values.get("state")
    if text is None:
        raise Doubt(ReasonCode.FACT_MISSING, f"{key} state")
    state = _STATES.get(text)
    if state is None:
        raise Doubt(ReasonCode.FACT_MALFORMED, f"{key} state")
    return state


def read_only_venue(ask: Ask, facts: Facts) -> str | None:
    """The venue of the ask by name, where Aika places no order at it. The fact says so only then, and however old."""
    fact = facts.get(TRADING_STATE.key(ask.connection))
    # A fact of another shape is denied by the rule that reads it, and must not end the evaluation here.
    return fact.values.get(READ_ONLY_AT) if isinstance(fact, Fact) and isinstance(fact.values, Mapping) else None


def read_instrument(ask: Ask, facts: Facts, now: datetime) -> Instrument:
    key = INSTRUMENT.key(ask.instrument)
    fact = fresh(facts, INSTRUMENT, key, now)
    try:
        return _instrument(*_INSTRUMENT_VALUES(fact.values))
    except (KeyError, TypeError, Doubt):
        return _instrument_one_by_one(fact, key)  # it says which value is in doubt


@lru_cache(maxsize=1024)
def _instrument(*texts: str) -> Instrument:
    """The texts as values. An instrument changes once in a while and is read with every ask: it is remembered."""
    return _instrument_one_by_one(Fact(dict(zip(Instrument._fields, texts, strict=True)), _EPOCH), "")


def _instrument_one_by_one(fact: Fact, key: str) -> Instrument:
    return Instrument(
        flag(fact, "tradable", key),
        flag(fact, "cancel_only", key),
        flag(fact, "limit_only", key),
        flag(fact, "post_only", key),
        positive(fact, "price_increment", key),
        positive(fact, "quantity_increment", key),
        positive(fact, "quote_increment", key),
        amount(fact, "min_quantity", key),
        amount(fact, "max_quantity", key),
        amount(fact, "min_notional", key),
        amount(fact, "max_notional", key),
    )


def read_touch(ask: Ask, facts: Facts, now: datetime) -> Touch:
    """Bid and ask that can be decided on: positive, not crossed, not old, not from the future."""
    key = QUOTE.key(ask.instrument)
    fact = fresh(facts, QUOTE, key, now)
    try:
        bid, best_ask, middle, occurred_at = _quoted(*_QUOTE_VALUES(fact.values))
    except (KeyError, TypeError, Invalid, Doubt):
        raise _quote_doubt(fact, key, now) from None
    if now - occurred_at < _EARLY_MAX:
        raise Doubt(ReasonCode.FACT_FROM_FUTURE, f"{key} occurred_at")
    return Touch(bid, best_ask, middle, now - fact.as_of)


@lru_cache(maxsize=1024)
def _quoted(occurred_at: str, bid: str, best_ask: str) -> tuple[Decimal, Decimal, Decimal, datetime]:
    """Bid, ask, their middle, and when. One quote judges many asks, and each of them more than once."""
    fact = Fact({"bid": bid, "ask": best_ask}, _EPOCH)
    low, high = positive(fact, "bid", ""), positive(fact, "ask", "")
    if low >= high:
        raise Doubt(ReasonCode.QUOTE_CROSSED)
    with localcontext(EXACT):
        middle = (low + high) * _HALF
    return low, high, middle, parse_instant(occurred_at, field="occurred_at")


def _quote_doubt(fact: Fact, key: str, now: datetime) -> Doubt:
    """Which value of a quote that cannot be decided on is in doubt: the first of them."""
    try:
        occurred_at = parse_instant(fact.values.get("occurred_at"), field="occurred_at")
    except Invalid:
        return Doubt(ReasonCode.FACT_MALFORMED, f"{key} occurred_at")
    if now - occurred_at < _EARLY_MAX:
        return Doubt(ReasonCode.FACT_FROM_FUTURE, f"{key} occurred_at")
    try:
        positive(fact, "bid", key)
        positive(fact, "ask", key)
    except Doubt as doubt:
        return doubt
    return Doubt(ReasonCode.QUOTE_CROSSED, key)


def read_position(ask: Ask, facts: Facts, now: datetime) -> Position:
    key = POSITION.key(ask.instrument)
    fact = fresh(facts, POSITION, key, now)
    try:
        values = _BOUND_VALUES if "bound_quantity" in fact.values else _POSITION_VALUES
        return _position(*values(fact.values))
    except (KeyError, TypeError, Doubt):
        return _position_one_by_one(fact, key)  # it says which value is in doubt


@lru_cache(maxsize=1024)
def _position(*texts: str) -> Position:
    """The texts as values: a position changes with a fill, and is read with every ask."""
    return _position_one_by_one(Fact(dict(zip(_POSITION_NAMES, texts, strict=False)), _EPOCH), "")


def _position_one_by_one(fact: Fact, key: str) -> Position:
    quantity, buying, selling = (
        signed(fact, "quantity", key),
        amount(fact, "working_buy", key),
        amount(fact, "working_sell", key),
    )
    with localcontext(EXACT):
        long, exposed = max(quantity, ZERO) + buying, abs(quantity) + buying
    if "bound_quantity" not in fact.values:
        return Position(quantity, buying, selling, long, exposed)
    bound_quantity, bound_notional = amount(fact, "bound_quantity", key), amount(fact, "bound_notional", key)
    return Position(quantity, buying, selling, long, exposed, bound_quantity, bound_notional)


def read_fx(ask: Ask, facts: Facts, now: datetime) -> Decimal:
    if ask.quote_currency == ask.reporting_currency:
        return ONE
    key = FX.key(f"{ask.quote_currency}/{ask.reporting_currency}")
    return positive(fresh(facts, FX, key, now), "rate", key)
