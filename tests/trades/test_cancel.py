"""Asking to cancel: written down first, asked of the venue, ended by what the venue says and by nothing else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.types import Principal
from apps.audit.types import Actor
from apps.common.errors import Conflict, Forbidden, NotFound, OutcomeUnknown
from apps.connectors.services import venue
from apps.connectors.types import TradeType, VenueOrderState
from apps.quotes.services import quotes
from apps.trades.models import Order, Position, Proposal
from apps.trades.services import cancels, fills, orders, sweeps
from apps.trades.types import CancelAnswer, OrderState, ProposalState
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk
from tests.factories.tampering import tamper
from tests.factories.trading import kinds, last_state, move, sent

pytestmark = pytest.mark.django_db

MID = "64000"
REST = Decimal("60000")
ACTOR = Actor.system("test")


@pytest.fixture
def approved(paper: PaperDesk) -> Proposal:
    """An order that would rest, approved and not sent."""
    move(paper, MID)
    proposal = paper.propose(limit_price=REST)
    paper.approve(proposal)
    return proposal


@pytest.fixture
def resting(paper: PaperDesk, approved: Proposal) -> Proposal:
    """An order that works at the venue."""
    assert paper.execute(approved) == OrderState.ACCEPTED
    return approved


def ask(paper: PaperDesk, proposal: Proposal, reason: str = "Enough.") -> cancels.CancelAsked:
    order = paper.order_of(proposal)
    return cancels.request_cancel(order_id=order.pk, actor=ACTOR, reason=reason, now=timezone.now())


def send(paper: PaperDesk, proposal: Proposal, clock: Callable[[], datetime] = timezone.now) -> str:
    return cancels.send_cancel(order_id=paper.order_of(proposal).pk, clock=clock)


def later(seconds: int) -> Callable[[], datetime]:
    return lambda: timezone.now() + timedelta(seconds=seconds)


def cancels_sent(paper: PaperDesk) -> int:
    return len(paper.simulator.requests("/batch_cancel"))


def test_asked_taken_and_done(paper: PaperDesk, resting: Proposal) -> None:
    asked = ask(paper, resting)
    assert (asked.answer, asked.order.state) == (CancelAnswer.REQUESTED, OrderState.CANCEL_REQUESTED)
    assert cancels_sent(paper) == 0, "committed first, asked by the task"
    # What the venue takes is a request: the order ends when it is read.
    assert send(paper, resting) == OrderState.CANCEL_REQUESTED
    assert paper.poll(resting) == OrderState.CANCELED
    order = paper.order_of(resting)
    assert order.reason == "test asked to cancel it. Enough."
    assert order.closed_at is not None
    assert kinds(resting)[-3:] == ["order.cancel_requested", "order.cancel_told", "order.canceled"]
    assert last_state(str(order.pk)) == OrderState.CANCELED
    assert not Position.objects.exists()
    assert ask(paper, resting).answer is CancelAnswer.ALREADY_CANCELED


def test_it_may_lose_to_a_fill(paper: PaperDesk, resting: Proposal) -> None:
    ask(paper, resting)
    move(paper, "59000")
    paper.simulator.pin_price("BTC-USD", "58000")
    while paper.simulator.orders()[0]["status"] != "FILLED":
        paper.simulator.pin_price("BTC-USD", "58000")
    assert send(paper, resting) == OrderState.CANCEL_REQUESTED
    assert paper.poll(resting) == OrderState.FILLED
    order = paper.order_of(resting)
    assert order.filled_quantity == order.quantity == Position.objects.get().quantity
    with pytest.raises(Conflict, match="ORDER_ENDED"):
        ask(paper, resting)


def test_asked_twice_is_asked_once(paper: PaperDesk, resting: Proposal) -> None:
    first, second = ask(paper, resting), ask(paper, resting, "Again.")
    assert (first.answer, second.answer) == (CancelAnswer.REQUESTED, CancelAnswer.REQUESTED)
    assert second.order.cancel_reason == "Enough."
    assert kinds(resting).count("order.cancel_requested") == 1
    send(paper, resting)
    send(paper, resting)
    assert cancels_sent(paper) == 1


@pytest.mark.parametrize("kind", ["timeout-before", "timeout-after", "5xx-after"])
def test_an_answer_that_is_lost_proves_nothing(paper: PaperDesk, resting: Proposal, kind: str) -> None:
    """Whatever became of the request, the venue is asked for the order by its id, and then again to cancel it."""
    ask(paper, resting)
    paper.simulator.add_fault("cancel", kind, seconds="0.1")
    assert send(paper, resting) == OrderState.CANCEL_REQUESTED
    state = paper.poll(resting)
    if kind == "timeout-before":
        assert state == OrderState.CANCEL_REQUESTED
        assert sweeps.publish_cancels(now=later(3)()) == 1
        send(paper, resting, later(3))
        state = paper.poll(resting)
    assert state == OrderState.CANCELED


def test_what_was_not_asked_is_asked_again(
    paper: PaperDesk, resting: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(paper, resting)
    url = paper.connection.api_base
    tamper(paper.connection, api_base="http://127.0.0.1:9")
    assert send(paper, resting) == OrderState.CANCEL_REQUESTED
    assert "order.cancel_told" not in kinds(resting)
    tamper(paper.connection, api_base=url)
    assert sweeps.publish_cancels(now=timezone.now()) == 0
    assert sweeps.publish_cancels(now=later(3)()) == 1
    send(paper, resting, later(3))
    assert paper.poll(resting) == OrderState.CANCELED


def test_a_worker_that_dies_after_its_turn_is_followed(
    paper: PaperDesk, resting: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(paper, resting)
    order = paper.order_of(resting)
    assert cancels._take_turn(order.pk, timezone.now()) is not None
    assert cancels._take_turn(order.pk, timezone.now()) is None
    assert sweeps.publish_cancels(now=later(13)()) == 1
    send(paper, resting, later(13))
    assert paper.poll(resting) == OrderState.CANCELED


def test_what_has_not_left_is_canceled_here(paper: PaperDesk, approved: Proposal) -> None:
    asked = ask(paper, approved)
    approved.refresh_from_db()
    assert (asked.answer, asked.order.state) == (CancelAnswer.NEVER_SENT, OrderState.CANCELED)
    assert (approved.state, approved.end_code) == (ProposalState.VOIDED, "CANCEL_REQUESTED")
    assert paper.execute(approved) == OrderState.CANCELED
    assert not sent(paper)
    assert not cancels_sent(paper)


def unknown(paper: PaperDesk, proposal: Proposal, monkeypatch: pytest.MonkeyPatch) -> Order:
    paper.simulator.add_fault("create", "timeout-after", seconds="0.1")
    assert paper.execute(proposal) == OrderState.UNKNOWN
    return paper.order_of(proposal)


def test_an_unknown_order_is_canceled_once_it_is_found(
    paper: PaperDesk, approved: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = unknown(paper, approved, monkeypatch)
    asked = ask(paper, approved)
    assert (asked.answer, asked.order.state) == (CancelAnswer.REMEMBERED, OrderState.UNKNOWN)
    assert send(paper, approved) == OrderState.UNKNOWN
    assert not cancels_sent(paper)
    assert sweeps.publish_cancels(now=later(60)()) == 0
    found = str(paper.venue_orders(approved)[0]["order_id"])
    Order.objects.filter(pk=order.pk).update(state=OrderState.ACCEPTED, venue_order_id=found)
    assert sweeps.publish_cancels(now=timezone.now()) == 1
    assert send(paper, approved) == OrderState.CANCEL_REQUESTED
    assert paper.poll(approved) == OrderState.CANCELED
    assert kinds(approved)[-4:] == [
        "order.cancel_remembered",
        "order.cancel_requested",
        "order.cancel_told",
        "order.canceled",
    ]


def test_asked_while_it_is_being_sent(paper: PaperDesk, approved: Proposal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes after the wish: what was taken is canceled, what was not sent never is."""
    order, published = paper.order_of(approved), []
    monkeypatch.setattr(orders, "publish", lambda name, **ids: published.append(name))
    claim = orders._claim(order.pk, timezone.now(), timezone.now)
    assert claim is not None
    assert ask(paper, approved).answer is CancelAnswer.REMEMBERED
    assert orders._send(claim, timezone.now) == OrderState.ACCEPTED
    assert published == ["trades.poll_order", "trades.cancel_order"]
    assert send(paper, approved) == OrderState.CANCEL_REQUESTED
    assert paper.poll(approved) == OrderState.CANCELED


