"""The ledger of a day and what must come back once: broken by hand, as in `test_promises_bite`."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

import pytest

from apps.accounts.services import idempotency
from apps.accounts.services.idempotency import Replay
from apps.connectors.models import Connection
from apps.connectors.types import Side
from apps.policies.models import Budget, ReservedAmount, TradingState
from apps.policies.services import budgets
from apps.policies.types import State
from apps.trades.models import Order, Proposal
from apps.trades.services import budgeting, orders, proposals, self_checks
from apps.trades.types import LIVE_ORDER_STATES, OrderState
from tests.scenarios.repeats import ON_THE_WAY
from tests.scenarios.test_state_machine import Desk


def adds_up(day: Desk) -> None:
    day.the_budgets_say_what_the_ledger_says()
    day.a_reservation_begins_and_ends_once()


def test_4_a_limit_that_is_looked_at_and_not_taken(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for is held against the sum, and not added to it."""
    day.a_trade(Side.BUY, 1, "")
    adds_up(day)
    monkeypatch.setattr(budgets, "_take", lambda budget, claim, now: None)
    day.a_trade(Side.BUY, 1, "")
    with pytest.raises(AssertionError, match="Traded on the day|at cost|in units"):
        day.the_budgets_say_what_the_ledger_says()


def test_5_an_order_of_unknown_fate_that_gives_back(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    day.a_trade(Side.BUY, 2, "timeout-before")
    assert Order.objects.get().state == OrderState.UNKNOWN
    adds_up(day)

    tell = orders.raise_unknown

    def gives_back(order_id: UUID, reason: str, now: datetime) -> None:
        tell(order_id, reason, now)
        budgeting.follow(order_id=order_id, now=now)

    monkeypatch.setattr(orders, "raise_unknown", gives_back)
    monkeypatch.setattr(budgeting, "LIVE_ORDER_STATES", LIVE_ORDER_STATES - {OrderState.UNKNOWN})
    day.a_trade(Side.BUY, 2, "timeout-before")
    with pytest.raises(AssertionError):
        day.the_budgets_say_what_the_ledger_says()
    with pytest.raises(AssertionError, match="UNKNOWN"):
        day.a_reservation_begins_and_ends_once()


def test_5_as_it_is_a_year_of_silence_gives_nothing_back(day: Desk) -> None:
    day.a_trade(Side.BUY, 2, "timeout-before")
    before = [(row.dimension, row.reserved_minor) for row in Budget.objects.order_by("pk")]
    day.turn(365 * 24 * 3600, 60)
    assert Order.objects.get().state == OrderState.UNKNOWN
    assert [(row.dimension, row.reserved_minor) for row in Budget.objects.order_by("pk")] == before
    adds_up(day)


def test_5_what_is_given_back_twice(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it was given back is not written down: once more, and another order's part is gone too."""
    day.a_trade(Side.BUY, 1, "")
    day.a_trade(Side.BUY, 1, "")
    monkeypatch.setattr(ReservedAmount, "save", lambda row, **how: None)
    day.a_proposal_may_end(0, "revoke")
    adds_up(day)
    budgeting.follow(order_id=Order.objects.get(state=OrderState.CANCELED).pk, now=day.now)
    with pytest.raises(AssertionError):
        day.the_budgets_say_what_the_ledger_says()


@pytest.mark.parametrize("times", [0, 2])
def test_5_a_reservation_that_does_not_end_once(day: Desk, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    day.a_trade(Side.BUY, 1, "")
    end = budgets._end
    monkeypatch.setattr(budgets, "_end", lambda *about: [end(*about) for _ in range(times)])
    day.a_proposal_may_end(0, "revoke")
    with pytest.raises(AssertionError, match="CANCELED"):
        day.a_reservation_begins_and_ends_once()


def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key is remembered."""
    keep, propose = idempotency.kept, proposals.propose
    monkeypatch.setattr(idempotency, "settled", lambda claim, stored: claim)
    monkeypatch.setattr(idempotency, "kept", lambda claim, **what: keep(replace(claim, key=str(uuid4())), **what))
    monkeypatch.setattr(
        proposals, "propose", lambda *, idempotency_key, **what: propose(idempotency_key=str(uuid4()), **what)
    )


def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes under a key gets what is stored there."""
    monkeypatch.setattr(
        idempotency,
        "settled",
        lambda claim, stored: next((Replay(status=row.status, body=row.body) for row in stored.answer), claim),
    )


def reworded(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one proposal, and the answer is made anew."""
    monkeypatch.setattr(
        idempotency, "settled", lambda claim, stored: Replay(status=201, body=b"{}") if stored.answer else claim
    )


@pytest.mark.parametrize("breaks", [forgetful, careless, reworded])
def test_15_a_key_that_is_not_kept(
    day: Desk, monkeypatch: pytest.MonkeyPatch, breaks: Callable[[pytest.MonkeyPatch], None]
) -> None:
    day.a_program_asks("")
    day.a_program_asks_again(0, same=True)
    day.a_program_asks_again(0, same=False)
    breaks(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        day.a_program_asks_again(0, same=breaks is not careless)


@pytest.mark.parametrize("label", ON_THE_WAY)
def test_15_as_it_is_who_died_on_the_way_gets_one_answer(day: Desk, label: str) -> None:
    day.a_program_asks(label)
    assert not day.told and f"killed at {label}" in day.reached
    day.a_program_asks_again(0, same=True)
    day.a_program_asks_again(0, same=True)
    assert Proposal.objects.count() == len(day.told) == 1


def test_13_a_day_that_lets_go(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    day.a_trade(Side.BUY, 3, "")
    day.a_day_is_lost(seen_to=True)
    day.resume(seen_to=True)
    assert day.state() == State.ACTIVE
    look, first = self_checks._check_losses, day.now.date()

    def forgets(connection: Connection, now: datetime) -> None:
        """What was lost on another day is forgiven."""
        look(connection, now)
        if now.date() != first:
            TradingState.objects.filter(connection=connection).update(state=State.ACTIVE.value)

    monkeypatch.setattr(self_checks, "_check_losses", forgets)
    with pytest.raises(AssertionError, match="a new day let go"):
        day.a_day_is_lost(seen_to=False)
    with pytest.raises(AssertionError):
        day.a_latch_stays_until_two_people_reset_it()
