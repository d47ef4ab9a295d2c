"""Rules about how much: of one order, of a position, of everything, of a day."""

from datetime import timedelta
from decimal import Decimal

from apps.policies.rules.built import Built
from apps.policies.rules.case import Case
from apps.policies.rules.finding import Finding
from apps.policies.rules.params import Params, invalid
from apps.policies.rules.reading import (
    BALANCES,
    DAY_NOTIONAL,
    DUPLICATES,
    FACT_AGE_S_MAX,
    FEES,
    GROSS,
    ONE,
    ORDER_RATE,
    ZERO,
    amount,
    fresh,
)
from apps.policies.types import Ask, FactKind, FactSpec, LineVerdict, ReasonCode


def max_order_quantity(params: Params) -> Built:
    limit = params.amount("max_quantity")
    return Built(
        lambda case, keys: case.at_most(
            case.priced.quantity, limit, case.ask.base_currency, ReasonCode.MAX_ORDER_QUANTITY
        )
    )


def max_order_notional(params: Params) -> Built:
    limit = params.amount("max_notional")
    return Built(
        lambda case, keys: case.at_most(
            case.priced.notional, limit, case.ask.reporting_currency, ReasonCode.MAX_ORDER_NOTIONAL
        )
    )


def min_notional(params: Params) -> Built:
    limit = params.amount("min_notional")
    return Built(
        lambda case, keys: case.at_least(
            case.priced.least_notional, limit, case.ask.reporting_currency, ReasonCode.MIN_NOTIONAL
        )
    )


def funds(params: Params) -> Built:
    """A buy needs its worth at worst plus the taker fee in the quote currency, a sell its quantity in the base."""
    kind_max = FACT_AGE_S_MAX[FactKind.BALANCES]
    age_max = timedelta(seconds=params.whole("max_age_s", low=1, high=kind_max, default=kind_max))

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        ask, priced = case.ask, case.priced
        fees, balances = keys
        taker = amount(fresh(case.facts, FEES, fees, case.now), "taker", fees)
        held = fresh(case.facts, BALANCES, balances, case.now, age_max)
        if ask.side == "BUY":
            needed = priced.notional_quote + priced.notional_quote * taker
            available = amount(held, ask.quote_currency, balances)
            return case.at_most(needed, available, ask.quote_currency, ReasonCode.FUNDS_INSUFFICIENT)
        available = amount(held, ask.base_currency, balances)
        return case.at_most(priced.quantity, available, ask.base_currency, ReasonCode.FUNDS_INSUFFICIENT)

    return Built(
        check,
        lambda ask: (FactSpec(FactKind.FEES, ask.connection), FactSpec(FactKind.BALANCES, ask.connection)),
    )


def max_position(params: Params) -> Built:
    """What would be held if every order under way, and this one, were bought in full and nothing sold.

    What is held counts at the market, and where the budgets say that more is bound, that counts: see decision 0009.
    """
    by_quantity, by_notional = params.amount_or_none("max_quantity"), params.amount_or_none("max_notional")
    if (by_quantity is None) == (by_notional is None):
        raise invalid("max_quantity", 'Exactly one of "max_quantity" and "max_notional" is needed.')

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        ask, position, priced = case.ask, case.position, case.priced
        buys = ask.side == "BUY"
        if by_quantity is not None:
            bound = max(position.long, position.bound_quantity)
            observed, limit, unit = bound + (priced.quantity if buys else ZERO), by_quantity, ask.base_currency
        else:
            assert by_notional is not None  # noqa: S101  one of the two is given, checked above
            bound = max(position.long * case.touch.middle * case.fx, position.bound_notional)
            observed = bound + (priced.notional if buys else ZERO)
            limit, unit = by_notional, ask.reporting_currency
        return _unless_reducing(buys, case.at_most(observed, limit, unit, ReasonCode.MAX_POSITION))

    return Built(check)


def max_gross_exposure(params: Params) -> Built:
    """Everything held and being bought, at the middle of the market, or what the budgets say is bound if that is more;
    this order at its worst price."""
    limit = params.amount("max_notional")

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        ask, position, priced = case.ask, case.position, case.priced
        (key,) = keys
        fact = fresh(case.facts, GROSS, key, case.now)
        others = amount(fact, "others", key)
        bound = amount(fact, "bound", key) if "bound" in fact.values else ZERO
        buys = ask.side == "BUY"
        held = position.exposed * case.touch.middle * case.fx
        standing = others + held
        if bound > standing:
            standing = bound
        observed = standing + priced.notional if buys else standing
        return _unless_reducing(
            buys, case.at_most(observed, limit, ask.reporting_currency, ReasonCode.MAX_GROSS_EXPOSURE)
        )

    return Built(check, lambda ask: (FactSpec(FactKind.GROSS, ask.connection),))


def daily_notional(params: Params) -> Built:
    limit = params.amount("max_notional")

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        (key,) = keys
        observed = amount(fresh(case.facts, DAY_NOTIONAL, key, case.now), "notional", key) + case.priced.notional
        return case.at_most(observed, limit, case.ask.reporting_currency, ReasonCode.DAILY_NOTIONAL)

    return Built(check, lambda ask: (FactSpec(FactKind.DAY_NOTIONAL, ask.connection),))


def order_rate(params: Params) -> Built:
    """How many asks within the window, this one counted, by one proposer or on one connection."""
    limit = Decimal(params.whole("max_count", low=1, high=100_000))
    per = params.choice("per", frozenset({"proposer", "connection"}))
    window_s = params.whole("window_s", low=1, high=86_400, default=60)

    per_proposer, unit = per == "proposer", f"asks in {window_s} s"

    def scope_of(ask: Ask) -> str:
        return f"proposer:{ask.proposer}" if per_proposer else f"connection:{ask.connection}"

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        (key,) = keys
        observed = amount(fresh(case.facts, ORDER_RATE, key, case.now), "count", key) + ONE
        return case.at_most(observed, limit, unit, ReasonCode.ORDER_RATE)

    return Built(check, lambda ask: (FactSpec(FactKind.ORDER_RATE, scope_of(ask), window_s),))


def duplicate(params: Params) -> Built:
    window_s = params.whole("window_s", low=1, high=86_400)
    unit = f"alike in {window_s} s"

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        (key,) = keys
        observed = amount(fresh(case.facts, DUPLICATES, key, case.now), "count", key)
        return case.at_most(observed, ZERO, unit, ReasonCode.DUPLICATE)

    return Built(check, lambda ask: (FactSpec(FactKind.DUPLICATES, ask.instrument, window_s),))


def _unless_reducing(buys: bool, finding: Finding) -> Finding:
    """A sell passes although the limit is exceeded: spot cannot go short, so selling only ever brings it down."""
    if buys or finding.verdict is LineVerdict.PASS:
        return finding
    return finding._replace(verdict=LineVerdict.PASS, code=ReasonCode.WITHIN_LIMIT)
