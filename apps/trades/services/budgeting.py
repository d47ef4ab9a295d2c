"""The reservation of an order follows the order: held from its approval, used by its fills, ended with it.

Everything is computed from the rows as they are, so that calling it once more, or after a crash, changes nothing.
"""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

from apps.common.errors import Misconfigured
from apps.common.money import product, total
from apps.policies.services import budgets
from apps.policies.services.budgets import Holding, Progress
from apps.trades.models import Fill, Order, Position
from apps.trades.types import LIVE_ORDER_STATES

if TYPE_CHECKING:
    from apps.trades.services.approval import Judgement

ZERO: Final = Decimal(0)


def hold(order: Order, judgement: "Judgement", *, now: datetime) -> None:
    """Reserve what an approved order can cost, inside the transaction that creates it.

    Raises BudgetExhausted where something is taken already; the caller rolls back.
    """
    if judgement.version is None:
        raise Misconfigured("APPROVED_ON_NOTHING", "An approval needs an active policy.")
    budgets.reserve(
        source=str(order.pk),
        version=judgement.version,
        ask=judgement.ask,
        evaluation=judgement.evaluation,
        now=now,
    )


def follow(*, order_id: UUID, now: datetime) -> None:
    """Bring the reservation to where its order stands now; to be called after every change of its state or its fills.

    Inside the caller's transaction, which holds the connection's lock where the order has fills. An order that is
    alive, UNKNOWN included, keeps what it may still need.
    """
    order = Order.objects.select_related("proposal").get(pk=order_id)
    fills = list(Fill.objects.filter(order=order))
    holding = None
    if fills:
        rows = Position.objects.filter(connection_id=order.connection_id, instrument=order.instrument)
        holding = holding_of(rows.first())
    budgets.settle(source=str(order.pk), progress=progress_of(order, fills, holding=holding), now=now)


def progress_of(order: Order, fills: list[Fill], *, holding: Holding | None) -> Progress:
    """Where an order stands, from its row and all its fills."""
    traded = total(product(fill.quantity, fill.price) for fill in fills)
    by_worth = order.proposal.quote_quantity
    whole, done = (by_worth, traded) if by_worth is not None else (order.quantity, total(f.quantity for f in fills))
    alive = order.state in LIVE_ORDER_STATES
    return Progress(
        remaining=max(whole - done, ZERO),
        whole=whole,
        traded=traded,
        holding=holding,
        reason="" if alive else str(order.state),
    )


def holding_of(position: Position | None) -> Holding:
    """What the books hold, at what it cost."""
    if position is None or position.average_entry_price is None:
        return Holding(quantity=ZERO, cost=ZERO)
    return Holding(quantity=position.quantity, cost=product(position.quantity, position.average_entry_price))
