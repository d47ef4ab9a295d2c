"""Workers that look for the same order of unknown fate. What reached the venue is counted there."""

from typing import Any

import pytest
from django.utils import timezone

from apps.connectors.services import venue
from apps.trades.models import Order
from apps.trades.services import market, resolution
from apps.trades.types import InquiryAnswer, InquiryKind, OrderState
from tests.factories.desk import PaperDesk
from tests.factories.trading import sent
from tests.factories.unknown import unknown
from tests.races.conftest import meet_after, together

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

WORKERS = 8


def look_and_send(order_id: Any) -> str:
    """The naive worker: it searches, and sends again what it did not find."""
    order = Order.objects.select_related("connection").get(pk=order_id)
    connector = venue.connect(order.connection)
    now = timezone.now()
    assert order.submitted_at is not None
    found = connector.orders([order.instrument], order.submitted_at, now)
    if not found:
        market.make_fresh(order.connection, [order.instrument], now=now)
        connector.place_order(bytes(order.request_body))
    return order.state


def test_eight_workers_send_again_once(desk: PaperDesk, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.UNKNOWN_REPLAY_AFTER_S = 0
    order = desk.order_of(unknown(desk, "reset-before"))
    meet_after(monkeypatch, market, "make_fresh", WORKERS)
    works = [lambda: resolution.resolve(order_id=order.pk, clock=timezone.now, due_only=False)] * WORKERS
    results = together(works)
    assert set(results) <= {OrderState.UNKNOWN, OrderState.FILLED, OrderState.ACCEPTED}
    assert len(sent(desk)) == 2
    assert len(desk.simulator.orders()) == 1
    order.refresh_from_db()
    assert order.state == OrderState.FILLED
    replays = order.inquiries.filter(kind=InquiryKind.REPLAY)
    assert replays.filter(answer=InquiryAnswer.ASKED).count() == 1


def test_the_naive_worker_sends_again_more(desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a venue that did not deduplicate, each of these would be an order."""
    order = desk.order_of(unknown(desk, "reset-before"))
    meet_after(monkeypatch, market, "make_fresh", WORKERS)
    together([lambda: look_and_send(order.pk)] * WORKERS)
    assert len(sent(desk)) > 2


def test_the_sender_comes_back_while_another_resolves(desk: PaperDesk) -> None:
    """The first sender's answer comes after somebody else has settled the order: it changes nothing."""
    order = desk.order_of(unknown(desk, "reset-after"))
    results = together([lambda: resolution.resolve(order_id=order.pk, clock=timezone.now, due_only=False)] * 2)
    assert OrderState.FILLED in results
    assert len(sent(desk)) == len(desk.simulator.orders()) == 1
