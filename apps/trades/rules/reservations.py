"""What an order can still cost, and what open orders bind. All pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from apps.common.money import product
from apps.connectors.types import Side
from apps.trades.types import Reservation, Terms

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that still binds money, as bookkeeping sees it. `seen_by_venue` says whether the venue's own balances
    already hold it back."""

    instrument: str
    side: Side
    quantity: Decimal
    filled_quantity: Decimal
    worst_price: Decimal
    reserved: Reservation
    seen_by_venue: bool

    @property
    def remaining(self) -> Decimal:
        """Base quantity that may still execute."""
        return max(self.quantity - self.filled_quantity, ZERO)

    @property
    def still_reserved(self) -> Decimal:
        """The part of the reservation that belongs to what may still execute, in its currency."""
        if not self.quantity:
            return self.reserved.amount
        return self.reserved.amount * self.remaining / self.quantity


def reservation_for(terms: Terms, *, quantity: Decimal, worst_price: Decimal, taker_rate: Decimal) -> Reservation:
    """The most an order can take from the balances: money and fee for a buy, coins for a sell.

    `quantity` is the base quantity at the worst price; `taker_rate` a fraction of notional.
    """
    if terms.side is Side.SELL:
        return Reservation(currency=terms.base_currency, amount=quantity)
    notional = terms.quote_quantity if terms.quote_quantity is not None else product(quantity, worst_price)
    return Reservation(currency=terms.quote_currency, amount=product(notional, 1 + taker_rate))


def unseen_by_currency(orders: Iterable[OpenOrder]) -> dict[str, Decimal]:
    """What orders bind that the venue does not know of yet, per currency: to be taken off its available balances."""
    bound: dict[str, Decimal] = {}
    for order in orders:
        if not order.seen_by_venue:
            currency = order.reserved.currency
            bound[currency] = bound.get(currency, ZERO) + order.still_reserved
    return bound


def working(orders: Iterable[OpenOrder], instrument: str) -> tuple[Decimal, Decimal]:
    """Base quantity that may still be bought, and still be sold, of an instrument."""
    bought = sold = ZERO
    for order in orders:
        if order.instrument == instrument:
            if order.side is Side.BUY:
                bought += order.remaining
            else:
                sold += order.remaining
    return bought, sold
