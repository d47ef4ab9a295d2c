"""What an order holds of the budgets from its approval to its end, on the real path, and the check that it adds up."""

import json
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from apps.approvals.models import Vote
from apps.audit.models import Alarm
from apps.common.errors import Conflict, Denied
from apps.common.money import minor_up
from apps.connectors.types import OrderType, Side, TimeInForce
from apps.policies.models import Budget, Decision, Reservation, ReservedAmount
from apps.policies.selectors import trading_state
from apps.policies.services.replays import problem_of
from apps.trades.models import Fill, Order, Position, Proposal
from apps.trades.services import budgeting, conclusions, conservation, orders, sweeps
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk
from tests.factories.tampering import sql_update, tamper
from tests.factories.trading import change_policy, move, rules_with

pytestmark = pytest.mark.django_db

MID = "64000"
WIDE = {"daily_loss": {"max_loss": "100000"}, "collar": {"aggressive_bps": "1000"}}


@pytest.fixture
def desk(paper: PaperDesk) -> PaperDesk:
    move(paper, MID)
    return paper


def row(dimension: str) -> Budget:
    return Budget.objects.get(dimension=dimension)


def held(proposal: Proposal) -> Reservation:
    return Reservation.objects.get(source=str(Order.objects.get(proposal=proposal).pk))


def all_rows() -> dict[str, tuple[int, int]]:
    return {budget.dimension: (budget.reserved_minor, budget.used_minor) for budget in Budget.objects.all()}


def assert_adds_up() -> None:
    assert conservation.check(since=None, progress=lambda done, total: None).broken == ()


def approved(desk: PaperDesk, **changes: object) -> Proposal:
    proposal = desk.propose(**changes)
    assert proposal.state == "AWAITING_APPROVAL", proposal.end_code
    desk.approve(proposal)
    return proposal


class TestOnItsWay:
    def test_nothing_is_held_before_the_last_approval(self, desk: PaperDesk) -> None:
        desk.propose()
        assert (Budget.objects.count(), Reservation.objects.count()) == (0, 0)

    def test_from_approval_to_fill(self, desk: PaperDesk) -> None:
        proposal = approved(desk)
        order = desk.order_of(proposal)
        worth = order.notional_minor
        assert all_rows() == {
            "DAILY_NOTIONAL": (worth, 0),
            "GROSS_EXPOSURE": (worth, 0),
            "POSITION": (worth, 0),
            "POSITION_QUANTITY": (10**6, 0),
        }
        desk.execute(proposal)
        assert held(proposal).state == "HELD"
        desk.poll(proposal)
        fills = Fill.objects.filter(order=order)
        traded = minor_up(sum((fill.quantity * fill.price for fill in fills), Decimal(0)))
        assert 0 < traded <= worth
        position = Position.objects.get()
        cost = minor_up(position.quantity * (position.average_entry_price or 0))
        assert all_rows() == {
            "DAILY_NOTIONAL": (0, traded),
            "GROSS_EXPOSURE": (0, cost),
            "POSITION": (0, cost),
            "POSITION_QUANTITY": (0, 10**6),
        }
        assert (held(proposal).state, held(proposal).reason) == ("CONSUMED", "FILLED")
        desk.poll(proposal)
        budgeting.follow(order_id=order.pk, now=timezone.now())
        assert all_rows()["DAILY_NOTIONAL"] == (0, traded)
        assert_adds_up()

    def test_an_order_by_worth(self, desk: PaperDesk) -> None:
        proposal = approved(
            desk,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.IOC,
            quantity=None,
            quote_quantity=Decimal(500),
        )
        assert row("DAILY_NOTIONAL").reserved_minor == 500 * 10**8
        quantity = row("POSITION_QUANTITY").reserved_minor
        desk.execute(proposal)
        assert desk.poll(proposal) == OrderState.FILLED
        assert row("DAILY_NOTIONAL").reserved_minor == 0
        assert row("DAILY_NOTIONAL").used_minor <= 500 * 10**8
        assert 0 < row("POSITION_QUANTITY").used_minor <= quantity
        assert_adds_up()

    def test_a_sale_gives_back_what_was_bought_and_counts_for_the_day(self, desk: PaperDesk) -> None:
        change_policy(desk, rules_with(**WIDE))
        bought = approved(desk, quantity=Decimal("0.02"))
        desk.execute(bought)
        desk.poll(bought)
        before = all_rows()
        sold = approved(desk, side=Side.SELL, quantity=Decimal("0.01"))
        assert all_rows()["POSITION"] == before["POSITION"]
        desk.execute(sold)
        desk.poll(sold)
        after = all_rows()
        assert after["POSITION_QUANTITY"] == (0, 10**6)
        assert after["POSITION"][1] == after["GROSS_EXPOSURE"][1]
        assert abs(after["POSITION"][1] * 2 - before["POSITION"][1]) <= 2
        assert after["DAILY_NOTIONAL"][1] > before["DAILY_NOTIONAL"][1]
        assert_adds_up()

    def test_coins_from_elsewhere_were_never_counted_and_are_not_given_back(self, desk: PaperDesk) -> None:
        sold = approved(desk, side=Side.SELL)
        desk.execute(sold)
        desk.poll(sold)
        assert all_rows()["POSITION_QUANTITY"] == all_rows()["GROSS_EXPOSURE"] == (0, 0)
        assert_adds_up()

    def test_a_reversal_after_the_end_gives_back(self, desk: PaperDesk) -> None:
        proposal = approved(desk)
        desk.execute(proposal)
        desk.poll(proposal)
        for fill in Fill.objects.filter(order__proposal=proposal, trade_type="FILL"):
            desk.simulator.correct_fill(fill.venue_fill_id)
        desk.poll(proposal)
        assert set(all_rows().values()) == {(0, 0)}
        assert held(proposal).state == "CONSUMED"
        assert_adds_up()


