"""Order by order and fill by fill: ours beside the venue's."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

from apps.common import fault_places as places
from apps.common import faults
from apps.common.decimals import decimal_text
from apps.common.errors import NotFound
from apps.common.money import product, total
from apps.connectors.selectors import same_account
from apps.connectors.services import venue
from apps.connectors.types import TradeType, VenueFill, VenueOrder
from apps.trades.models import Fill, Order, ReconciliationRun
from apps.trades.selectors import comparing as rows
from apps.trades.services import attaching, differences, fills, run_leases
from apps.trades.services.reconciliation.reading import Clock, Seen
from apps.trades.types import WORKING_STATES, DifferenceKind, OrderState

if TYPE_CHECKING:
    from apps.connectors.models import Connection

# What is younger than this is still being told by the ordinary ways, and is booked without being a difference.
RECENT: Final = timedelta(seconds=10)
# A venue may not know an order it took for some moments.
MISSING_AFTER: Final = timedelta(seconds=60)
# What a venue may round away in a sum of fees: so much of the quote currency, or so much of what was traded.
FEES_ROUNDED: Final = Decimal("0.00000001")
FEES_ROUNDED_SHARE: Final = Decimal("0.000001")
# Every name of ours is a UUID of version 5; people's apps and other programs use version 4 or no UUID.
OUR_NAMES_VERSION: Final = 5

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference, in words."""

    kind: DifferenceKind
    subject: str
    ours: str
    theirs: str
    done: str
    order_id: UUID | None = None


@dataclass(kw_only=True)
class Comparison:
    """One pass over a connection. Without a `run` it is a rehearsal: it looks, and writes nothing."""

    connection: "Connection"
    seen: Seen
    clock: Clock
    run: ReconciliationRun | None
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    # Of an order here the venue counts more than its list of fills shows yet: balances cannot be explained now.
    fills_lag: bool = False

    @property
    def writes(self) -> bool:
        return self.run is not None

    def stay(self) -> None:
        """Hold the connection for another step. Raises Conflict RUN_TAKEN_OVER."""
        run_leases.renew(self.run, now=self.clock())

    def keep(self, finding: Finding) -> None:
        """Note a difference; one that a person has explained before is none any more."""
        if rows.explained(self.connection.pk, finding.kind, finding.subject):
            return
        self.findings.append(finding)
        if self.run is not None:
            differences.keep(
                connection_id=self.connection.pk,
                kind=finding.kind,
                subject=finding.subject,
                ours=finding.ours,
                theirs=finding.theirs,
                done=finding.done,
                order_id=finding.order_id,
                run=self.run,
                now=self.clock(),
            )


def compare(comparison: Comparison) -> None:
    """Everything listed, then what works here and is not listed, then fills of orders of an earlier time."""
    seen = comparison.seen
    comparison.counts["orders"] = len(seen.orders)
    comparison.counts["fills"] = len(seen.fills)
    mine = rows.orders_named(
        client_order_ids=[found for row in seen.orders.values() if (found := uuid_of(row.client_order_id))],
        venue_order_ids=list(seen.orders),
        connection_id=comparison.connection.pk,
    )
    done: set[UUID] = set()
    news, doubted = _orders_with_news(comparison), rows.doubted_fills()
    for told in seen.orders.values():
        order = mine.get(told.client_order_id) or mine.get(told.venue_order_id)
        if order is None:
            _foreign(comparison, told)
        elif order.connection_id == comparison.connection.pk:
            done.add(order.pk)
            comparison.counts["own orders"] += 1
            if told.venue_order_id in news or str(order.pk) in doubted or not _ended_alike(order, told):
                _own(comparison, order, told)
    for order in rows.working_orders(comparison.connection.pk):
        if order.pk not in done:
            done.add(order.pk)
            _read_own(comparison, order)
    _left_fills(comparison, done)


def _orders_with_news(comparison: Comparison) -> set[str]:
    """The venue's ids of the orders that have a fill in the window which is not in the books of the connection."""
    known = rows.known_fills(list(comparison.seen.fills), [comparison.connection.pk])
    return {row.venue_order_id for row in comparison.seen.fills.values() if row.venue_fill_id not in known}


def _ended_alike(order: Order, told: VenueOrder) -> bool:
    """Whether it has ended here as the venue says, filled as far. Most of a window has: nothing is to book."""
    return (
        told.state.is_final
        and order.state == told.state.value
        and order.venue_order_id == told.venue_order_id
        and order.filled_quantity == told.filled_quantity
        and not _fees_differ(order.fees, told)
        and not attaching.differing(order, told)
    )


