"""The lines of the watching page: one dataclass for each, and how it is made from its row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from django.urls import reverse

from apps.common import words
from apps.common.decimals import decimal_text, instant_text
from apps.trades.rules.equity_curve import deepest_fall
from apps.trades.selectors.pages import short_line
from apps.trades.types import LIVE_ORDER_STATES, OrderState

if TYPE_CHECKING:
    from apps.connectors.models import Connection
    from apps.trades.models import Fill, Order, Outcome, Proposal
    from apps.trades.rules.equity_curve import Point
    from apps.trades.selectors.watching import Marks

REASON_CHARS_MAX: Final = 90
WIDE, HIGH, EDGE = Decimal(300), Decimal(124), Decimal(4)
TENTH: Final = Decimal("0.1")
SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLine:
    """A connection with the trading state in force on it and what has tripped. `stands_for` is the slug of the
    connection over which the prices of its market are heard."""

    slug: str
    name: str
    environment: str
    is_active: bool
    state: str
    stands_for: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """An instrument of the price board; prices carry `places` decimals."""

    key: str
    connection: str
    venue: str
    instrument: str
    quote_currency: str
    places: int
    is_used: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionLine:
    """What is held of an instrument over one connection, at average cost, and what closing parts of it has brought."""

    key: str
    connection: str
    environment: str
    instrument: str
    base_currency: str
    quote_currency: str
    quantity: Decimal
    entry: Decimal | None
    realised: Decimal

    @property
    def is_open(self) -> bool:
        return bool(self.quantity)

    @property
    def quantity_text(self) -> str:
        """For scripts: the exact number."""
        return decimal_text(self.quantity)

    @property
    def entry_text(self) -> str:
        """For scripts; empty where the cost is not known."""
        return "" if self.entry is None else decimal_text(self.entry)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """An order in words, and the way to its story. `reason` is the venue's own text: foreign."""

    id: str
    side: str
    what: str
    detail: str
    reason: str
    state: str
    is_live: bool
    environment: str
    at: datetime
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeLine:
    """What closing (part of) a position brought; `pnl` is None where the cost is not known."""

    id: str
    side: str
    what: str
    detail: str
    pnl: Decimal | None
    currency: str
    environment: str
    at: datetime
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something of our own on the chart. `kind`: fill, order or waiting; `price` as the chart needs it, `words` as
    people read it."""

    kind: str
    side: str
    price: str
    at: str
    label: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmItem:
    """An alarm that nobody has acknowledged."""

    code: str
    message: str
    since: datetime
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityLine:
    """The worth of everything over a day as a drawing of 300 by 124: `line` and `area` are paths, `base` is the height
    of the beginning. `fall` is the deepest fall as a fraction."""

    line: str
    area: str
    base: str
    first: Decimal
    last: Decimal
    since: datetime
    fall: Decimal

    @property
    def change(self) -> Decimal:
        return self.last - self.first


def equity_line(points: "Sequence[Point]") -> EquityLine | None:
    """None where fewer than two points are known."""
    known = [(point.at, point.equity) for point in points if point.equity is not None]
    if len(known) < 2:
        return None
    values = [value for _, value in known]
    low, high = min(values), max(values)
    begin, span = known[0][0], known[-1][0] - known[0][0]

    def height(value: Decimal) -> Decimal:
        share = (value - low) / (high - low) if high > low else Decimal("0.5")
        return (HIGH - EDGE - share * (HIGH - 2 * EDGE)).quantize(TENTH)

    def place(at: datetime) -> Decimal:
        return (Decimal((at - begin) // SECOND) / Decimal(max(span // SECOND, 1)) * WIDE).quantize(TENTH)

    line = "L".join(f"{place(at)} {height(value)}" for at, value in known)
    return EquityLine(
        line=f"M{line}",
        area=f"M0 {HIGH}L{line}L{WIDE} {HIGH}z",
        base=str(height(values[0])),
        first=values[0],
        last=values[-1],
        since=begin,
        fall=deepest_fall(points),
    )


def order_line(order: "Order", connection: "Connection") -> OrderLine:
    """The order with what is worth knowing in its state."""
    return OrderLine(
        id=str(order.pk),
        side=order.side,
        what=short_line(order.proposal).partition(" ")[2],
        detail=_detail(order),
        reason=order.reason[:REASON_CHARS_MAX] if order.state == OrderState.REJECTED else "",
        state=order.state,
        is_live=order.state in LIVE_ORDER_STATES,
        environment=connection.environment,
        at=order.closed_at or order.accepted_at or order.created_at,
        url=reverse("decide:story", args=[order.proposal_id]),
    )


def _detail(order: "Order") -> str:
    if order.state == OrderState.UNKNOWN:
        return "no answer from the venue; the money stays reserved"
    if order.average_fill_price is not None and order.filled_quantity:
        price = words.price(order.average_fill_price)
        if order.state == OrderState.FILLED:
            return f"at {price} on average"
        return f"{words.grouped(order.filled_quantity)} of {words.grouped(order.quantity)} at {price}"
    return _limit(order.proposal)


def _limit(proposal: "Proposal") -> str:
    if proposal.limit_price is None:
        return "at market"
    return f"at {'most' if proposal.side == 'BUY' else 'least'} {words.price(proposal.limit_price)} each"


def outcome_line(outcome: "Outcome", connection: "Connection") -> OutcomeLine:
    """From what to what, and what that brought after fees."""
    entry = "a cost not known" if outcome.entry_price is None else words.price(outcome.entry_price)
    return OutcomeLine(
        id=str(outcome.pk),
        side=outcome.order.side,
        what=f"{words.grouped(outcome.quantity)} {outcome.instrument}",
        detail=f"from {entry} to {words.price(outcome.exit_price)}",
        pnl=outcome.pnl,
        currency=outcome.quote_currency,
        environment=connection.environment,
        at=outcome.closed_at,
        url=reverse("decide:story", args=[outcome.order.proposal_id]),
    )


def marks_of(found: "Marks") -> tuple[Mark, ...]:
    """Fills as points, live orders and waiting proposals as lines at their limit (without one there is no line)."""
    marks = [_fill(fill) for fill in found.fills]
    marks += [
        _line("order", order.proposal, at=instant_text(order.created_at))
        for order in found.orders
        if order.proposal.limit_price is not None
    ]
    marks += [
        _line("waiting", proposal, at=instant_text(proposal.created_at))
        for proposal in found.waiting
        if proposal.limit_price is not None
    ]
    return tuple(marks)


def _fill(fill: "Fill") -> Mark:
    did = "Bought" if fill.side == "BUY" else "Sold"
    size = words.grouped(fill.quantity)
    return Mark(
        kind="fill",
        side=fill.side,
        price=decimal_text(fill.price),
        at=instant_text(fill.occurred_at),
        label=size,
        words=f"{did} {size} at {words.price(fill.price)}, {fill.occurred_at:%d %b %H:%M} UTC",
    )


def _line(kind: str, proposal: "Proposal", *, at: str) -> Mark:
    price = proposal.limit_price
    assert price is not None  # noqa: S101  both callers leave out those without a limit
    size = words.grouped(proposal.quantity) if proposal.quantity is not None else ""
    verb = proposal.side.lower()
    state = "waits for a decision" if kind == "waiting" else "works at the venue"
    return Mark(
        kind=kind,
        side=proposal.side,
        price=decimal_text(price),
        at=at,
        label=f"{verb} {size}".strip(),
        words=f"{verb.capitalize()} {size} {_limit(proposal)} {state} ({proposal.label})",
    )
