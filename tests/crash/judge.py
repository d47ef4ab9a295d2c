"""What must be true after every run, whatever stopped where. Each finding is one broken promise."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from apps.approvals.services import log_comparison
from apps.audit.models import Alarm
from apps.audit.services.verification import verify
from apps.common.money import total
from apps.trades.models import Fill, Order, Position, Proposal
from apps.trades.services import conservation
from apps.trades.types import CLOSED_ORDER_STATES, LIVE_ORDER_STATES, OrderState, ProposalState
from tests.venues.simulator_process import SimulatorProcess

DUPLICATE = "duplicate"
UNAPPROVED = "unapproved"
LOST = "lost"
UNRESOLVED = "unresolved"
RESERVATION = "reservation"
BOOKS = "books"
AUDIT = "audit"
BROKE_OFF = "broke off"
KINDS = (DUPLICATE, UNAPPROVED, LOST, UNRESOLVED, RESERVATION, BOOKS, AUDIT, BROKE_OFF)


@dataclass(frozen=True)
class Finding:
    """A promise that was broken, and what was seen."""

    kind: str
    what: str


def judge(simulator: SimulatorProcess) -> list[Finding]:
    """Every promise, against what the venue has and not against what the desk says of itself."""
    at_venue = simulator.orders()
    return [
        *_orders(at_venue, simulator),
        *_resolved(),
        *_books(at_venue),
        *_reservations(),
        *_audit(),
    ]


def _orders(at_venue: list[dict[str, object]], simulator: SimulatorProcess) -> Iterator[Finding]:
    approved = Order.objects.count()
    if len(at_venue) > approved:
        yield Finding(DUPLICATE, f"{len(at_venue)} orders at the venue for {approved} approvals")
    known = {str(order.client_order_id): order for order in Order.objects.select_related("proposal")}
    for row in at_venue:
        order = known.get(str(row["client_order_id"]))
        if order is None:
            yield Finding(UNAPPROVED, f"the venue has {row['client_order_id']}, which nobody approved")
        elif order.state in {OrderState.INITIALIZED, OrderState.REJECTED} or (
            order.state == OrderState.CANCELED and not order.venue_order_id
        ):
            yield Finding(LOST, f"the venue has an order that is {order.state} here ({order.reason_code})")
    for create in simulator.creates():
        order = known.get(str(create["client_order_id"]))
        if order is not None and order.proposal.state not in {ProposalState.APPROVED, ProposalState.VOIDED}:
            yield Finding(UNAPPROVED, f"sent for a proposal that is {order.proposal.state}")
        if int(create["bodies"]) > 1:
            yield Finding(UNAPPROVED, f"{create['bodies']} different requests under one name")


def is_alarmed(order: Order) -> bool:
    """Whether a person has been told about it."""
    return Alarm.objects.filter(subject=f"order:{order.pk}", cleared_at=None).exists()


def unresolved() -> list[Order]:
    """Orders that are not final."""
    return list(Order.objects.exclude(state__in=CLOSED_ORDER_STATES))


def nothing_waits() -> bool:
    """Whether every proposal and every order has come to its end."""
    waiting = Proposal.objects.filter(state=ProposalState.AWAITING_APPROVAL)
    return not Order.objects.exclude(state__in=CLOSED_ORDER_STATES).exists() and not waiting.exists()


def _resolved() -> Iterator[Finding]:
    for order in unresolved():
        if not is_alarmed(order):
            yield Finding(UNRESOLVED, f"an order is {order.state}, and nobody is told")
    for proposal in Proposal.objects.filter(state=ProposalState.AWAITING_APPROVAL):
        yield Finding(UNRESOLVED, f"{proposal.label} still waits")


def _books(at_venue: list[dict[str, object]]) -> Iterator[Finding]:
    filled = {str(row["order_id"]): str(row["filled_size"]) for row in at_venue}
    for order in Order.objects.filter(state__in=[OrderState.FILLED, OrderState.CANCELED]).exclude(venue_order_id=""):
        booked = total(fill.quantity for fill in Fill.objects.filter(order=order))
        told = Decimal(filled.get(order.venue_order_id, "0"))
        if not booked == order.filled_quantity == told:
            yield Finding(BOOKS, f"{booked} booked, {told} filled at the venue")
    for position in Position.objects.all():
        held = total(fill.quantity if fill.side == "BUY" else -fill.quantity for fill in Fill.objects.all())
        if position.quantity != held:
            yield Finding(BOOKS, f"a position of {position.quantity} on fills of {held}")


def _reservations() -> Iterator[Finding]:
    for order in Order.objects.filter(state__in=LIVE_ORDER_STATES):
        if not order.reserved_amount > 0:
            yield Finding(RESERVATION, f"an order is {order.state} and binds nothing")
    for broken in conservation.check(since=None, progress=lambda done, orders: None).broken:
        yield Finding(RESERVATION, f"{broken.code} at {broken.where}: {broken.message}")


def _audit() -> Iterator[Finding]:
    report = verify()
    if report.exit_code:
        found = "; ".join(f"{item.code}: {item.message}" for item in report.findings[:3])
        yield Finding(AUDIT, found or "; ".join(report.incomplete))
    for differing in log_comparison.compare(progress=lambda done, whole: None).findings:
        yield Finding(AUDIT, str(differing))
