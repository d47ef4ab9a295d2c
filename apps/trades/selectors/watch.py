"""Which instruments somebody depends on right now."""

from typing import TYPE_CHECKING

from apps.connectors.selectors import cash_currencies, held_currencies, instruments_of
from apps.trades.models import Order, Position, Proposal
from apps.trades.types import LIVE_ORDER_STATES, ProposalState

if TYPE_CHECKING:
    from apps.connectors.models import Connection


def watched_codes(connection: "Connection") -> set[str]:
    """Instruments with something waiting, open or held: their prices are asked for every second.

    What the venue holds counts too, where it can be priced in the desk's reporting currency: exposure is judged on it.
    """
    waiting = Proposal.objects.filter(connection_id=connection.pk, state=ProposalState.AWAITING_APPROVAL)
    live = Order.objects.filter(connection_id=connection.pk, state__in=LIVE_ORDER_STATES)
    codes = set(waiting.values_list("instrument", flat=True).distinct())
    codes |= set(live.values_list("instrument", flat=True).distinct())
    codes |= {
        position.instrument for position in Position.objects.filter(connection_id=connection.pk) if position.quantity
    }
    reporting = connection.desk.reporting_currency
    held = held_currencies(connection.pk) - cash_currencies(connection.pk)
    priced = tuple(f"{currency}-{reporting}" for currency in held)
    if priced:
        codes |= set(instruments_of(connection.pk, codes=priced).values_list("code", flat=True))
    return codes
