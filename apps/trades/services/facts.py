"""Answers to the questions policy asks. A question without an answer stays out of the result, and that denies."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from datetime import timedelta as span
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db.models import Q

from apps.common.decimals import decimal_text, instant_text
from apps.common.money import minor_up
from apps.connectors.selectors import balances_of, cash_currencies, instruments_of
from apps.connectors.types import Balance, Quote, Side
from apps.policies.selectors import trading_state
from apps.policies.types import Ask, Fact, FactKind, Facts, FactSpec
from apps.quotes.services import quotes
from apps.trades.rules import reservations
from apps.trades.rules.reservations import OpenOrder
from apps.trades.selectors import exposure
from apps.trades.types import Terms

if TYPE_CHECKING:
    from apps.connectors.models import Connection, Instrument
    from apps.trades.models import Fill

ZERO: Final = Decimal(0)


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


def day_start(now: datetime) -> datetime:
    """The beginning of the UTC day of `now`."""
    return datetime.combine(now.astimezone(UTC).date(), time(), tzinfo=UTC)


@dataclass(kw_only=True)
class Gathering:
    """One pass over what is known about a connection; each source is read at most once.

    `asked_at` is when the proposal was made (now, for a new one): rates and duplicates are counted up to there, so that
    a proposal is never held against itself. `proposal_id` keeps its own order out of what is reserved.
    """

    connection: "Connection"
    ask: Ask
    now: datetime
    asked_at: datetime
    proposal_id: UUID | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def balances(self) -> Mapping[str, Balance]:
        return balances_of(self.connection)

    @property
    def balances_at(self) -> datetime | None:
        return self.connection.balances_as_of

    @cached_property
    def orders(self) -> list[OpenOrder]:
        return exposure.open_orders(self.connection.pk, balances_at=self.balances_at, without=self.proposal_id)

    @cached_property
    def recently_bought(self) -> dict[str, Decimal]:
        """Base quantity bought since the balances were read, by currency. Nothing is taken off for what was sold."""
        sums: dict[str, Decimal] = {}
        for fill in self.fills:
            instrument = self.instruments.get(fill.instrument)
            if fill.side == Side.BUY.value and instrument is not None:
                sums[instrument.base_currency] = sums.get(instrument.base_currency, ZERO) + fill.quantity
        return {currency: bought for currency, bought in sums.items() if bought > 0}

    def recently_sold(self, code: str) -> Decimal:
        """Base quantity of an instrument sold since the balances were read; what was bought is not taken off."""
        sold = (fill.quantity for fill in self.fills if fill.instrument == code and fill.side == Side.SELL.value)
        return max(sum(sold, ZERO), ZERO)

    @cached_property
    def recent_spending(self) -> dict[str, Decimal]:
        """What fills since the balances were read have taken, by currency: money and fees for buys, coins for sells."""
        spent: dict[str, Decimal] = {}
        for fill in self.fills:
            instrument = self.instruments.get(fill.instrument)
            if instrument is None:
                continue
            bought = fill.side == Side.BUY.value
            currency = instrument.quote_currency if bought else instrument.base_currency
            amount = fill.quantity * fill.price + fill.fee if bought else fill.quantity
            spent[currency] = spent.get(currency, ZERO) + amount
        return spent

    @cached_property
    def instruments(self) -> "Mapping[str, Instrument]":
        codes = {self.ask.instrument, *(fill.instrument for fill in self.fills)}
        return {row.code: row for row in instruments_of(self.connection.pk, codes=tuple(codes))}

    @cached_property
    def fills(self) -> "list[Fill]":
        """Fills the balances may not show yet."""
        return exposure.fills_after(self.connection.pk, self.balances_at) if self.balances_at else []

    def quote(self, code: str) -> Quote | None:
        return quotes.latest(self.connection.pk, code)

    def held(self, currency: str) -> Decimal:
        """Quantity held now: the venue's own figure, plus what was bought since it was read."""
        row = self.balances.get(currency)
        return (row.total if row else ZERO) + self.recently_bought.get(currency, ZERO)

    def rate(self, currency: str) -> tuple[Decimal, datetime] | None:
        """Reporting currency per unit of `currency`, and as of when: by a live quote of the pair, one way round or the
        other. None where there is none."""
        reporting = self.ask.reporting_currency
        return self.rate_between(currency, reporting)

    def rate_between(self, base: str, quoted: str) -> tuple[Decimal, datetime] | None:
        """`quoted` per unit of `base`, as `rate`; the worse side of the market."""
        if base == quoted:
            return Decimal(1), self.now
        direct, inverse = self.quote(f"{base}-{quoted}"), self.quote(f"{quoted}-{base}")
        if direct is not None:
            return direct.ask, direct.received_at
        if inverse is not None:
            return _shown(1 / inverse.bid), inverse.received_at
        return None