class TestGivenBack:
    """Only where it is proved that nothing more can execute."""

    @pytest.fixture
    def proposal(self, desk: PaperDesk) -> Proposal:
        return approved(desk)

    def assert_released(self, proposal: Proposal, reason: str) -> None:
        assert set(all_rows().values()) == {(0, 0)}
        assert (held(proposal).state, held(proposal).reason) == ("RELEASED", reason)
        assert_adds_up()

    def test_void_before_the_claim(self, desk: PaperDesk, proposal: Proposal) -> None:
        move(desk, "70000")
        assert desk.execute(proposal) == OrderState.CANCELED
        self.assert_released(proposal, "CANCELED")

    def test_rejected_with_proof(self, desk: PaperDesk, proposal: Proposal) -> None:
        desk.simulator.reset(USD="5")
        move(desk, MID)
        assert desk.execute(proposal) == OrderState.REJECTED
        self.assert_released(proposal, "REJECTED")

    @pytest.mark.parametrize("kind", ["timeout-after", "5xx-after", "timeout-before"])
    def test_an_unknown_outcome_gives_back_nothing_in_a_year(
        self, desk: PaperDesk, proposal: Proposal, kind: str
    ) -> None:
        before = all_rows()
        desk.simulator.add_fault("create", kind, seconds="0")
        assert desk.execute(proposal) == OrderState.UNKNOWN
        later = timezone.now() + timedelta(days=365)
        sweeps.publish_polls(now=later)
        sweeps.resolve_lapsed_claims(now=later)
        sweeps.expire_due(now=later)
        budgeting.follow(order_id=desk.order_of(proposal).pk, now=later)
        assert conservation.watch(now=later).broken == ()
        assert all_rows() == before
        assert held(proposal).state == "HELD"

    def test_given_up_by_two_people_and_not_before(self, desk: PaperDesk, proposal: Proposal, settings: Any) -> None:
        settings.UNKNOWN_HORIZON_S = 0
        before = all_rows()
        desk.simulator.add_fault("create", "timeout-before", seconds="0")
        assert desk.execute(proposal) == OrderState.UNKNOWN
        order_id = desk.order_of(proposal).pk
        conclusions.ask_to_abandon(
            order_id=order_id, requester=desk.risk, reason="Not in the venue's app.", now=timezone.now()
        )
        with pytest.raises(Denied, match="SECOND_PERSON_IS_REQUESTER"):
            conclusions.second_and_abandon(order_id=order_id, seconder=desk.risk, clock=timezone.now)
        assert (all_rows(), held(proposal).state) == (before, "HELD"), "one person gives nothing back"
        conclusions.second_and_abandon(order_id=order_id, seconder=desk.approver, clock=timezone.now)
        self.assert_released(proposal, "ABANDONED")

    def test_nothing_left_and_that_is_certain_it_waits_with_what_it_holds(
        self, desk: PaperDesk, proposal: Proposal
    ) -> None:
        before = all_rows()
        claim = orders._claim(desk.order_of(proposal).pk, timezone.now(), timezone.now)
        assert claim is not None
        orders._give_back(claim, timezone.now(), code="TEST", reason="Nothing was sent.")
        assert all_rows() == before
        assert_adds_up()