def uuid_of(text: str) -> UUID | None:
    """The text as a UUID; None where it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def is_our_name(client_order_id: str) -> bool:
    """Whether only this system (or a copy of it) would have given an order this name."""
    name = uuid_of(client_order_id)
    return name is not None and name.version == OUR_NAMES_VERSION


def _foreign(comparison: Comparison, told: VenueOrder) -> None:
    if is_our_name(told.client_order_id):
        comparison.keep(
            Finding(
                kind=DifferenceKind.DATABASE_BEHIND,
                subject=told.venue_order_id,
                ours="No order of this name.",
                theirs=f"{attaching.in_words(told)}, named {told.client_order_id}.",
                done="Nothing was booked. Trading is halted there: rows were lost, or two systems share the account.",
            )
        )
        return
    comparison.keep(
        Finding(
            kind=DifferenceKind.ORDER_FOREIGN,
            subject=told.venue_order_id,
            ours="Not asked for here.",
            theirs=f"{attaching.in_words(told)}.",
            done="Nothing was booked: it is somebody else's, and uses the same money.",
        )
    )


def _read_own(comparison: Comparison, order: Order) -> None:
    """An order of an earlier time that still works here: asked for by the venue's id."""
    comparison.stay()
    connector = venue.connect(comparison.connection)
    try:
        with faults.call(places.READ_ORDER):
            told = connector.order(order.venue_order_id)
    except NotFound:
        if order.accepted_at is None or comparison.clock() - order.accepted_at > MISSING_AFTER:
            comparison.keep(
                Finding(
                    kind=DifferenceKind.ORDER_MISSING,
                    subject=order.venue_order_id,
                    ours=f"{order.get_state_display()}.",
                    theirs="The venue does not know it.",
                    done="Left as it is: that it is not shown proves nothing.",
                    order_id=order.pk,
                )
            )
        return
    comparison.counts["own orders"] += 1
    _own(comparison, order, told)


def _own(comparison: Comparison, order: Order, told: VenueOrder) -> None:
    now = comparison.clock()
    if order.state == OrderState.SUBMITTED and order.lease_until is not None and order.lease_until > now:
        return  # its own worker is just being answered
    if found := attaching.differing(order, told):
        theirs = f"{attaching.in_words(told)} differs in {', '.join(sorted(found))}."
        finding = Finding(
            kind=DifferenceKind.ORDER_DIFFERS,
            subject=str(order.client_order_id),
            ours="As approved.",
            theirs=theirs,
            done="Nothing of it was booked. Trading on the connection is halted.",
            order_id=order.pk,
        )
        comparison.keep(finding)
        return
    booked = rows.booked_fills(order.pk)
    listed = _fills_of(comparison, told, booked)
    fresh = [row for row in listed if row.venue_fill_id not in booked]
    after = total_filled(booked.values(), fresh)
    comparison.fills_lag |= after < told.filled_quantity
    before, word = order.state, order.get_state_display()
    attached = not order.venue_order_id
    if comparison.writes:
        fills.book(order_id=order.pk, told=told, fills=listed, now=now, run=comparison.run)
        state = Order.objects.values_list("state", flat=True).get(pk=order.pk)
    else:
        state = OrderState(told.state.value) if told.state.is_final and after >= told.filled_quantity else before
    _note_attached(comparison, order, told, word, attached=attached)
    if state != before and before in WORKING_STATES and not _is_recent(told, now):
        comparison.keep(
            Finding(
                kind=DifferenceKind.ORDER_STATE,
                subject=str(order.pk),
                ours=f"{word}.",
                theirs=f"{attaching.in_words(told)}.",
                done=f"Taken over: {str(state).replace('_', ' ').lower()}.",
                order_id=order.pk,
            )
        )
    for row in fresh:
        _note_fill(comparison, order, row, now)
    paid = total(row.fee for row in booked.values()) + total(_signed(row.fee, row) for row in fresh)
    if after == told.filled_quantity and _fees_differ(paid, told) and not _is_recent(told, now):
        _note_fees(comparison, order, told, paid)


