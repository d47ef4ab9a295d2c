"""What trips by itself, each at its bound, without anybody asking for an order; and what a broken log does."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.utils import timezone

from apps.audit.models import Alarm, Event
from apps.audit.selectors import events_of
from apps.audit.services import verifications
from apps.audit.types import Actor
from apps.common.errors import Denied, NotFound
from apps.dashboard.services.demo_policy import DEMO_RULES
from apps.policies.models import Latch, TradingState
from apps.policies.selectors import trading_state
from apps.policies.services import latches as policy_latches
from apps.policies.types import LatchKind, RuleRow
from apps.trades.models import Order
from apps.trades.services import differences, latches, marks, resumption, self_checks
from apps.trades.types import DifferenceKind, OrderState
from tests.factories.desk import PaperDesk
from tests.factories.latches import connected, prices_of_everything, reset, trip
from tests.factories.tampering import tamper
from tests.factories.trading import change_policy, move, rules_with

pytestmark = pytest.mark.django_db

MID = "64000"
DRAWDOWN = RuleRow("drawdown", "drawdown", {"max_drawdown_bps": "1000"})


def tripped() -> list[str]:
    return sorted(Latch.objects.filter(reset_at=None).values_list("kind", flat=True))


def orders_of(paper: PaperDesk, count: int) -> list[Order]:
    """Approved orders of small and different sizes."""
    for number in range(count):
        paper.approve(paper.propose(quantity=Decimal("0.001") + Decimal(number) / 10_000))
    return list(Order.objects.order_by("created_at"))


def rejected(order: Order, at: datetime) -> None:
    for state in (OrderState.SUBMITTED, OrderState.REJECTED):
        Order.objects.filter(pk=order.pk).update(state=state, closed_at=at, reason_code="INSUFFICIENT_FUND")


class TestLosses:
    def test_a_fall_from_the_highest_worth_trips_and_a_recovery_does_not_reset(self, paper: PaperDesk) -> None:
        change_policy(paper, (*DEMO_RULES, DRAWDOWN))
        now = timezone.now()
        prices_of_everything(paper)
        self_checks.check(connected(paper), now=now)
        assert tripped() == []
        move(paper, "25000")
        self_checks.check(connected(paper), now=timezone.now())
        assert tripped() == ["DRAWDOWN"]
        assert trading_state(paper.connection.pk) == "REDUCING"
        move(paper, "90000")
        for hours in (0, 24, 48):
            self_checks.check(connected(paper), now=timezone.now() + timedelta(hours=hours))
            assert tripped() == ["DRAWDOWN"]

    def test_a_reset_makes_what_is_held_the_mark(self, paper: PaperDesk) -> None:
        change_policy(paper, (*DEMO_RULES, DRAWDOWN))
        prices_of_everything(paper)
        self_checks.check(connected(paper), now=timezone.now())
        move(paper, "25000")
        now = timezone.now()
        self_checks.check(connected(paper), now=now)
        reset(paper, now)
        self_checks.check(connected(paper), now=now)
        assert tripped() == []
        mark = marks.measure(connected(paper), now=now)
        assert mark is not None and mark.peak - mark.equity < Decimal("0.0001")

    def test_a_loss_of_the_day_trips_without_an_ask(self, paper: PaperDesk) -> None:
        wide = {"collar": {"aggressive_bps": "1000"}, "approvals": {"drift_bps": "2000"}}
        change_policy(paper, rules_with(daily_loss={"max_loss": "10"}, **wide))
        move(paper, MID)
        bought = paper.propose(quantity=Decimal("0.02"))
        paper.approve(bought)
        paper.execute(bought)
        paper.poll(bought)
        move(paper, "63000")
        self_checks.check(connected(paper), now=timezone.now())
        assert tripped() == ["DAILY_LOSS"]
        latch = Latch.objects.get()
        assert latch.evidence["limit"] == "10" and Decimal(latch.evidence["observed"]) > 10


class TestRejects:
    def test_the_fifth_within_ten_minutes_halts_the_connection(self, paper: PaperDesk) -> None:
        now = timezone.now()
        orders = orders_of(paper, 6)
        for number, order in enumerate(orders[:5]):
            assert tripped() == []
            rejected(order, now - timedelta(minutes=number))
            latches.trip_on_rejects(paper.connection.pk, now)
        assert tripped() == ["REPEATED_REJECTS"]
        assert trading_state(paper.connection.pk) == "HALTED"
        assert "INSUFFICIENT_FUND" in Latch.objects.get().message
        reset(paper, now)
        latches.trip_on_rejects(paper.connection.pk, now)
        assert tripped() == [], "what was before the reset does not count again"

    def test_the_bounds_are_settings(self, paper: PaperDesk, settings: Any) -> None:
        settings.TRIP_REJECTS, settings.TRIP_REJECTS_WITHIN_S = 2, 60
        now = timezone.now()
        first, second, third = orders_of(paper, 3)
        rejected(first, now - timedelta(seconds=61))
        rejected(second, now)
        latches.trip_on_rejects(paper.connection.pk, now)
        assert tripped() == []
        rejected(third, now)
        latches.trip_on_rejects(paper.connection.pk, now)
        assert tripped() == ["REPEATED_REJECTS"]
        assert Latch.objects.get().message.startswith("2 orders within 1 min 0 s, the last for INSUFFICIENT_FUND")

    def test_rejects_further_apart_do_not(self, paper: PaperDesk) -> None:
        now = timezone.now()
        for number, order in enumerate(orders_of(paper, 5)):
            rejected(order, now - timedelta(seconds=150 * number))
        latches.trip_on_rejects(paper.connection.pk, now)
        assert tripped() == []

    def test_the_answer_of_the_venue_counts_at_once(self, paper: PaperDesk) -> None:
        move(paper, MID)
        orders = orders_of(paper, 5)
        for order in orders[:4]:
            rejected(order, timezone.now())
        paper.simulator.reset(USD="5")
        move(paper, MID)
        assert paper.execute(orders[4].proposal) == OrderState.REJECTED
        assert tripped() == ["REPEATED_REJECTS"]


class TestQuotes:
    def test_how_long_the_silence_may_be_is_a_setting(self, paper: PaperDesk, settings: Any) -> None:
        settings.TRIP_QUOTE_OLD_S, settings.TRIP_QUOTES_DEAD_S = 20, 5
        move(paper, MID)
        resting = paper.propose(limit_price=Decimal("60000"))
        paper.approve(resting)
        assert paper.execute(resting) == OrderState.ACCEPTED
        now = timezone.now()
        for seconds, expected in ((19, []), (22, []), (26, []), (28, ["QUOTES_DEAD"])):
            self_checks._check_quotes(connected(paper), now + timedelta(seconds=seconds))
            assert tripped() == expected, seconds

    def test_silence_while_an_order_rests_reduces(self, paper: PaperDesk) -> None:
        move(paper, MID)
        resting = paper.propose(limit_price=Decimal("60000"))
        paper.approve(resting)
        assert paper.execute(resting) == OrderState.ACCEPTED
        cache.clear()
        now = timezone.now()
        for seconds in (0, 15, 29):
            self_checks._check_quotes(connected(paper), now + timedelta(seconds=seconds))
            assert tripped() == [], "a start knows no price yet"
        self_checks._check_quotes(connected(paper), now + timedelta(seconds=30))
        assert tripped() == ["QUOTES_DEAD"]
        assert trading_state(paper.connection.pk) == "REDUCING"

    def test_a_price_in_between_begins_anew_and_nothing_resting_needs_none(self, paper: PaperDesk) -> None:
        move(paper, MID)
        now = timezone.now()
        cache.clear()
        self_checks._check_quotes(connected(paper), now)
        self_checks._check_quotes(connected(paper), now + timedelta(hours=1))
        assert tripped() == []
        resting = paper.propose(limit_price=Decimal("60000"))
        paper.approve(resting)
        paper.execute(resting)
        cache.clear()
        self_checks._check_quotes(connected(paper), timezone.now())
        move(paper, MID)
        self_checks._check_quotes(connected(paper), timezone.now())
        cache.clear()
        self_checks._check_quotes(connected(paper), timezone.now() + timedelta(seconds=29))
        assert tripped() == []


class TestMismatch:
    def test_another_order_than_the_one_sent_trips_in_the_same_commit(self, paper: PaperDesk) -> None:
        differences.keep(
            connection_id=paper.connection.pk,
            kind=DifferenceKind.ORDER_DIFFERS,
            subject=str(uuid4()),
            ours="Buy 0.01.",
            theirs="Sell 0.01.",
            done="Nothing was booked.",
            now=timezone.now(),
        )
        assert tripped() == ["MISMATCH"]
        assert trading_state(paper.connection.pk) == "HALTED"
        assert Latch.objects.get().evidence["at_the_venue"] == "Sell 0.01."


class TestRecord:
    def test_tampering_halts_everything_until_two_people_and_a_new_look(self, paper: PaperDesk) -> None:
        paper.propose()
        now = timezone.now()
        self_checks.run(now=now)
        assert trading_state(None) == "ACTIVE"
        event = Event.objects.filter(kind="proposal.proposed").get()
        written = bytes(event.body)
        tamper(event, body=b"{}")
        verifications.verify_and_record(by=Actor.system("test"), now=now)
        self_checks.run(now=now)
        assert tripped() == ["AUDIT_FAILURE"]
        assert trading_state(None) == trading_state(paper.connection.pk) == "HALTED"
        # The log is whole again, and neither that nor time lets go.
        tamper(event, body=written)
        verifications.verify_and_record(by=Actor.system("test"), now=now + timedelta(days=1))
        self_checks.run(now=now + timedelta(days=1))
        assert tripped() == ["AUDIT_FAILURE"]
        # What is reset is known, so that the same verification does not trip it anew; trading stays halted.
        tamper(event, body=b"{}")
        self._two_people_reset(paper)
        self_checks.run(now=timezone.now())
        assert tripped() == [] and trading_state(None) == "HALTED"
        # Two people are not enough while a new look at the log finds the same; nor is one, once it finds nothing.
        with pytest.raises(Denied, match="not intact"):
            resumption.ask(connection_id=None, requester=paper.risk, reason="Fine.", clock=timezone.now)
        tamper(event, body=written)
        resumption.ask(connection_id=None, requester=paper.risk, reason="Restored.", clock=timezone.now)
        with pytest.raises(Denied):
            resumption.second(connection_id=None, seconder=paper.risk, clock=timezone.now)
        assert trading_state(None) == "HALTED"
        resumption.second(connection_id=None, seconder=paper.approver, clock=timezone.now)
        assert trading_state(None) == trading_state(paper.connection.pk) == "ACTIVE"
        self_checks.run(now=timezone.now())
        assert tripped() == []

    def _two_people_reset(self, paper: PaperDesk) -> None:
        """Neither of them alone."""
        (latch,) = Latch.objects.filter(reset_at=None)
        now = timezone.now()
        with pytest.raises(NotFound):
            latches.second_reset(latch_id=latch.pk, seconder=paper.approver, now=now)
        policy_latches.request_reset(latch_id=latch.pk, requester=paper.risk, reason="Found out why.", now=now)
        with pytest.raises(Denied):
            latches.second_reset(latch_id=latch.pk, seconder=paper.risk, now=now)
        assert tripped() == ["AUDIT_FAILURE"]
        latches.second_reset(latch_id=latch.pk, seconder=paper.approver, now=now)

    def test_a_log_that_takes_no_entry_halts_and_is_recorded_when_it_does_again(
        self, paper: PaperDesk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The one place where recording is broken on purpose: no database at hand refuses an insert on command."""
        now = timezone.now()
        with monkeypatch.context() as broken:
            broken.setattr("apps.audit.services.probing.events.record", _broken)
            self_checks.run(now=now)
        row = TradingState.objects.get(scope="global")
        assert (row.state, row.changed_by) == ("HALTED", "self-check, off the record")
        assert tripped() == []
        self_checks.run(now=now)
        assert tripped() == ["AUDIT_FAILURE"]
        event = events_of("trading_state:global").last()
        assert event is not None and event.kind == "latch.tripped"

    def test_the_probe_leaves_nothing_behind(self, paper: PaperDesk) -> None:
        before = Event.objects.count()
        self_checks.run(now=timezone.now())
        assert Event.objects.count() == before


class TestRun:
    def test_a_check_that_breaks_says_so_and_keeps_no_other_from_running(
        self, paper: PaperDesk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as broken:
            broken.setattr("apps.trades.services.self_checks.marks.measure", _broken)
            self_checks.run(now=timezone.now())
        alarm = Alarm.objects.get(code="SELF_CHECK_BROKE")
        assert alarm.cleared_at is None
        self_checks.run(now=timezone.now())
        alarm.refresh_from_db()
        assert alarm.cleared_at is not None

    def test_what_is_tripped_is_enforced_whatever_the_state_says(self, paper: PaperDesk) -> None:
        now = timezone.now()
        trip(paper, LatchKind.MISMATCH, now=now)
        TradingState.objects.filter(connection=paper.connection).update(state="ACTIVE")
        assert self_checks.run(now=now) == 1
        assert trading_state(paper.connection.pk) == "HALTED"


def _broken(*args: object, **kwargs: object) -> None:
    raise RuntimeError("broken")
