"""The page of somebody who watches, ready to be written out. Figures come from trades; what moves, moves in the page.

Prices of one market are the same for every connection to it: they are drawn and asked for once, over the connection
that stands for the market. `key` is that connection's slug and the instrument: `coinbase-paper|BTC-USD`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.urls import reverse

from apps.accounts.types import Principal
from apps.approvals.selectors.waiting import WaitingLine, waiting_lines
from apps.audit.selectors import open_alarms
from apps.common import words
from apps.common.money import total
from apps.connectors.selectors import connections_for, instruments_of, market_of
from apps.dashboard.watch_lines import (
    AlarmItem,
    BoardRow,
    ConnectionLine,
    EquityLine,
    Mark,
    OrderLine,
    OutcomeLine,
    PositionLine,
    equity_line,
    marks_of,
    order_line,
    outcome_line,
)
from apps.policies.selectors import active_version, open_latches, states_in_force
from apps.policies.types import LatchKind, RuleKind
from apps.trades.rules.equity_curve import Point
from apps.trades.selectors import watching
from apps.trades.selectors.equity_curve import equity_curve
from apps.trades.selectors.wealth import Account, Wealth, accounts_of, counted_together, wealth_of

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.connectors.models import Connection
    from apps.trades.models import Position

BOARD_MAX: Final = 12
WATCHED_MAX: Final = 40
ORDERS_MAX: Final = 8
OUTCOMES_MAX: Final = 5
WAITING_MAX: Final = 5
ALARMS_MAX: Final = 3
MARKS_BACK: Final = timedelta(days=30)
ORDERS_BACK: Final = timedelta(days=30)
ASKED_BACK: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchPage:
    """Everything that stands on the page but prices and candles. `chosen` is the row of the board whose chart is
    drawn; `has_both` says that paper and live stand side by side, so that each line names its own."""

    now: datetime
    connections: tuple[ConnectionLine, ...]
    has_both: bool
    board: tuple[BoardRow, ...]
    chosen: BoardRow | None
    positions: tuple[PositionLine, ...]
    currency: str
    realised: Decimal
    realised_note: str
    wealth: Wealth | None
    equity: EquityLine | None
    waiting: tuple[WaitingLine, ...]
    waiting_keys: dict[UUID, str]
    more_waiting: int
    orders: tuple[OrderLine, ...]
    outcomes: tuple[OutcomeLine, ...]
    marks: tuple[Mark, ...]
    alarms: tuple[AlarmItem, ...]
    is_staff: bool

    @property
    def open_positions(self) -> int:
        """How many are not flat and count in the reporting currency."""
        return sum(line.is_open and line.quote_currency == self.currency for line in self.positions)

    @property
    def stopped(self) -> str:
        """`Trading is HALTED.`, or which connections are not ACTIVE; empty where all are."""
        worse = [line for line in self.connections if line.is_active and line.state != "ACTIVE"]
        if not worse:
            return ""
        active = [line for line in self.connections if line.is_active]
        if len(worse) == len(active) and len({line.state for line in worse}) == 1:
            return f"Trading is {worse[0].state}."
        return f"{words.listed([f'{line.name} is {line.state}' for line in worse])}."

    @property
    def is_halted(self) -> bool:
        """Whether one of them is HALTED, and not only REDUCING."""
        return any(line.is_active and line.state == "HALTED" for line in self.connections)

    @property
    def waiting_total(self) -> int:
        return len(self.waiting) + self.more_waiting

    @property
    def waiting_shown(self) -> list[tuple[WaitingLine, str]]:
        """Each waiting line with the key of its price."""
        return [(line, self.waiting_keys[line.id]) for line in self.waiting]


class _Desk:
    """The connections a person sees, and which of them stands for its market."""

    def __init__(self, person: "User") -> None:
        principal = Principal(user_id=person.pk, api_key_id=None, name=person.shown_name)
        self.rows = list(connections_for(principal).order_by("-is_active", "slug").distinct())
        self.ids = [row.pk for row in self.rows]
        self.by_id = {row.pk: row for row in self.rows}
        self._first: dict[str, Connection] = {}
        for row in self.rows:
            self._first.setdefault(market_of(row), row)

    def key(self, connection_id: UUID, instrument: str) -> str:
        return f"{self.stand_in(connection_id).slug}|{instrument}"

    def stand_in(self, connection_id: UUID) -> "Connection":
        return self._first[market_of(self.by_id[connection_id])]

    @property
    def markets(self) -> "list[Connection]":
        return [row for row in self._first.values() if row.is_active]

    def of_market(self, slug: str) -> list[UUID]:
        """The connections to the market for which this one stands."""
        return [row.pk for row in self.rows if self.stand_in(row.pk).slug == slug]


def watch_page(person: "User", *, chosen: str, now: datetime) -> WatchPage:
    """The page for this person at `now`; `chosen` is the key whose chart is drawn, the first of the board if it names
    none that is there."""
    desk = _Desk(person)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    held = watching.held(desk.ids, since=day)
    orders = watching.recent_orders(desk.ids, since=now - ORDERS_BACK, limit=ORDERS_MAX)
    lines = [line for line in waiting_lines(viewer=person, now=now) if line.connection_id in desk.by_id]
    used = {(row.connection_id, row.instrument) for row in held if row.quantity}
    used |= {(row.connection_id, row.instrument) for row in orders if row.closed_at is None}
    used |= {(line.connection_id, line.instrument) for line in lines}
    board = _board(desk, used, now)
    row = next((row for row in board if row.key == chosen), board[0] if board else None)
    together, apart = counted_together(row for row in desk.rows if row.is_active)
    accounts = accounts_of(together)
    wealth = wealth_of(accounts, left_out=apart, now=now)
    currency = wealth.currency if wealth is not None else "USD"
    realised, note = _realised(desk, currency, day)
    environments = {row.environment for row in desk.rows}
    return WatchPage(
        now=now,
        connections=_connections(desk),
        has_both=len(environments) > 1,
        board=board,
        chosen=row,
        positions=tuple(_position(desk, position) for position in held),
        currency=currency,
        realised=realised,
        realised_note=note,
        wealth=wealth,
        equity=_equity(accounts, wealth, now),
        waiting=tuple(sorted(lines, key=lambda line: line.expires_at)[:WAITING_MAX]),
        waiting_keys={line.id: desk.key(line.connection_id, line.instrument) for line in lines},
        more_waiting=max(len(lines) - WAITING_MAX, 0),
        orders=tuple(order_line(order, desk.by_id[order.connection_id]) for order in orders),
        outcomes=tuple(
            outcome_line(outcome, desk.by_id[outcome.connection_id])
            for outcome in watching.recent_outcomes(desk.ids, limit=OUTCOMES_MAX)
        ),
        marks=_marks(desk, row, now) if row is not None else (),
        alarms=_alarms(person),
        is_staff=person.is_staff,
    )


def _equity(accounts: Sequence[Account], wealth: Wealth | None, now: datetime) -> EquityLine | None:
    """The last day, ended by what it is now where that is known."""
    points = equity_curve(accounts, now=now)
    if wealth is not None and wealth.equity is not None and points:
        points = (*points, Point(at=now, equity=wealth.equity))
    return equity_line(points)


def _board(desk: _Desk, used: set[tuple[UUID, str]], now: datetime) -> tuple[BoardRow, ...]:
    """What is held, open or waiting first; then what was asked for of late, and what policy allows."""
    wanted: dict[str, dict[str, None]] = defaultdict(dict)
    for connection_id, code in sorted(used, key=lambda pair: pair[1])[:WATCHED_MAX]:
        wanted[desk.stand_in(connection_id).slug].setdefault(code)
    room = max(BOARD_MAX - sum(map(len, wanted.values())), 0)
    others: list[tuple[str, str]] = [
        (desk.stand_in(connection_id).slug, code)
        for connection_id, code in watching.asked_codes(desk.ids, now - ASKED_BACK)
    ]
    others += [(row.slug, code) for row in desk.markets for code in _allowed(row)]
    for slug, code in others:
        if room and code not in wanted[slug]:
            wanted[slug][code] = None
            room -= 1
    found = []
    for row in desk.markets:
        codes = tuple(wanted[row.slug])
        listed = list(instruments_of(row.pk, codes=codes).order_by("code")) if codes else []
        for spec in listed or instruments_of(row.pk).filter(tradable=True).order_by("code")[:room]:
            found.append(
                BoardRow(
                    key=f"{row.slug}|{spec.code}",
                    connection=row.slug,
                    venue=row.name if len(desk.markets) > 1 else "",
                    instrument=spec.code,
                    quote_currency=spec.quote_currency,
                    places=max(-int(spec.price_increment.normalize().as_tuple().exponent), 0),
                    is_used=spec.code in {code for _, code in used},
                )
            )
    return tuple(sorted(found, key=lambda line: (not line.is_used, line.instrument, line.key)))


def _allowed(row: "Connection") -> Sequence[str]:
    version = active_version(row.pk)
    if version is None:
        return ()
    lists = [rule.params.get("instruments") for rule in version.rules if rule.kind == RuleKind.ALLOWED_INSTRUMENT]
    return [str(code) for codes in lists if isinstance(codes, list) for code in codes]


def _connections(desk: _Desk) -> tuple[ConnectionLine, ...]:
    states = states_in_force(desk.ids)
    tripped = list(open_latches())
    return tuple(
        ConnectionLine(
            slug=row.slug,
            name=row.name,
            environment=row.environment,
            is_active=row.is_active,
            state=states[row.pk],
            stands_for=desk.stand_in(row.pk).slug,
            notes=tuple(
                f"{LatchKind(latch.kind).sentence} {latch.message}".strip()
                for latch in tripped
                if latch.connection_id in (None, row.pk)
            ),
        )
        for row in desk.rows
    )


def _realised(desk: _Desk, currency: str, day: datetime) -> tuple[Decimal, str]:
    closed = watching.closed_since(desk.ids, day)
    others = [f"{words.result(row.result)} {row.currency}" for row in closed if row.currency != currency]
    unknown = sum(row.unknown for row in closed)
    notes = [f"apart from it {words.listed(others)}"] if others else []
    if unknown:
        notes.append(f"{words.count(unknown)} of unknown cost, with fees alone")
    return total(row.result for row in closed if row.currency == currency), "; ".join(notes)


def _position(desk: _Desk, row: "Position") -> PositionLine:
    connection = desk.by_id[row.connection_id]
    return PositionLine(
        key=desk.key(row.connection_id, row.instrument),
        connection=connection.name,
        environment=connection.environment,
        instrument=row.instrument,
        base_currency=row.base_currency,
        quote_currency=row.quote_currency,
        quantity=row.quantity,
        entry=row.average_entry_price,
        realised=row.realized_pnl,
    )


def _marks(desk: _Desk, row: BoardRow, now: datetime) -> tuple[Mark, ...]:
    found = watching.marks(desk.of_market(row.connection), row.instrument, since=now - MARKS_BACK, now=now)
    return marks_of(found)


def _alarms(person: "User") -> tuple[AlarmItem, ...]:
    """What nobody has acknowledged, for those who may look at alarms: these concern the whole installation."""
    if not (person.is_staff and person.has_perm("audit.view_alarm")):
        return ()
    rows = open_alarms().filter(acknowledged_at__isnull=True).order_by("-since")[:ALARMS_MAX]
    url = reverse("admin:audit_alarm_changelist") + "?cleared_at__isempty=1"
    return tuple(AlarmItem(code=row.code, message=row.message, since=row.since, url=url) for row in rows)
