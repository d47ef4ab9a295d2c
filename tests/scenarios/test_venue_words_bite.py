"""Who decides, what is sent and what the venue says: broken by hand, as in `test_promises_bite`."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from apps.approvals.services import decide
from apps.connectors.types import Side
from apps.trades.models import Order, Proposal
from apps.trades.selectors import desk_of_one
from apps.trades.services import grounds, orders
from apps.trades.services.orders import Claim, Clock
from apps.trades.types import OrderState
from tests.scenarios.test_state_machine import Desk


def test_6_who_asked_approves(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks who it is, and on paper a desk of one is taken for granted: the database lets that pass."""
    day.propose(Side.BUY, 1, resting=False)
    day.nobody_approves_what_they_or_their_key_asked_for()
    monkeypatch.setattr(decide, "require_voter", lambda proposal, approver: None)
    monkeypatch.setattr(desk_of_one, "is_decided_alone", lambda proposal: True)
    for asking in (decide, grounds):
        monkeypatch.setattr(asking, "is_active_in_roles", lambda person, roles: True)
    day.paper.approve(Proposal.objects.get(), by=day.paper.trader)
    with pytest.raises(AssertionError, match="who asked has voted"):
        day.nobody_approves_what_they_or_their_key_asked_for()
    day.execute(0, "once")
    with pytest.raises(AssertionError, match="who asked counts"):
        day.every_order_at_the_venue_was_approved_by_enough_others()


def test_9_a_request_that_is_made_twice(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue knows the name and makes one order of both: it is a second request all the same."""
    day.a_trade(Side.BUY, 2, "")
    day.each_is_at_the_venue_once_and_sent_again_only_by_a_replay()
    send = orders._send
    monkeypatch.setattr(orders, "_send", lambda claim, clock: [send(claim, clock) for _ in range(2)][-1])
    day.a_trade(Side.BUY, 2, "")
    with pytest.raises(AssertionError, match="2 requests, and 1 claims"):
        day.each_is_at_the_venue_once_and_sent_again_only_by_a_replay()


def test_9_a_request_under_a_new_name_each_time(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As who makes up an id when a request fails, and sends again."""
    send = orders._send

    def twice(claim: Claim, clock: Clock) -> str:
        name = str(Order.objects.get(pk=claim.order_id).client_order_id).encode()
        send(replace(claim, body=claim.body.replace(name, str(uuid4()).encode())), clock)
        return send(claim, clock)

    monkeypatch.setattr(orders, "_send", twice)
    day.a_trade(Side.BUY, 2, "")
    assert len(day.simulator.orders()) == 2
    with pytest.raises(AssertionError, match="a name that no order has"):
        day.each_is_at_the_venue_once_and_sent_again_only_by_a_replay()


@pytest.mark.parametrize(
    ("trouble", "taken_for", "said"),
    [
        ("timeout-after", OrderState.REJECTED, "it lives, and here it is REJECTED"),
        ("timeout-after", OrderState.INITIALIZED, "it lives, and here it is INITIALIZED"),
        ("timeout-before", OrderState.REJECTED, "the venue has not said so"),
        ("5xx-after", OrderState.REJECTED, "it lives, and here it is REJECTED"),
        ("garbage", OrderState.REJECTED, "it lives, and here it is REJECTED"),
    ],
)
def test_11_what_is_not_known_is_taken_for_a_no(
    day: Desk, monkeypatch: pytest.MonkeyPatch, trouble: str, taken_for: OrderState, said: str
) -> None:
    day.a_trade(Side.BUY, 1, "")
    day.silence_is_no_rejection()
    record = orders._record

    def takes(claim: Claim, state: OrderState, now: datetime, **what: Any) -> str:
        return record(claim, taken_for if state is OrderState.UNKNOWN else state, now, **what)

    monkeypatch.setattr(orders, "_record", takes)
    day.make_trouble(trouble)
    day.execute(0, "once")
    assert Order.objects.get().state == taken_for
    with pytest.raises(AssertionError, match=said):
        day.silence_is_no_rejection()


def test_11_as_it_is_a_no_in_words_is_one(day: Desk) -> None:
    day.a_trade(Side.BUY, 1, "")
    day.simulator.reset(USD="5")
    day.market_stands_at(day.mid)
    day.execute(0, "once")
    assert Order.objects.get().state == OrderState.REJECTED
    day.silence_is_no_rejection()
