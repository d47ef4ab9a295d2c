"""Answers to the questions policy asks. A question without an answer stays out of the result, and that denies."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final
from uuid import UUID

from apps.common.decimals import decimal_text, instant_text
from apps.common.money import from_minor
from apps.common.statements import Question
from apps.connectors.selectors import cash_currencies
from apps.connectors.types import Side, venue_title
from apps.policies.rules import READ_ONLY_AT
from apps.policies.selectors import worst_state
from apps.policies.types import Ask, Fact, FactKind, Facts, FactSpec
from apps.trades.rules import reservations
from apps.trades.selectors import equity, exposure
from apps.trades.services.gathering import ZERO, Gathering, rounded_up
from apps.trades.services.similar import similar_losses
from apps.trades.types import Terms


def ask_of(terms: Terms, *, proposer_id: UUID, reporting_currency: str) -> Ask:
    """The terms as policy reads them."""
    return Ask(
        connection=str(terms.connection_id),
        environment=terms.environment.value,
        instrument=terms.instrument,
        base_currency=terms.base_currency,
        quote_currency=terms.quote_currency,
        reporting_currency=reporting_currency,
        side=terms.side.value,
        order_type=terms.order_type.value,
        time_in_force=terms.time_in_force.value,
        proposer=str(proposer_id),
        quantity=terms.quantity,
        quote_quantity=terms.quote_quantity,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        post_only=terms.post_only,
    )


def gather(specs: Iterable[FactSpec], gathering: Gathering) -> Facts:
    """Every spec that can be answered, by its key."""
    wanted = tuple(specs)
    gathering.read(wanted)
    facts: dict[str, Fact] = {}
    for spec in wanted:
        answer = _ANSWERS.get(spec.kind)
        fact = answer(gathering, spec) if answer else None
        if fact is not None:
            facts[spec.key] = fact
    return facts


def _trading_state(g: Gathering, spec: FactSpec) -> Fact | None:
    values = {"state": worst_state(g.trading_states.answer)}
    if not g.connection.places_orders:
        values[READ_ONLY_AT] = venue_title(g.connection.venue)
    return Fact(values=values, as_of=g.now)


def _instrument(g: Gathering, spec: FactSpec) -> Fact | None:
    row = g.instrument if spec.scope == g.ask.instrument else None
    if row is None:
        return None
    numbers = (
        "price_increment",
        "quantity_increment",
        "quote_increment",
        "min_quantity",
        "max_quantity",
        "min_notional",
        "max_notional",
    )
    flags = ("tradable", "cancel_only", "limit_only", "post_only")
    values = {name: decimal_text(getattr(row, name)) for name in numbers}
    values |= {name: "true" if getattr(row, name) else "false" for name in flags}
    return Fact(values=values, as_of=row.fetched_at)


def _quote(g: Gathering, spec: FactSpec) -> Fact | None:
    quote = g.quote(spec.scope)
    if quote is None:
        return None
    values = {
        "bid": decimal_text(quote.bid),
        "ask": decimal_text(quote.ask),
        "occurred_at": instant_text(quote.occurred_at),
    }
    return Fact(values=values, as_of=quote.received_at)


def _balances(g: Gathering, spec: FactSpec) -> Fact | None:
    if g.balances_at is None:
        return None
    unseen = reservations.unseen_by_currency(g.orders)
    wanted = {g.ask.base_currency, g.ask.quote_currency}
    values = {}
    for currency in sorted(wanted):
        row = g.balances.get(currency)
        available = row.available if row else ZERO
        free = available - unseen.get(currency, ZERO) - max(g.recent_spending.get(currency, ZERO), ZERO)
        values[currency] = decimal_text(max(free, ZERO))
    return Fact(values=values, as_of=g.balances_at)


def _fees(g: Gathering, spec: FactSpec) -> Fact | None:
    connection = g.connection
    if connection.fee_taker is None or connection.fee_maker is None or connection.fees_as_of is None:
        return None
    values = {"taker": decimal_text(connection.fee_taker), "maker": decimal_text(connection.fee_maker)}
    return Fact(values=values, as_of=connection.fees_as_of)


def _position(g: Gathering, spec: FactSpec) -> Fact | None:
    row = g.instrument if spec.scope == g.ask.instrument else None
    if row is None or g.balances_at is None:
        return None
    buying, selling = reservations.working(g.orders, spec.scope)
    values = {
        "quantity": decimal_text(g.held(row.base_currency)),
        "working_buy": decimal_text(buying),
        # What was sold since the balances were read is in `quantity` still: it cannot be sold a second time.
        "working_sell": decimal_text(selling + g.recently_sold(spec.scope)),
        "bound_quantity": _amount(g.bound_units),
        "bound_notional": _amount(g.bound_here),
    }
    return Fact(values=values, as_of=g.balances_at)


def _gross(g: Gathering, spec: FactSpec) -> Fact | None:
    """Worth of everything else held or being bought. Unknown as soon as one part of it has no price."""
    if g.balances_at is None:
        return None
    cash = cash_currencies(g.connection.pk)
    total, oldest = ZERO, g.balances_at
    for currency in sorted({*g.balances, *g.recently_bought} - {g.ask.base_currency, *cash}):
        if not (held := g.held(currency)):
            continue
        quote = g.quote(f"{currency}-{g.ask.reporting_currency}")
        if quote is None:
            return None
        total += held * quote.mid
        oldest = min(oldest, quote.received_at)
    for order in g.orders:
        if order.instrument != g.ask.instrument and order.side is Side.BUY:
            # A buy reserves the currency its price is in.
            rate = g.rate(order.reserved.currency)
            if rate is None:
                return None
            total += order.remaining * order.worst_price * rate[0]
            oldest = min(oldest, rate[1])
    return Fact(values={"others": decimal_text(rounded_up(total)), "bound": _amount(g.bound_in_all)}, as_of=oldest)


def _amount(figure: Question[int | None]) -> str:
    """What a budget has in use, as text; nothing where there is none yet."""
    return decimal_text(from_minor(next(iter(figure.answer), None) or 0))


def _day_notional(g: Gathering, spec: FactSpec) -> Fact | None:
    return Fact(values={"notional": _amount(g.bound_on_the_day)}, as_of=g.now)


def _day_loss(g: Gathering, spec: FactSpec) -> Fact | None:
    """Realised today, plus what open lots of known cost are under water now; gains not yet taken hide no loss."""
    losses = exposure.amounts(g.losses.answer)
    as_of = g.now
    for lot in g.lots.answer:
        quote = g.quote(lot.instrument)
        if quote is None:
            return None
        if lot.average_entry_price is not None:
            under = max((lot.average_entry_price - quote.mid) * lot.quantity, ZERO)
            losses[lot.quote_currency] = losses.get(lot.quote_currency, ZERO) + under
        as_of = min(as_of, quote.received_at)
    loss = ZERO
    for currency, lost in losses.items():
        rate = g.rate(currency)
        if rate is None:
            return None
        loss += lost * rate[0]
        as_of = min(as_of, rate[1])
    values = {"loss": decimal_text(rounded_up(loss)), "latched": _flag(g.loss_latch)}
    return Fact(values=values, as_of=as_of)


def _equity(g: Gathering, spec: FactSpec) -> Fact | None:
    """Worth of the balances, and the highest it ever was; unknown without a mark or without a price of any part."""
    mark = next(iter(g.marks.answer), None)
    known = equity.known(g.connection, mark, g.balances, now=g.now) if mark is not None else None
    if known is None:
        return None
    values = {
        "equity": decimal_text(known.equity),
        "peak": decimal_text(known.peak),
        "latched": _flag(g.drawdown_latch),
    }
    return Fact(values=values, as_of=known.as_of)


def _flag(found: Question[int]) -> str:
    return "true" if any(found.answer) else "false"


def _count(g: Gathering, spec: FactSpec) -> Fact | None:
    return Fact(values={"count": str(g.counted(spec))}, as_of=g.now)


def _fx(g: Gathering, spec: FactSpec) -> Fact | None:
    """A live quote of the pair, or of the pair the other way round; none means no."""
    base, _, quoted = spec.scope.partition("/")
    rate = g.rate_between(base, quoted)
    return None if rate is None else Fact(values={"rate": decimal_text(rate[0])}, as_of=rate[1])


_ANSWERS: Final[Mapping[FactKind, Callable[[Gathering, FactSpec], Fact | None]]] = {
    FactKind.TRADING_STATE: _trading_state,
    FactKind.INSTRUMENT: _instrument,
    FactKind.QUOTE: _quote,
    FactKind.BALANCES: _balances,
    FactKind.FEES: _fees,
    FactKind.POSITION: _position,
    FactKind.GROSS: _gross,
    FactKind.DAY_NOTIONAL: _day_notional,
    FactKind.DAY_LOSS: _day_loss,
    FactKind.EQUITY: _equity,
    FactKind.ORDER_RATE: _count,
    FactKind.DUPLICATES: _count,
    FactKind.FX: _fx,
    FactKind.SIMILAR_LOSSES: similar_losses,
}