def _note_attached(comparison: Comparison, order: Order, told: VenueOrder, word: str, *, attached: bool) -> None:
    """What `attaching` has kept already, or would keep, belongs to this pass too."""
    if not attached:
        return
    if order.state == OrderState.INITIALIZED:
        kind = DifferenceKind.DATABASE_BEHIND
    elif order.state in {OrderState.SUBMITTED, OrderState.UNKNOWN}:
        kind = DifferenceKind.ORDER_FOUND
    else:
        kind = DifferenceKind.ORDER_LATE
    comparison.findings.append(
        Finding(
            kind=kind,
            subject=told.venue_order_id,
            ours=f"{word}.",
            theirs=f"{attaching.in_words(told)}.",
            done=kind.sentence,
            order_id=order.pk,
        )
    )


def _note_fill(comparison: Comparison, order: Order, row: VenueFill, now: datetime) -> None:
    comparison.counts["fills booked"] += 1
    if now - row.occurred_at <= RECENT:
        return
    comparison.keep(
        Finding(
            kind=DifferenceKind.FILL_MISSED,
            subject=row.venue_fill_id,
            ours="Not in the books.",
            theirs=f"{row.side.value} {decimal_text(row.quantity)} {row.instrument} at {decimal_text(row.price)}.",
            done="Booked.",
            order_id=order.pk,
        )
    )


def _fees_differ(paid: Decimal, told: VenueOrder) -> bool:
    """Whether the venue counts other fees for an order than its fills do, in quote currency, beyond rounding."""
    return abs(paid - told.total_fees) > max(FEES_ROUNDED, product(told.filled_notional, FEES_ROUNDED_SHARE))


def _note_fees(comparison: Comparison, order: Order, told: VenueOrder, paid: Decimal) -> None:
    comparison.keep(
        Finding(
            kind=DifferenceKind.ORDER_FEES,
            subject=told.venue_order_id,
            ours=f"Fees of {decimal_text(paid)} on the fills in the books.",
            theirs=f"{attaching.in_words(told)}, at fees of {decimal_text(told.total_fees)}.",
            done="Nothing was booked: fees are those of the fills. The realised result may be off by what differs.",
            order_id=order.pk,
        )
    )


def _fills_of(comparison: Comparison, told: VenueOrder, booked: dict[str, Fill]) -> list[VenueFill]:
    """The order's fills: those of the window, or all of them where these do not add up to what the venue counts."""
    listed = [row for row in comparison.seen.fills.values() if row.venue_order_id == told.venue_order_id]
    fresh = [row for row in listed if row.venue_fill_id not in booked]
    if total_filled(booked.values(), fresh) >= told.filled_quantity:
        return listed
    comparison.stay()
    connector = venue.connect(comparison.connection)
    with faults.call(places.READ_FILLS):
        return list(connector.fills(venue_order_id=told.venue_order_id))


def total_filled(booked: Iterable[Fill], fresh: Iterable[VenueFill]) -> Decimal:
    """Base quantity filled by what is booked and what is about to be."""
    return total(row.quantity for row in booked) + total(_signed(row.quantity, row) for row in fresh)


def _signed(value: Decimal, row: VenueFill) -> Decimal:
    return -value if row.trade_type is TradeType.REVERSAL else value


def _is_recent(told: VenueOrder, now: datetime) -> bool:
    return told.updated_at is not None and now - told.updated_at <= RECENT


def _left_fills(comparison: Comparison, done: set[UUID]) -> None:
    """Fills of the window whose order was created before it, or is not ours."""
    account = same_account(comparison.connection)
    known = rows.known_fills(list(comparison.seen.fills), account)
    left: dict[str, list[VenueFill]] = {}
    for row in comparison.seen.fills.values():
        if row.venue_fill_id not in known and row.venue_order_id not in comparison.seen.orders:
            left.setdefault(row.venue_order_id, []).append(row)
    for venue_order_id, told in left.items():
        order = rows.order_at_venue(venue_order_id, account)
        if order is None:
            for row in told:
                _note_foreign_fill(comparison, row)
        elif order.connection_id == comparison.connection.pk and order.pk not in done:
            _read_own(comparison, order)


def _note_foreign_fill(comparison: Comparison, row: VenueFill) -> None:
    comparison.keep(
        Finding(
            kind=DifferenceKind.FILL_FOREIGN,
            subject=row.venue_fill_id,
            ours="Of no order here.",
            theirs=f"{row.side.value} {decimal_text(row.quantity)} {row.instrument} at {decimal_text(row.price)}.",
            done="Not booked: it is somebody else's, and used the same money.",
        )
    )