class TestNoRoom:
    def test_the_rule_says_it_when_the_budget_is_full(self, desk: PaperDesk) -> None:
        change_policy(desk, rules_with(daily_notional={"max_notional": "1000"}))
        first, second = desk.propose(), desk.propose(quantity=Decimal("0.009"))
        desk.approve(first)
        with pytest.raises(Denied) as caught:
            desk.approve(second)
        assert caught.value.code == "DAILY_NOTIONAL"
        second.refresh_from_db()
        assert second.state == "AWAITING_APPROVAL"

    def test_a_budget_that_is_tighter_than_the_judgement_undoes_the_vote(self, desk: PaperDesk) -> None:
        """The policy that was judged by is not the one that set the limit of the row: look again."""
        approved(desk)
        second = desk.propose(quantity=Decimal("0.009"))
        sql_update(row("DAILY_NOTIONAL"), limit_minor=10**8)
        before = all_rows()
        with pytest.raises(Conflict) as caught:
            desk.approve(second)
        assert caught.value.code == "DAILY_NOTIONAL"
        assert not Vote.objects.filter(proposal=second).exists()
        assert not Order.objects.filter(proposal=second).exists()
        assert all_rows() == before

    def test_the_limit_is_lowered_below_what_is_held(self, desk: PaperDesk) -> None:
        proposal = approved(desk)
        change_policy(desk, rules_with(daily_notional={"max_notional": "100"}))
        day = row("DAILY_NOTIONAL")
        assert day.is_over
        assert day.limit_minor == 100 * 10**8
        refused = desk.propose(quantity=Decimal("0.001"))
        assert (refused.state, refused.end_code) == ("DENIED", "DAILY_NOTIONAL")
        assert desk.execute(proposal) == OrderState.CANCELED
        assert not row("DAILY_NOTIONAL").is_over
        assert desk.propose(quantity=Decimal("0.0011")).state == "AWAITING_APPROVAL"
        assert_adds_up()


