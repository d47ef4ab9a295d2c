"""What rests ends at the venue when its time is over, filled in part or not at all; a late request does not rest."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.connectors.services import venue
from apps.connectors.types import OrderType, TimeInForce
from apps.quotes.services import quotes
from apps.trades.models import Order, Position, Proposal
from apps.trades.services import orders
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk
from tests.factories.tampering import tamper
from tests.factories.trading import kinds, move

pytestmark = pytest.mark.django_db

REST = Decimal("60000")


def end_of(paper: PaperDesk, proposal: Proposal) -> datetime | None:
    return venue.connect(paper.connection).order(paper.order_of(proposal).venue_order_id).expires_at


def pass_the_end(paper: PaperDesk, proposal: Proposal) -> None:
    """The venue's clock stands at the order's last second."""
    paper.simulator.freeze_clock(step=int(proposal.not_after.timestamp()))


@pytest.mark.parametrize("time_in_force", [TimeInForce.GTC, TimeInForce.GTD])
@pytest.mark.parametrize("order_type", [OrderType.LIMIT, OrderType.STOP_LIMIT])
def test_what_rests_has_an_end_at_the_venue(
    paper: PaperDesk, time_in_force: TimeInForce, order_type: OrderType
) -> None:
    move(paper, "64000")
    stop = {"stop_price": Decimal("65000"), "limit_price": Decimal("65100")}
    prices = stop if order_type is OrderType.STOP_LIMIT else {"limit_price": REST}
    until = (timezone.now() + timedelta(hours=2)).replace(microsecond=0)
    proposal = paper.propose(time_in_force=time_in_force, order_type=order_type, not_after=until, **prices)
    paper.approve(proposal)
    paper.execute(proposal)
    assert end_of(paper, proposal) == until
    pass_the_end(paper, proposal)
    assert paper.poll(proposal) == OrderState.EXPIRED
    order = paper.order_of(proposal)
    assert order.closed_at is not None
    assert kinds(proposal)[-1] == "order.expired"
    assert not Position.objects.exists()
    assert not Order.objects.filter(pk=order.pk).live().exists()  # type: ignore[attr-defined]


def test_without_a_time_it_rests_a_day(paper: PaperDesk) -> None:
    move(paper, "64000")
    proposal = paper.propose(limit_price=REST)
    paper.approve(proposal)
    paper.execute(proposal)
    assert proposal.not_after - proposal.created_at <= timedelta(hours=24)
    assert end_of(paper, proposal) == proposal.not_after


def test_partly_filled_then_expired(paper: PaperDesk) -> None:
    """What was filled stays: the position is that, and so is what the order says."""
    move(paper, "0.6", "ADA-USD")
    quote = quotes.latest(paper.connection.pk, "ADA-USD")
    assert quote is not None
    proposal = paper.propose(instrument="ADA-USD", quantity=Decimal("8000"), limit_price=quote.ask)
    paper.approve(proposal)
    paper.approve(proposal, by=paper.approver2)
    paper.simulator.freeze_clock()
    paper.execute(proposal)
    assert paper.poll(proposal) == OrderState.PARTIALLY_FILLED
    paper.simulator.pin_price("ADA-USD", "0.7")
    pass_the_end(paper, proposal)
    assert paper.poll(proposal) == OrderState.EXPIRED
    order = paper.order_of(proposal)
    assert 0 < order.filled_quantity == Position.objects.get().quantity < order.quantity


def test_a_late_request_is_refused_and_does_not_rest(paper: PaperDesk) -> None:
    """The claim was in time, the wire was not: the venue does not take what has ended already."""
    move(paper, "64000")
    proposal = paper.propose(limit_price=REST)
    paper.approve(proposal)
    claim = orders._claim(paper.order_of(proposal).pk, timezone.now(), timezone.now)
    assert claim is not None
    pass_the_end(paper, proposal)
    assert orders._send(claim, timezone.now) == OrderState.REJECTED
    assert paper.order_of(proposal).reason_code == "END_TIME_IS_IN_THE_PAST"
    assert not paper.venue_orders(proposal)


def test_asked_to_cancel_and_expired_first(paper: PaperDesk) -> None:
    move(paper, "64000")
    proposal = paper.propose(limit_price=REST)
    paper.approve(proposal)
    paper.execute(proposal)
    tamper(paper.order_of(proposal), state=OrderState.CANCEL_REQUESTED)
    pass_the_end(paper, proposal)
    assert paper.poll(proposal) == OrderState.EXPIRED