def test_asked_while_it_could_not_be_sent(paper: PaperDesk, approved: Proposal) -> None:
    order = paper.order_of(approved)
    claim = orders._claim(order.pk, timezone.now(), timezone.now)
    assert claim is not None
    ask(paper, approved)
    assert orders._give_back(claim, timezone.now(), code="X", reason="x") == OrderState.INITIALIZED
    assert paper.execute(approved) == OrderState.CANCELED
    approved.refresh_from_db()
    assert (approved.state, approved.end_code) == (ProposalState.VOIDED, "CANCEL_REQUESTED")
    assert not sent(paper)


def test_the_wish_is_never_forgotten(paper: PaperDesk, resting: Proposal) -> None:
    ask(paper, resting)
    order = paper.order_of(resting)
    with pytest.raises(IntegrityError, match="cancel_wish"), transaction.atomic():
        Order.objects.filter(pk=order.pk).update(cancel_requested_at=None)


def test_an_inactive_connection_cancels(paper: PaperDesk, resting: Proposal) -> None:
    tamper(paper.connection, is_active=False)
    ask(paper, resting)
    send(paper, resting)
    assert paper.poll(resting) == OrderState.CANCELED


@pytest.fixture
def partly(paper: PaperDesk) -> Proposal:
    """An order of which the venue has filled a part: it was larger than the best level."""
    move(paper, "0.6", "ADA-USD")
    ask_price = quotes.latest(paper.connection.pk, "ADA-USD")
    assert ask_price is not None
    proposal = paper.propose(instrument="ADA-USD", quantity=Decimal("8000"), limit_price=ask_price.ask)
    paper.approve(proposal)
    paper.approve(proposal, by=paper.approver2)
    paper.simulator.freeze_clock()
    assert paper.execute(proposal) == OrderState.ACCEPTED
    assert paper.poll(proposal) == OrderState.PARTIALLY_FILLED
    return proposal