class TestCheck:
    def said(self, code: int, *arguments: str) -> str:
        out = StringIO()
        if code:
            with pytest.raises(SystemExit) as caught:
                call_command("check_reservations", *arguments, stdout=out)
            assert caught.value.code == code
        else:
            call_command("check_reservations", *arguments, stdout=out)
        return out.getvalue()

    def test_all_is_well(self, desk: PaperDesk) -> None:
        approved(desk)
        assert self.said(0) == "1 orders compared: everything adds up.\n"
        assert json.loads(self.said(0, "--json")) == {"orders": 1, "broken": []}

    @pytest.mark.parametrize(
        ("column", "code"),
        [("reserved_minor", "RESERVED_DIFFERS"), ("used_minor", "USED_DIFFERS"), ("limit_minor", "LIMIT_DIFFERS")],
    )
    def test_a_budget_somebody_changed(self, desk: PaperDesk, column: str, code: str) -> None:
        approved(desk)
        day = row("DAILY_NOTIONAL")
        sql_update(day, **{column: getattr(day, column) - 1 if column != "used_minor" else 1})
        assert f"{code} at budget:{day.pk}: Traded on the day" in self.said(1)
        found = json.loads(self.said(1, "--json"))["broken"]
        assert [(item["code"], item["connection_id"]) for item in found] == [(code, str(desk.connection.pk))]

    def test_a_reservation_that_ended_under_a_living_order(self, desk: PaperDesk) -> None:
        proposal = approved(desk)
        made = held(proposal)
        tamper(made, state="RELEASED", ended_at=timezone.now())
        assert "ENDED_AND_HOLDING" in self.said(1)
        assert f"RESERVATION_DIFFERS at {made.source}" in self.said(1)

    def test_an_order_that_ended_and_still_holds(self, desk: PaperDesk) -> None:
        order = desk.order_of(approved(desk))
        tamper(order, state="CANCELED")
        assert f"RESERVATION_ORPHANED at {order.pk}" in self.said(1)

    def test_an_order_without_a_reservation(self, desk: PaperDesk) -> None:
        made = held(approved(desk))
        tamper(made, source="nobody")
        assert "RESERVATION_MISSING" in self.said(1)
        assert "RESERVATION_ORPHANED at nobody" in self.said(1)

    def test_a_position_that_is_not_what_the_budget_counts(self, desk: PaperDesk) -> None:
        proposal = approved(desk)
        desk.execute(proposal)
        desk.poll(proposal)
        sql_update(Position.objects.get(), quantity=Decimal("0.02"))
        assert self.said(1).count("USED_DIFFERS") == 2

    def test_an_amount_that_was_given_back_too_early(self, desk: PaperDesk) -> None:
        made = held(approved(desk))
        amount = ReservedAmount.objects.filter(reservation=made, held_minor__gt=0).first()
        assert amount is not None
        sql_update(amount, held_minor=0)
        assert "RESERVATION_DIFFERS" in self.said(1)
        assert "RESERVED_DIFFERS" in self.said(1)

    def test_the_watch_halts_says_so_and_clears(self, desk: PaperDesk) -> None:
        approved(desk)
        now, day = timezone.now(), row("DAILY_NOTIONAL")
        assert conservation.watch(now=now).broken == ()
        assert trading_state(desk.connection.pk) == "ACTIVE"
        sql_update(day, reserved_minor=day.reserved_minor - 1)
        assert len(conservation.watch(now=now).broken) == 1
        alarms = Alarm.objects.filter(code="RESERVATIONS_BROKEN", subject=f"connection:{desk.connection.pk}")
        assert alarms.get(cleared_at=None).message.startswith("Traded on the day")
        assert trading_state(desk.connection.pk) == "HALTED"
        sql_update(day, reserved_minor=day.reserved_minor)
        assert conservation.watch(now=now).broken == ()
        assert not alarms.filter(cleared_at=None).exists()
        assert trading_state(desk.connection.pk) == "HALTED"


def test_a_denial_for_want_of_room_replays(desk: PaperDesk) -> None:
    change_policy(desk, rules_with(daily_notional={"max_notional": "1000"}))
    first, second = desk.propose(), desk.propose(quantity=Decimal("0.009"))
    desk.approve(first)
    with pytest.raises(Denied):
        desk.approve(second)
    decision = Decision.objects.get(subject=str(second.pk), gate="APPROVAL")
    assert (decision.outcome, problem_of(decision)) == ("DENY", "")
