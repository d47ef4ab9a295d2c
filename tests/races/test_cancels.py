"""Workers and people who ask to cancel the same order at once. What reached the venue is counted there."""

from decimal import Decimal

import pytest
from django.utils import timezone

from apps.audit.models import Event
from apps.audit.types import Actor
from apps.trades.models import Order
from apps.trades.services import cancels, fills, orders
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk
from tests.factories.trading import move
from tests.races.conftest import together

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

WORKERS = 8


def ask(order: Order) -> cancels.CancelAsked:
    actor = Actor.system("test")
    return cancels.request_cancel(order_id=order.pk, actor=actor, reason="Race.", now=timezone.now())


def resting(desk: PaperDesk) -> Order:
    move(desk, "64000")
    proposal = desk.propose(limit_price=Decimal("60000"))
    desk.approve(proposal)
    assert desk.execute(proposal) == OrderState.ACCEPTED
    return desk.order_of(proposal)


def test_eight_people_ask_and_eight_workers_send_once(desk: PaperDesk) -> None:
    order = resting(desk)
    together([lambda: ask(order)] * WORKERS)
    assert Event.objects.filter(subject=str(order.pk), kind="order.cancel_requested").count() == 1
    together([lambda: cancels.send_cancel(order_id=order.pk, clock=timezone.now)] * WORKERS)
    assert len(desk.simulator.requests("/batch_cancel")) == 1
    order.refresh_from_db()
    assert order.cancel_attempts == 1


def test_without_a_turn_each_worker_sends(desk: PaperDesk) -> None:
    """The mutant asks whenever an order is to be canceled."""
    order = resting(desk)
    ask(order)
    order.refresh_from_db()
    together([lambda: cancels._ask(order.connection, [order.venue_order_id])] * WORKERS)
    assert len(desk.simulator.requests("/batch_cancel")) == WORKERS


def test_a_cancel_meets_the_claim(desk: PaperDesk) -> None:
    """Either it never leaves, or the wish stands on it: no order leaves and is forgotten."""
    move(desk, "64000")
    proposal = desk.propose(limit_price=Decimal("60000"))
    desk.approve(proposal)
    order = desk.order_of(proposal)
    together([lambda: ask(order), lambda: orders.execute(order_id=order.pk, clock=timezone.now)])
    order.refresh_from_db()
    if order.state == OrderState.CANCELED:
        assert not desk.simulator.orders()
    else:
        assert order.cancel_requested_at is not None
        assert desk.cancel(proposal) == OrderState.CANCELED


def test_a_cancel_meets_the_books(desk: PaperDesk) -> None:
    """Polling and asking at once: the order ends as the venue says, and its fills are booked once."""
    move(desk, "64000")
    proposal = desk.propose()
    desk.approve(proposal)
    desk.execute(proposal)
    order = desk.order_of(proposal)
    polls = [lambda: fills.poll_order(order_id=order.pk, now=timezone.now())] * 4
    together([*polls, *[lambda: ask(order)] * 4])
    assert desk.cancel(proposal) == OrderState.FILLED
    order.refresh_from_db()
    assert order.filled_quantity == order.quantity == sum(fill.quantity for fill in order.fills.all())