def test_partly_filled_then_canceled(paper: PaperDesk, partly: Proposal) -> None:
    """What is done stays done: the position is what was filled."""
    asked = ask(paper, partly)
    assert asked.order.state == OrderState.CANCEL_REQUESTED
    assert 0 < asked.order.filled_quantity < asked.order.quantity
    send(paper, partly)
    assert paper.poll(partly) == OrderState.CANCELED
    order = paper.order_of(partly)
    assert order.filled_quantity == Position.objects.get().quantity == sum(f.quantity for f in order.fills.all())
    assert not Order.objects.filter(pk=order.pk).live().exists()  # type: ignore[attr-defined]


def test_what_was_partly_filled_is_reversed_after_the_end(paper: PaperDesk, partly: Proposal) -> None:
    """The venue takes a fill back after the order was canceled: the position goes back, the end stays."""
    ask(paper, partly)
    send(paper, partly)
    assert paper.poll(partly) == OrderState.CANCELED
    for fill in list(paper.order_of(partly).fills.all()):
        paper.simulator.correct_fill(fill.venue_fill_id)
    assert paper.poll(partly) == OrderState.CANCELED
    assert paper.order_of(partly).filled_quantity == Position.objects.get().quantity == 0


def test_refused_after_its_only_fill_was_reversed(paper: PaperDesk, partly: Proposal) -> None:
    """It did execute once: the venue's refusal of the rest is no proof that nothing ever happened."""
    order = paper.order_of(partly)
    told = venue.connect(paper.connection).order(order.venue_order_id)
    found = venue.connect(paper.connection).fills(venue_order_id=order.venue_order_id)
    back = [replace(fill, venue_fill_id=f"r-{fill.venue_fill_id}", trade_type=TradeType.REVERSAL) for fill in found]
    refused = replace(told, state=VenueOrderState.REJECTED, filled_quantity=Decimal(0), reject_reason="A long text.")
    assert fills.book(order_id=order.pk, told=refused, fills=[*found, *back], now=timezone.now()) == OrderState.CANCELED
    order.refresh_from_db()
    assert (order.reason_code, order.reason) == ("CANCELED", "A long text.")