def gather(specs: Iterable[FactSpec], gathering: Gathering) -> Facts:
    """Every spec that can be answered, by its key."""
    wanted = tuple(specs)
    gathering.counts = _counts(gathering, wanted)
    facts: dict[str, Fact] = {}
    for spec in wanted:
        answer = _ANSWERS.get(spec.kind)
        fact = answer(gathering, spec) if answer else None
        if fact is not None:
            facts[spec.key] = fact
    return facts


def _counts(g: Gathering, specs: Sequence[FactSpec]) -> dict[str, int]:
    """Rates and duplicates, counted together."""
    windows = {
        spec: g.asked_at - span(seconds=spec.window_s or 0)
        for spec in specs
        if spec.kind in {FactKind.ORDER_RATE, FactKind.DUPLICATES}
    }
    if not windows:
        return {}
    questions = {
        spec.key: (_asked if spec.kind is FactKind.ORDER_RATE else _asked_alike)(g, spec, since)
        for spec, since in windows.items()
    }
    return exposure.counts(questions, since=min(windows.values()), until=g.asked_at)


def _trading_state(g: Gathering, spec: FactSpec) -> Fact | None:
    return Fact(values={"state": str(trading_state(g.connection.pk))}, as_of=g.now)


def _instrument(g: Gathering, spec: FactSpec) -> Fact | None:
    row = g.instruments.get(spec.scope)
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
    row = g.instruments.get(spec.scope)
    if row is None or g.balances_at is None:
        return None
    buying, selling = reservations.working(g.orders, spec.scope)
    values = {
        "quantity": decimal_text(g.held(row.base_currency)),
        "working_buy": decimal_text(buying),
        # What was sold since the balances were read is in `quantity` still: it cannot be sold a second time.
        "working_sell": decimal_text(selling + g.recently_sold(spec.scope)),
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
    return Fact(values={"others": decimal_text(_shown(total))}, as_of=oldest)


def _day_notional(g: Gathering, spec: FactSpec) -> Fact | None:
    total = exposure.notional_approved_on(g.connection.pk, day_start(g.now), without=g.proposal_id)
    return Fact(values={"notional": decimal_text(total)}, as_of=g.now)


def _day_loss(g: Gathering, spec: FactSpec) -> Fact | None:
    """Realised today, plus what open lots of known cost are under water now; gains not yet taken hide no loss."""
    losses = exposure.realized_loss_since(g.connection.pk, day_start(g.now))
    as_of = g.now
    for lot in exposure.lots(g.connection.pk):
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
    latched = exposure.loss_latched(g.connection.pk, g.now.astimezone(UTC).date())
    values = {"loss": decimal_text(_shown(loss)), "latched": "true" if latched else "false"}
    return Fact(values=values, as_of=as_of)


def _count(g: Gathering, spec: FactSpec) -> Fact | None:
    count = g.counts.get(spec.key)
    return None if count is None else Fact(values={"count": str(count)}, as_of=g.now)


def _asked(g: Gathering, spec: FactSpec, since: datetime) -> Q:
    what, _, which = spec.scope.partition(":")
    if what == "proposer":
        return exposure.asked_by(since, g.asked_at, proposer_id=UUID(which))
    return exposure.asked_by(since, g.asked_at, connection_id=UUID(which))


def _asked_alike(g: Gathering, spec: FactSpec, since: datetime) -> Q:
    ask = g.ask
    terms_like: dict[str, object] = {"instrument": ask.instrument, "side": ask.side, "order_type": ask.order_type}
    for name in ("quantity", "quote_quantity", "limit_price", "stop_price"):
        value = getattr(ask, name)
        terms_like[f"{name}__isnull" if value is None else name] = True if value is None else value
    return exposure.same_asked(
        since, g.asked_at, connection_id=g.connection.pk, proposer_id=UUID(ask.proposer), terms_like=terms_like
    )


def _fx(g: Gathering, spec: FactSpec) -> Fact | None:
    """A live quote of the pair, or of the pair the other way round; none means no."""
    base, _, quoted = spec.scope.partition("/")
    rate = g.rate_between(base, quoted)
    return None if rate is None else Fact(values={"rate": decimal_text(rate[0])}, as_of=rate[1])


def _shown(amount: Decimal) -> Decimal:
    """Rounded up to 1e-8: a derived amount is compared with limits at that step, and never to the asker's favour."""
    return Decimal(minor_up(amount)).scaleb(-8)


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
    FactKind.ORDER_RATE: _count,
    FactKind.DUPLICATES: _count,
    FactKind.FX: _fx,
}
