"""Orders as one caller may see them, and what that caller may do with one."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

from apps.accounts.selectors import person_holds
from apps.accounts.types import Principal
from apps.common import words
from apps.common.errors import Forbidden, NotFound
from apps.quotes.services import quotes
from apps.trades.models import Order
from apps.trades.selectors.listing import proposals_for
from apps.trades.types import LIVE_ORDER_STATES, OrderState

if TYPE_CHECKING:
    from apps.accounts.models import User


def order_for(principal: Principal, order_id: UUID) -> Order | None:
    """An order of a proposal this caller sees; None for any other, whether it is there or not."""
    rows = Order.objects.select_related("proposal", "connection")
    return rows.filter(pk=order_id, proposal__in=proposals_for(principal).order_by().values("pk")).first()


def may_cancel(principal: Principal, order: Order) -> bool:
    """Whether this caller may ask for the order to be canceled: its proposer (also by a key of theirs), or a person
    whose role says so. The order's proposal is loaded with it."""
    if order.proposal.proposer_id == principal.user_id:
        return True
    return principal.is_person and person_holds(principal.user_id, "cancel_order")


def offers_cancel(viewer: "User", order: Order | None) -> bool:
    """Whether a page shows this person the way to cancel: they may, and there is something left to ask for."""
    if order is None or order.state not in LIVE_ORDER_STATES or order.cancel_requested_at is not None:
        return False
    principal = Principal(user_id=viewer.pk, api_key_id=None, name=viewer.shown_name)
    seen = order_for(principal, order.pk)
    return seen is not None and may_cancel(principal, seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPage:
    """What the page says before somebody asks: the order as it is, the price now with its age, what the click does."""

    order: Order
    base_currency: str
    quote_currency: str
    limit_price: Decimal | None
    price_now: str
    read_ago: str
    consequence: str
    may_ask: bool
    why_not: str
    button: str


_CONSEQUENCES: Final = {
    OrderState.INITIALIZED: "It is approved and has not left. It never will: nothing is sent, the approval is void.",
    OrderState.SUBMITTED: "It is on its way. As soon as the venue has taken it, the venue is asked to cancel it.",
    OrderState.UNKNOWN: "Whether it is at the venue is not known. It is not sent again, and it is canceled once found.",
}
_AT_VENUE: Final = "The venue is asked to cancel the rest. Until it has answered, the order may still fill."


def cancel_page(*, order_id: UUID, principal: Principal, now: datetime) -> CancelPage:
    """Raises NotFound for an order this caller does not see, Forbidden MAY_NOT_CANCEL."""
    order = order_for(principal, order_id)
    if order is None:
        raise NotFound("ORDER_UNKNOWN", "There is no such order at your desk.")
    if not may_cancel(principal, order):
        raise Forbidden("MAY_NOT_CANCEL", "You may not ask for this order to be canceled.")
    state, proposal = OrderState(order.state), order.proposal
    quote = quotes.latest(order.connection_id, order.instrument)
    why_not = ""
    if order.cancel_requested_at is not None:
        why_not = f"{order.cancel_requested_by} asked to cancel it {words.ago(order.cancel_requested_at, now)}."
    if state not in LIVE_ORDER_STATES:
        why_not = f"It has ended as {order.get_state_display().lower()}: there is nothing left to cancel."
    return CancelPage(
        order=order,
        base_currency=proposal.base_currency,
        quote_currency=proposal.quote_currency,
        limit_price=proposal.limit_price,
        price_now=f"{words.price(quote.mid)} {proposal.quote_currency}, {words.ago(quote.received_at, now)}"
        if quote is not None
        else "not known",
        read_ago=words.ago(order.polled_at, now) if order.polled_at is not None else "never",
        consequence="" if why_not else _CONSEQUENCES.get(state, _AT_VENUE),
        may_ask=not why_not,
        why_not=why_not,
        button="Cancel it" if state is OrderState.INITIALIZED else "Ask to cancel",
    )
