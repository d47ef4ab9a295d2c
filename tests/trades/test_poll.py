"""What the venue says became of an order: states, partial fills, and an end only once the fills add up."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.audit.models import Alarm
from apps.common.errors import NotFound
from apps.connectors.services import venue
from apps.connectors.types import OrderType, Side, TimeInForce, VenueOrder, VenueOrderState
from apps.policies.selectors import trading_state
from apps.trades.models import Fill, Order, Position, Proposal
from apps.trades.services import fills, sweeps
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk
from tests.factories.trading import kinds, last_state, move

pytestmark = pytest.mark.django_db

MID = "64000"


@pytest.fixture
def accepted(paper: PaperDesk) -> Proposal:
    move(paper, MID)
    return accept(paper)


def accept(paper: PaperDesk, **changes: object) -> Proposal:
    proposal = paper.propose(**changes)
    paper.approve(proposal)
    assert paper.execute(proposal) == OrderState.ACCEPTED
    return proposal


def told_of(paper: PaperDesk, proposal: Proposal) -> VenueOrder:
    return venue.connect(paper.connection).order(paper.order_of(proposal).venue_order_id)


def test_filled_and_polled_again(paper: PaperDesk, accepted: Proposal) -> None:
    assert paper.poll(accepted) == OrderState.FILLED
    order = paper.order_of(accepted)
    booked = list(Fill.objects.values_list("venue_fill_id", "quantity"))
    assert order.filled_quantity == sum(quantity for _, quantity in booked) == Decimal("0.01")
    assert order.average_fill_price is not None
    assert order.closed_at is not None
    assert last_state(str(order.pk)) == OrderState.FILLED
    before = kinds(accepted)
    position = Position.objects.values().get()
    assert paper.poll(accepted) == OrderState.FILLED
    assert kinds(accepted) == before
    assert list(Fill.objects.values_list("venue_fill_id", "quantity")) == booked
    assert {**Position.objects.values().get(), "updated_at": None} == {**position, "updated_at": None}


def test_a_resting_order_stays_and_its_expiry_is_booked(paper: PaperDesk) -> None:
    move(paper, MID)
    proposal = accept(paper, limit_price=Decimal("60000"))
    assert paper.poll(proposal) == OrderState.ACCEPTED
    told = told_of(paper, proposal)
    assert told.state is VenueOrderState.OPEN
    expired = replace(told, state=VenueOrderState.EXPIRED, venue_state="EXPIRED")
    order = paper.order_of(proposal)
    assert fills.book(order_id=order.pk, told=expired, fills=(), now=timezone.now()) == OrderState.EXPIRED
    assert not Position.objects.exists()


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (VenueOrderState.CANCELED, OrderState.CANCELED),
        (VenueOrderState.EXPIRED, OrderState.EXPIRED),
        # Taken first and refused after a part was done: what was done stands, so it was not refused.
        (VenueOrderState.REJECTED, OrderState.CANCELED),
    ],
)
def test_partly_filled_then_ended(
    paper: PaperDesk, accepted: Proposal, end: VenueOrderState, state: OrderState
) -> None:
    told, order = told_of(paper, accepted), paper.order_of(accepted)
    (whole,) = venue.connect(paper.connection).fills(venue_order_id=order.venue_order_id)
    part = replace(whole, quantity=Decimal("0.004"), fee=Decimal("1.5"))
    partly = replace(told, state=VenueOrderState.OPEN, filled_quantity=Decimal("0.004"))
    now = timezone.now()
    assert fills.book(order_id=order.pk, told=partly, fills=[part], now=now) == OrderState.PARTIALLY_FILLED
    ended = replace(partly, state=end, reject_reason="because")
    assert fills.book(order_id=order.pk, told=ended, fills=[part], now=now) == state
    order.refresh_from_db()
    assert (order.filled_quantity, order.fees) == (Decimal("0.004"), Decimal("1.5"))
    assert Position.objects.get().quantity == Decimal("0.004")
    assert kinds(accepted)[-3:] == ["order.fill", "order.partially_filled", f"order.{state.lower()}"]
    assert not Order.objects.filter(pk=order.pk).live().exists()  # type: ignore[attr-defined]


def test_refused_after_it_was_taken(paper: PaperDesk, accepted: Proposal) -> None:
    told, order = told_of(paper, accepted), paper.order_of(accepted)
    refused = replace(told, state=VenueOrderState.REJECTED, filled_quantity=Decimal(0), reject_reason="MARGIN")
    assert fills.book(order_id=order.pk, told=refused, fills=(), now=timezone.now()) == OrderState.REJECTED
    assert paper.order_of(accepted).reason_code == "MARGIN"


def test_the_end_waits_for_the_fills(paper: PaperDesk, accepted: Proposal) -> None:
    """The order says FILLED before the list of fills does: the money stays bound until both agree."""
    told, order = told_of(paper, accepted), paper.order_of(accepted)
    assert told.state is VenueOrderState.FILLED
    found = venue.connect(paper.connection).fills(venue_order_id=order.venue_order_id)
    soon, late = timezone.now(), timezone.now() + timedelta(minutes=3)
    assert fills.book(order_id=order.pk, told=told, fills=(), now=soon) == OrderState.ACCEPTED
    assert not Alarm.objects.exists()
    assert fills.book(order_id=order.pk, told=told, fills=(), now=late) == OrderState.ACCEPTED
    assert Alarm.objects.get(code="FILLS_DIFFER").cleared_at is None
    assert fills.book(order_id=order.pk, told=told, fills=found, now=late) == OrderState.FILLED
    assert Alarm.objects.get(code="FILLS_DIFFER").cleared_at is not None


def test_an_older_answer_changes_nothing(paper: PaperDesk, accepted: Proposal) -> None:
    told, order = told_of(paper, accepted), paper.order_of(accepted)
    paper.poll(accepted)
    older = replace(told, state=VenueOrderState.OPEN, filled_quantity=Decimal(0))
    assert fills.book(order_id=order.pk, told=older, fills=(), now=timezone.now()) == OrderState.FILLED
    assert paper.order_of(accepted).filled_quantity == Decimal("0.01")


@pytest.mark.parametrize(
    "difference",
    [
        {"client_order_id": "somebody-elses"},
        {"instrument": "ETH-USD"},
        {"side": Side.SELL},
        {"quantity": Decimal("0.02")},
        {"limit_price": Decimal("70000")},
    ],
)
def test_another_order_than_ours_is_not_booked(
    paper: PaperDesk, accepted: Proposal, difference: dict[str, object]
) -> None:
    told, order = told_of(paper, accepted), paper.order_of(accepted)
    found = venue.connect(paper.connection).fills(venue_order_id=order.venue_order_id)
    other = replace(told, **difference)  # type: ignore[arg-type]
    assert fills.book(order_id=order.pk, told=other, fills=found, now=timezone.now()) == OrderState.ACCEPTED
    assert not Fill.objects.exists()
    assert trading_state(paper.connection.pk) == "HALTED"
    assert Alarm.objects.filter(code="ORDER_DIFFERS", subject=f"order:{order.pk}").exists()


def test_an_order_the_venue_does_not_show_yet(
    paper: PaperDesk, accepted: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(venue_order_id: str) -> VenueOrder:
        raise NotFound("VENUE_NOT_FOUND", "Not yet.")

    monkeypatch.setattr(venue.connect(paper.connection), "order", missing)
    assert paper.poll(accepted) == OrderState.ACCEPTED


def test_what_is_not_at_the_venue_is_not_asked_for(paper: PaperDesk) -> None:
    move(paper, MID)
    proposal = paper.propose()
    paper.approve(proposal)
    before = len(paper.simulator.requests())
    assert paper.poll(proposal) == OrderState.INITIALIZED
    assert len(paper.simulator.requests()) == before


def test_the_sweep_asks_for_what_works_and_now_and_then_for_what_ended(paper: PaperDesk, accepted: Proposal) -> None:
    now = timezone.now()
    assert sweeps.publish_polls(now=now) == 1
    paper.poll(accepted)
    assert sweeps.publish_polls(now=now) == 0
    assert sweeps.publish_polls(now=now + timedelta(minutes=6)) == 1
    assert sweeps.publish_polls(now=now + timedelta(days=3)) == 0


def test_a_market_order_by_worth(paper: PaperDesk) -> None:
    move(paper, MID)
    proposal = accept(
        paper,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.IOC,
        limit_price=None,
        quantity=None,
        quote_quantity=Decimal("500"),
    )
    assert paper.poll(proposal) == OrderState.FILLED
    order = paper.order_of(proposal)
    assert 0 < order.filled_quantity < order.quantity * Decimal("1.01")
