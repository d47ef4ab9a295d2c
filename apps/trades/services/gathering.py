"""One pass over what is known about a connection, read together: what `facts` answers from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from datetime import timedelta as span
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from apps.common.money import minor_up
from apps.common.statements import Question, Together
from apps.connectors.selectors import balances_question, instrument_question, instruments_of, market_of
from apps.connectors.types import Balance, Candle, InstrumentSpec, Quote, Side
from apps.lessons.rules.detecting.market import LOSS_WINDOW
from apps.lessons.selectors.evidence import closed_question
from apps.lessons.selectors.recalled import any_case
from apps.lessons.selectors.recent import last_loss_question
from apps.lessons.types import Evidence, Plan
from apps.policies.rules.budgets import Dimension
from apps.policies.selectors import in_use, trading_states_question, tripped_question
from apps.policies.types import Ask, FactKind, FactSpec, LatchKind, VersionRules
from apps.quotes.selectors.candles import closed_hours_question
from apps.quotes.services.quotes import latest
from apps.quotes.types import is_stale
from apps.trades.rules.reservations import OpenOrder
from apps.trades.selectors import equity, exposure
from apps.trades.selectors.usual import Approved, approved_question, notionals_since

if TYPE_CHECKING:
    from apps.connectors.models import Connection
    from apps.trades.services.lesson_facts import Known

ZERO: Final = Decimal(0)
# How far back a proposal is held against candles, and against what was usual.
CANDLES_BACK: Final = span(days=7)
USUAL_BACK: Final = span(days=90)
DAY_S: Final = 86_400


def day_start(now: datetime) -> datetime:
    """The beginning of the UTC day of `now`."""
    return datetime.combine(now.astimezone(UTC).date(), time(), tzinfo=UTC)


# What each kind of fact is read from: names of Gathering's questions.
_SOURCES: Final[Mapping[FactKind, tuple[str, ...]]] = {
    FactKind.TRADING_STATE: ("trading_states",),
    FactKind.INSTRUMENT: ("own_instrument",),
    FactKind.BALANCES: ("balance_rows", "open_rows", "fill_rows"),
    FactKind.POSITION: ("own_instrument", "balance_rows", "open_rows", "fill_rows", "bound_here", "bound_units"),
    FactKind.GROSS: ("balance_rows", "open_rows", "fill_rows", "bound_in_all"),
    FactKind.DAY_NOTIONAL: ("bound_on_the_day",),
    FactKind.DAY_LOSS: ("losses", "lots", "loss_latch"),
    FactKind.EQUITY: ("balance_rows", "marks", "drawdown_latch"),
}
# What a new proposal is compared with, for its own facts.
_OF_LESSONS: Final = ("hours", "newest_approved", "last_loss", "lots", "any_case")


class Moment:
    """What is read once for all that is judged together, and what was judged before in it and no row tells of yet.

    Made anew as soon as anything was stored that later ones must see.
    """

    def __init__(self) -> None:
        self.together = Together()
        self.evidence: dict[tuple[object, ...], Evidence] = {}
        self._earlier: list[tuple[Ask, bool]] = []

    def add(self, asked: Ask, *, denied: bool) -> None:
        """One more that was judged, and will be stored."""
        self._earlier.append((asked, denied))

    def made(self) -> int:
        """How many were judged before, all by one proposer on one connection."""
        return len(self._earlier)

    def alike(self, asked: Ask) -> int:
        """How many of them asked for the very same and were not denied."""
        return sum(not denied and _wants(earlier) == _wants(asked) for earlier, denied in self._earlier)


def _wants(asked: Ask) -> tuple[object, ...]:
    """What makes two the very same: as `exposure.asked_alike` compares rows."""
    return (
        *(asked.instrument, asked.side, asked.order_type, asked.quantity, asked.quote_quantity),
        *(asked.limit_price, asked.stop_price),
    )


@dataclass(kw_only=True)
class Gathering:
    """What is known of a connection, each source read at most once.

    `asked_at` is when the proposal was made (now, for a new one): rates and duplicates are counted up to there, so that
    a proposal is never held against itself. `proposal_id` keeps its own order out of what is reserved, `order_id` what
    that order holds of the budgets. `quotes` and `instrument_rows` are what was read already. `for_lessons` also reads
    what the facts of a new proposal are made of; `plan` and `version` are for these. `moment` is shared with what is
    judged together with it. `detected` is what `lesson_facts.at_proposal` found in it.
    """

    connection: "Connection"
    ask: Ask
    now: datetime
    asked_at: datetime
    proposal_id: UUID | None = None
    order_id: UUID | None = None
    quotes: Mapping[str, Quote] = field(default_factory=dict)
    instrument_rows: Question[InstrumentSpec] | None = None
    counts: dict[str, Question[int]] = field(default_factory=dict)
    closed_cases: dict[str, Question[tuple[str, str, int]]] = field(default_factory=dict)
    for_lessons: bool = False
    plan: Plan = Plan()
    version: VersionRules | None = None
    moment: Moment = field(default_factory=Moment)
    detected: "Known | None" = None

    def read(self, specs: Sequence[FactSpec]) -> None:
        """Put every question of these specs to the database at once."""
        self.moment.together.ask(*self.questions(specs))

    def questions(self, specs: Sequence[FactSpec]) -> list[Question[Any]]:
        """What these specs ask of the database and nobody has answered here."""
        for spec in specs:
            if spec.kind in {FactKind.ORDER_RATE, FactKind.DUPLICATES}:
                self.counts.setdefault(spec.key, self._count(spec))
            elif spec.kind is FactKind.SIMILAR_LOSSES:
                self.closed_cases.setdefault(spec.key, self._closed(spec))
        names = dict.fromkeys(name for spec in specs for name in _SOURCES.get(spec.kind, ()))
        compares = self.proposal_id is None and any(spec.kind is FactKind.SIMILAR_LOSSES for spec in specs)
        if self.for_lessons or compares:
            names |= dict.fromkeys(_OF_LESSONS)
        questions: list[Question[Any] | None] = [getattr(self, name) for name in names]
        counts: tuple[Question[Any], ...] = (*self.counts.values(), *self.closed_cases.values())
        return [one for one in (*questions, *counts) if one is not None and not one.is_answered]

    @cached_property
    def trading_states(self) -> Question[tuple[str, str]]:
        return trading_states_question(self.connection.pk)

    @cached_property
    def own_instrument(self) -> Question[InstrumentSpec]:
        return self.instrument_rows or instrument_question(self.connection.pk, self.ask.instrument)

    @cached_property
    def balance_rows(self) -> Question[Balance]:
        return balances_question(self.connection.pk)

    @cached_property
    def open_rows(self) -> Question[exposure.OpenRow]:
        return exposure.open_rows(self.connection.pk)

    @cached_property
    def fill_rows(self) -> Question[exposure.RecentFill] | None:
        return exposure.fills_after(self.connection.pk, self.balances_at) if self.balances_at else None

    @cached_property
    def bound_on_the_day(self) -> Question[int | None]:
        return self._in_use(Dimension.DAILY_NOTIONAL)

    @cached_property
    def bound_in_all(self) -> Question[int | None]:
        return self._in_use(Dimension.GROSS_EXPOSURE)

    @cached_property
    def bound_here(self) -> Question[int | None]:
        return self._in_use(Dimension.POSITION)

    @cached_property
    def bound_units(self) -> Question[int | None]:
        return self._in_use(Dimension.POSITION_QUANTITY)

    @cached_property
    def losses(self) -> Question[tuple[str, int]]:
        return exposure.realized_loss_since(self.connection.pk, day_start(self.now))

    @cached_property
    def lots(self) -> Question[exposure.Lot]:
        return exposure.lots(self.connection.pk)

    @cached_property
    def loss_latch(self) -> Question[int]:
        return tripped_question(self.connection.pk, LatchKind.DAILY_LOSS)

    @cached_property
    def drawdown_latch(self) -> Question[int]:
        return tripped_question(self.connection.pk, LatchKind.DRAWDOWN)

    @cached_property
    def marks(self) -> Question[equity.Mark]:
        return equity.mark_question(self.connection.pk)

    @cached_property
    def hours(self) -> Question[Candle]:
        return closed_hours_question(
            market_of(self.connection), self.ask.instrument, span=CANDLES_BACK, until=self.asked_at
        )

    @cached_property
    def newest_approved(self) -> Question[Approved]:
        return approved_question(self.connection.pk, until=self.asked_at)

    @cached_property
    def last_loss(self) -> Question[datetime]:
        return last_loss_question(self.connection.desk_id, since=self.asked_at - LOSS_WINDOW, until=self.asked_at)

    @cached_property
    def any_case(self) -> Question[bool]:
        return any_case(self.connection.desk_id)

    def _count(self, spec: FactSpec) -> Question[int]:
        asked, since = self.ask, self.asked_at - span(seconds=spec.window_s or 0)
        if spec.kind is FactKind.DUPLICATES:
            return exposure.asked_alike(
                connection_id=self.connection.pk,
                proposer_id=UUID(asked.proposer),
                since=since,
                until=self.asked_at,
                instrument=asked.instrument,
                side=asked.side,
                order_type=asked.order_type,
                quantity=asked.quantity,
                quote_quantity=asked.quote_quantity,
                limit_price=asked.limit_price,
                stop_price=asked.stop_price,
            )
        what, _, which = spec.scope.partition(":")
        if what == "proposer":
            return exposure.asked_by(UUID(which), since=since, until=self.asked_at)
        return exposure.asked_on(UUID(which), since=since, until=self.asked_at)

    @property
    def remembered_at(self) -> datetime:
        """Up to when closed trades are looked at: when a new proposal was asked, now for a stored one."""
        return self.asked_at if self.proposal_id is None else self.now

    def _closed(self, spec: FactSpec) -> Question[tuple[str, str, int]]:
        days = (spec.window_s or 0) // DAY_S
        return closed_question(self.connection.desk_id, window_days=days, now=self.remembered_at)

    def counted(self, spec: FactSpec) -> int:
        """What a count comes to, with what was judged before it in its moment."""
        (count,) = self.counts[spec.key].answer
        return count + (self.moment.alike(self.ask) if spec.kind is FactKind.DUPLICATES else self.moment.made())

    def _in_use(self, dimension: Dimension) -> Question[int | None]:
        return in_use(
            dimension,
            connection_id=self.connection.pk,
            instrument=self.ask.instrument,
            reporting_currency=self.ask.reporting_currency,
            base_currency=self.ask.base_currency,
            now=self.now,
            without=str(self.order_id) if self.order_id else "",
        )

    @property
    def balances_at(self) -> datetime | None:
        return self.connection.balances_as_of

    @property
    def usual_notionals(self) -> list[Decimal]:
        """Of what was approved here lately, newest first; reporting currency."""
        return notionals_since(self.newest_approved.answer, self.asked_at - USUAL_BACK)

    @cached_property
    def balances(self) -> Mapping[str, Balance]:
        return {row.currency: row for row in self.balance_rows.answer}

    @cached_property
    def orders(self) -> list[OpenOrder]:
        return exposure.open_orders(self.open_rows.answer, balances_at=self.balances_at, without=self.proposal_id)

    @cached_property
    def fills(self) -> list[exposure.RecentFill]:
        """Fills the balances may not show yet."""
        return self.fill_rows.answer if self.fill_rows is not None else []

    @cached_property
    def recently_bought(self) -> dict[str, Decimal]:
        """Base quantity bought since the balances were read, by currency. Nothing is taken off for what was sold."""
        sums: dict[str, Decimal] = {}
        for fill in self.fills:
            currencies = self.currencies.get(fill.instrument)
            if fill.side == Side.BUY.value and currencies is not None:
                sums[currencies[0]] = sums.get(currencies[0], ZERO) + fill.quantity
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
            currencies = self.currencies.get(fill.instrument)
            if currencies is None:
                continue
            base, quoted = currencies
            bought = fill.side == Side.BUY.value
            currency = quoted if bought else base
            amount = fill.quantity * fill.price + fill.fee if bought else fill.quantity
            spent[currency] = spent.get(currency, ZERO) + amount
        return spent

    @cached_property
    def instrument(self) -> InstrumentSpec | None:
        """The instrument of the ask as last read; None where the venue never listed it."""
        return next(iter(self.own_instrument.answer), None)

    @cached_property
    def currencies(self) -> Mapping[str, tuple[str, str]]:
        """Base and quote currency of the instruments that recent fills are in."""
        traded = {fill.instrument for fill in self.fills}
        # Most fills are in the instrument that is asked about, which is read by now.
        known = [self.instrument] if self.own_instrument.is_answered and self.instrument else []
        codes = tuple(traded - {one.code for one in known})
        rows = [*known, *(instruments_of(self.connection.pk, codes=codes) if codes else ())]
        return {row.code: (row.base_currency, row.quote_currency) for row in rows if row.code in traded}

    def quote(self, code: str) -> Quote | None:
        """The price that was heard last; a stale one is none."""
        found = self.quotes.get(code) or latest(self.connection.pk, code)
        return None if found is None or is_stale(found.received_at, self.now) else found

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
            return rounded_up(1 / inverse.bid), inverse.received_at
        return None


def rounded_up(amount: Decimal) -> Decimal:
    """Up to 1e-8: a derived amount is compared with limits at that step, and never to the asker's favour."""
    return Decimal(minor_up(amount)).scaleb(-8)
