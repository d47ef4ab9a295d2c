"""A sale of which only a part was done when it ended: its outcome is that part, and what was lost is counted."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.audit.types import Actor
from apps.connectors.services import sync
from apps.connectors.types import Side
from apps.quotes.services import quotes
from apps.trades.models import Fill, Outcome, Position, Proposal
from apps.trades.services import cancels
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk
from tests.factories.trading import move

pytestmark = pytest.mark.django_db

ADA = "ADA-USD"
BOUGHT, TO_SELL = Decimal("7000"), Decimal("8000")


def approved(paper: PaperDesk, side: Side, quantity: Decimal, **terms: object) -> Proposal:
    """Of this size it takes two."""
    proposal = paper.propose(instrument=ADA, side=side, quantity=quantity, **terms)
    paper.approve(proposal)
    paper.approve(proposal, by=paper.approver2)
    return proposal


def worth(fills: list[Fill]) -> Decimal:
    return sum((fill.quantity * fill.price for fill in fills), Decimal(0))


@pytest.fixture
def partly_sold(paper: PaperDesk) -> Proposal:
    """Bought at 0.6; sold at 0.59 into the best level alone, which is smaller than the sale."""
    paper.simulator.reset(ADA="9000")
    sync.refresh_balances(paper.connection, now=timezone.now())
    move(paper, "0.6", ADA)
    bought = approved(paper, Side.BUY, BOUGHT, limit_price=Decimal("0.6050"))
    paper.execute(bought)
    assert paper.poll(bought) == OrderState.FILLED
    move(paper, "0.59", ADA)
    quote = quotes.latest(paper.connection.pk, ADA)
    assert quote is not None
    until = (timezone.now() + timedelta(hours=1)).replace(microsecond=0)
    sale = approved(paper, Side.SELL, TO_SELL, limit_price=quote.bid, not_after=until)
    paper.simulator.freeze_clock()
    assert paper.execute(sale) == OrderState.ACCEPTED
    assert paper.poll(sale) == OrderState.PARTIALLY_FILLED
    return sale


@pytest.mark.parametrize("end", [OrderState.CANCELED, OrderState.EXPIRED])
def test_the_outcome_is_of_what_was_sold(paper: PaperDesk, partly_sold: Proposal, end: OrderState) -> None:
    if end is OrderState.CANCELED:
        order = paper.order_of(partly_sold)
        cancels.request_cancel(order_id=order.pk, actor=Actor.system("test"), reason="Enough.", now=timezone.now())
        cancels.send_cancel(order_id=order.pk, clock=timezone.now)
    else:
        # The market falls away, so that nothing more fills, and the last second comes.
        paper.simulator.pin_price(ADA, "0.5")
        paper.simulator.freeze_clock(step=int(partly_sold.not_after.timestamp()))
    assert paper.poll(partly_sold) == end
    sold, bought = (list(Fill.objects.filter(side=side)) for side in ("SELL", "BUY"))
    quantity = sum((fill.quantity for fill in sold), Decimal(0))
    assert 0 < quantity < BOUGHT, "all that was sold was bought here"

    outcome = Outcome.objects.get()
    entry, out = worth(bought) / BOUGHT, worth(sold) / quantity
    fees = sum(fill.fee for fill in sold) + sum(fill.fee for fill in bought) * quantity / BOUGHT
    near = Decimal("1e-9")
    assert (outcome.order_id, outcome.quantity) == (paper.order_of(partly_sold).pk, quantity)
    assert outcome.entry_price is not None and abs(outcome.entry_price - entry) < near
    assert abs(outcome.exit_price - out) < near and abs(outcome.fees - fees) < near
    assert outcome.pnl is not None and abs(outcome.pnl - ((out - entry) * quantity - fees)) < near
    assert outcome.loss_minor == -(outcome.pnl * 10**8).to_integral_value(rounding="ROUND_FLOOR") > 0
    assert outcome.opened_at == min(fill.occurred_at for fill in bought)
    assert outcome.closed_at == max(fill.occurred_at for fill in sold)
    assert Position.objects.get().quantity == BOUGHT - quantity
    # Read once more after its end, it stays the one it is.
    paper.poll(partly_sold)
    assert Outcome.objects.get().pnl == outcome.pnl
