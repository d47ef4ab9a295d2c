"""Workers that were given the same order. What reached the venue is counted there."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.connectors.services import venue
from apps.trades.models import Order
from apps.trades.services import fills, market, orders
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk
from tests.factories.trading import sent
from tests.races.conftest import meet_after, together

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

WORKERS = 8


def approved(desk: PaperDesk) -> Order:
    proposal = desk.propose()
    desk.approve(proposal)
    return desk.order_of(proposal)


def send_then_record(order_id: Any) -> str:
    """The naive worker: looks, sends under a name made up on the way, and writes it down afterwards."""
    order = Order.objects.get(pk=order_id)
    if order.state != OrderState.INITIALIZED:
        return order.state
    body = json.loads(bytes(order.request_body)) | {"client_order_id": str(uuid4())}
    raw = json.dumps(body, separators=(",", ":")).encode()
    market.make_fresh(order.connection, [order.instrument], now=timezone.now())
    venue.connect(order.connection).place_order(raw)
    Order.objects.filter(pk=order_id, state=OrderState.INITIALIZED).update(state=OrderState.SUBMITTED)
    return OrderState.SUBMITTED


def test_eight_workers_send_once(desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    order = approved(desk)
    meet_after(monkeypatch, market, "make_fresh", WORKERS)
    results = together([lambda: orders.execute(order_id=order.pk, clock=timezone.now)] * WORKERS)
    assert set(results) <= {OrderState.SUBMITTED, OrderState.ACCEPTED}
    assert len(sent(desk)) == len(desk.simulator.orders()) == 1
    order.refresh_from_db()
    assert (order.state, order.fence) == (OrderState.ACCEPTED, 1)


def test_the_naive_worker_sends_more(desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    order = approved(desk)
    meet_after(monkeypatch, market, "make_fresh", WORKERS)
    together([lambda: send_then_record(order.pk)] * WORKERS)
    assert len(desk.simulator.orders()) > 1


def test_eight_pollers_book_once(desk: PaperDesk) -> None:
    order = approved(desk)
    orders.execute(order_id=order.pk, clock=timezone.now)
    results = together([lambda: fills.poll_order(order_id=order.pk, now=timezone.now())] * WORKERS)
    assert set(results) == {OrderState.FILLED}
    order.refresh_from_db()
    assert order.filled_quantity == order.quantity
    assert sum(fill.quantity for fill in order.fills.all()) == order.quantity
