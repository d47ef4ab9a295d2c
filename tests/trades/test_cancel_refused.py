"""The venue refuses to cancel: no alarm for what has just ended there, one for what is seen to go on working."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from apps.audit.models import Alarm
from apps.audit.types import Actor
from apps.common.errors import Misconfigured
from apps.connectors.services import venue
from apps.connectors.types import CancelResult
from apps.trades.models import Proposal
from apps.trades.services import cancels, fills, sweeps
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk
from tests.factories.trading import kinds, rest

pytestmark = pytest.mark.django_db


@pytest.fixture
def resting(paper: PaperDesk) -> Proposal:
    """An order that works at the venue, and that somebody has just asked to cancel."""
    proposal = rest(paper)
    order, actor = paper.order_of(proposal), Actor.system("test")
    cancels.request_cancel(order_id=order.pk, actor=actor, reason="Enough.", now=timezone.now())
    return proposal


def send(paper: PaperDesk, proposal: Proposal, clock: Callable[[], datetime] = timezone.now) -> str:
    return cancels.send_cancel(order_id=paper.order_of(proposal).pk, clock=clock)


def later(seconds: int) -> Callable[[], datetime]:
    return lambda: timezone.now() + timedelta(seconds=seconds)


def fill(paper: PaperDesk) -> None:
    """The market comes to the order."""
    while paper.simulator.orders()[0]["status"] != "FILLED":
        paper.simulator.pin_price("BTC-USD", "58000")


def refuse(paper: PaperDesk, proposal: Proposal, patch: pytest.MonkeyPatch, reason: str) -> None:
    """From now on the venue refuses to cancel this order."""
    named = paper.order_of(proposal).venue_order_id
    refusal = CancelResult(venue_order_id=named, requested=False, reason=reason)
    patch.setattr(venue.connect(paper.connection), "cancel_orders", lambda ids: (refusal,))


def refused_alarms() -> list[str]:
    return [alarm.message for alarm in Alarm.objects.filter(code="CANCEL_REFUSED")]


def test_a_refusal_is_an_alarm_once_the_order_is_seen_to_work_and_is_tried_again(
    paper: PaperDesk, resting: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, before = paper.order_of(resting), timezone.now()
    published: list[str] = []
    with monkeypatch.context() as patch:
        refuse(paper, resting, patch, "NOT_ALLOWED_TO_CANCEL")
        patch.setattr(cancels, "publish", lambda name, **ids: published.append(name))
        assert send(paper, resting) == OrderState.CANCEL_REQUESTED
        assert (published, refused_alarms()) == (["trades.poll_order"], []), "asked for, and not known yet"
        # What was asked before the refusal says nothing of after it.
        assert fills.poll_order(order_id=order.pk, now=before) == OrderState.CANCEL_REQUESTED
        assert refused_alarms() == []
        assert paper.poll(resting) == paper.poll(resting) == OrderState.CANCEL_REQUESTED
        (message,) = refused_alarms()
        assert "NOT_ALLOWED_TO_CANCEL" in message
        assert sweeps.publish_cancels(now=later(61)()) == 1, "by itself, and within the longest pause"
    send(paper, resting, later(120))
    assert paper.poll(resting) == OrderState.CANCELED
    assert Alarm.objects.get(code="CANCEL_REFUSED").cleared_at is not None


@pytest.mark.parametrize("end", ["filled", "canceled"])
def test_a_refusal_of_what_has_just_ended_is_no_alarm(paper: PaperDesk, resting: Proposal, end: str) -> None:
    """The venue refuses to cancel what ended there; here it works until it is read."""
    if end == "filled":
        fill(paper)
    else:
        venue.connect(paper.connection).cancel_orders([paper.order_of(resting).venue_order_id])
    assert send(paper, resting) == OrderState.CANCEL_REQUESTED
    assert kinds(resting)[-1] == "order.cancel_told"
    assert paper.poll(resting) == end.upper()
    assert not Alarm.objects.exists()


def test_a_refusal_of_what_ended_and_is_not_booked_yet_is_no_alarm(
    paper: PaperDesk, resting: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fills come later than its end: it works in our books, and not at the venue."""
    fill(paper)
    with monkeypatch.context() as patch:
        refuse(paper, resting, patch, "INVALID_CANCEL_REQUEST")
        send(paper, resting)
        patch.setattr(venue.connect(paper.connection), "fills", lambda **which: ())
        assert paper.poll(resting) == OrderState.CANCEL_REQUESTED
    assert not Alarm.objects.exists()
    assert paper.poll(resting) == OrderState.FILLED


def test_a_cancel_that_was_taken_after_all_is_no_alarm(
    paper: PaperDesk, resting: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = paper.order_of(resting)
    with monkeypatch.context() as patch:
        refuse(paper, resting, patch, "COMMANDER_REJECTED_CANCEL_ORDER")
        send(paper, resting)
    told = replace(venue.connect(paper.connection).order(order.venue_order_id), cancel_pending=True)
    monkeypatch.setattr(venue.connect(paper.connection), "order", lambda venue_order_id: told)
    assert paper.poll(resting) == OrderState.CANCEL_REQUESTED
    assert not Alarm.objects.exists()


def test_that_nothing_can_be_canceled_over_a_key_is_an_alarm_at_once(
    paper: PaperDesk, resting: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever became of the order: nothing of it can be canceled until somebody acts."""

    def barred(ids: object) -> None:
        raise Misconfigured("KEY_REFUSED", "The venue does not take this key.")

    monkeypatch.setattr(venue.connect(paper.connection), "cancel_orders", barred)
    assert send(paper, resting) == OrderState.CANCEL_REQUESTED
    (message,) = refused_alarms()
    assert "KEY_REFUSED" in message
    assert paper.poll(resting) == OrderState.CANCEL_REQUESTED