@pytest.mark.parametrize("state", [VenueOrderState.REJECTED, VenueOrderState.EXPIRED, VenueOrderState.CANCELED])
def test_every_end_after_the_request(paper: PaperDesk, resting: Proposal, state: VenueOrderState) -> None:
    ask(paper, resting)
    order = paper.order_of(resting)
    told = replace(venue.connect(paper.connection).order(order.venue_order_id), state=state)
    assert fills.book(order_id=order.pk, told=told, fills=(), now=timezone.now()) == state.value


@pytest.mark.parametrize(
    ("who", "error"),
    [
        ("trader", None),
        ("key", None),
        ("approver", None),
        ("risk", None),
        ("operator", None),
        ("colleague", Forbidden),
        ("auditor", Forbidden),
        ("approver's key", NotFound),
        ("stranger", NotFound),
        ("approver elsewhere", NotFound),
    ],
)
def test_who_may(paper: PaperDesk, resting: Proposal, who: str, error: type[Exception] | None) -> None:
    def person(role: str | None, *, here: bool = True) -> Principal:
        user = UserFactory(role=role, desk=paper.desk) if here else UserFactory(role=role)
        return Principal(user_id=user.pk, api_key_id=None, name="Somebody")

    of = {
        "trader": lambda: Principal(user_id=paper.trader.pk, api_key_id=None, name="Trader"),
        "key": lambda: paper.principal,
        "approver": lambda: person("approver"),
        "risk": lambda: person("risk"),
        "operator": lambda: person("operator"),
        "colleague": lambda: person("trader"),
        "auditor": lambda: person("auditor"),
        "approver's key": lambda: Principal(user_id=paper.approver.pk, api_key_id=paper.key.pk, name="Key"),
        "stranger": lambda: person(None, here=False),
        "approver elsewhere": lambda: person("approver", here=False),
    }
    principal, order = of[who](), paper.order_of(resting)

    def act() -> cancels.CancelAsked:
        return cancels.request_cancel_as(order_id=order.pk, principal=principal, reason="", now=timezone.now())

    if error is None:
        assert act().answer is CancelAnswer.REQUESTED
        return
    with pytest.raises(error):
        act()
    assert paper.order_of(resting).state == OrderState.ACCEPTED


def test_the_command(paper: PaperDesk, resting: Proposal, capsys: pytest.CaptureFixture[str]) -> None:
    order = paper.order_of(resting)
    call_command("cancel_order", str(order.pk), "--reason", "Maintenance.")
    assert "The venue is being asked" in capsys.readouterr().out
    assert paper.order_of(resting).state == OrderState.CANCEL_REQUESTED
    with pytest.raises(CommandError, match="ORDER_UNKNOWN"):
        call_command("cancel_order", str(resting.pk), "--reason", "No such order.")


def test_an_error_of_ours_is_not_an_answer(
    paper: PaperDesk, resting: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(paper, resting)

    def broken(ids: object) -> None:
        raise OutcomeUnknown("VENUE_OUTCOME_UNKNOWN", "No.")

    with monkeypatch.context() as patch:
        patch.setattr(venue.connect(paper.connection), "cancel_orders", broken)
        assert send(paper, resting) == OrderState.CANCEL_REQUESTED
    with monkeypatch.context() as patch:
        patch.setattr(venue.connect(paper.connection), "cancel_orders", lambda ids: 1 / 0)
        assert send(paper, resting, later(3)) == OrderState.CANCEL_REQUESTED
    assert kinds(resting).count("order.cancel_told") == 2
