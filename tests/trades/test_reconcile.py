"""Our rows beside the venue's: what the venue knows better is booked, and every difference is kept."""

import json
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.audit.models import Alarm
from apps.audit.services import alarms
from apps.audit.types import Actor
from apps.common.decimals import decimal_text
from apps.connectors.services import venue
from apps.policies.selectors import trading_state
from apps.trades.models import Difference, Fill, Order, Proposal, ReconciliationRun
from apps.trades.selectors.reconciliation import last_run
from apps.trades.services import differences
from apps.trades.services.reconciliation import runs
from apps.trades.services.reconciliation.runs import Report
from apps.trades.types import DifferenceKind, OrderState, RunOutcome, RunTrigger
from tests.factories.desk import BTC, PaperDesk, connect_paper
from tests.factories.tampering import tamper
from tests.factories.trading import change_connection, move, sent
from tests.factories.unknown import unknown

pytestmark = pytest.mark.django_db


def compare(paper: PaperDesk, *, after_s: int = 0, **options: Any) -> Report:
    """One run, as if it were `after_s` seconds later."""
    return runs.reconcile(
        connection_id=paper.connection.pk,
        trigger=RunTrigger.COMMAND,
        actor=Actor.system("test"),
        clock=lambda: timezone.now() + timedelta(seconds=after_s),
        **options,
    )


def accepted(paper: PaperDesk, **changes: object) -> Proposal:
    """A proposal whose order the venue took; nothing was polled since."""
    proposal = paper.propose(**changes)
    paper.approve(proposal)
    assert paper.execute(proposal) == OrderState.ACCEPTED
    return proposal


def place(paper: PaperDesk, name: str, *, price: str = "10000") -> str:
    """Somebody else's order on the same account; its id at the venue."""
    body = {
        "client_order_id": name,
        "product_id": BTC,
        "side": "BUY",
        "order_configuration": {"limit_limit_gtc": {"base_size": "0.001", "limit_price": price, "post_only": False}},
    }
    return venue.connect(paper.connection).place_order(json.dumps(body).encode()).venue_order_id


def found(report: Report) -> list[DifferenceKind]:
    return sorted(finding.kind for finding in report.findings)


def alarmed(code: str) -> bool:
    return Alarm.objects.filter(code=code, cleared_at=None).exists()


class TestClean:
    def test_nothing_differs(self, paper: PaperDesk) -> None:
        report = compare(paper)
        assert (report.outcome, report.findings) == (RunOutcome.CLEAN, ())
        run = ReconciliationRun.objects.get(pk=report.run_id)
        assert run.outcome == RunOutcome.CLEAN and run.balances is not None
        assert report.counts["balances"] == len(run.balances)
        last = last_run(paper.connection.pk)
        assert last is not None and last.clean

    def test_what_is_seconds_old_is_booked_and_is_no_difference(self, paper: PaperDesk) -> None:
        compare(paper)
        proposal = accepted(paper)
        assert compare(paper).outcome is RunOutcome.CLEAN
        order = paper.order_of(proposal)
        assert order.state == OrderState.FILLED and order.filled_quantity == order.quantity
        # The fills explain what the balances did, fees included.
        assert compare(paper).outcome is RunOutcome.CLEAN

    def test_what_has_ended_alike_costs_nothing_more(self, paper: PaperDesk) -> None:
        """Most orders of a window have ended, and were booked: a comparison of seven asks as often as one of three."""

        def asked() -> int:
            with CaptureQueriesContext(connection) as captured:
                report = compare(paper)
            assert report.outcome == RunOutcome.CLEAN
            return len(captured)

        def filled(count: int) -> None:
            for _ in range(count):
                assert paper.poll(accepted(paper, quantity=Decimal("0.001") * (1 + next(sizes)))) == OrderState.FILLED

        sizes = iter(range(20))
        filled(1)
        asked()  # the first has no balances before it to compare with
        filled(2)
        few = asked()
        filled(4)
        assert asked() == few
        assert compare(paper).counts["own orders"] == 7

    @pytest.mark.parametrize("differs", ["state", "quantity", "alarm", "correction"])
    def test_what_ended_otherwise_is_booked_again(self, paper: PaperDesk, differs: str) -> None:
        """All but one thing agrees."""
        proposal = accepted(paper)
        paper.poll(proposal)
        order = paper.order_of(proposal)
        if differs == "state":
            tamper(order, state=OrderState.ACCEPTED)
        elif differs == "quantity":
            tamper(order, filled_quantity=order.quantity / 2)
        elif differs == "alarm":
            subject = f"order:{order.pk}"
            alarms.raise_alarm(code="FILLS_DIFFER", subject=subject, message="Once.", now=timezone.now())
        else:
            paper.simulator.correct_fill(order.fills.get().venue_fill_id)
        tamper(order, polled_at=None)
        compare(paper)
        order.refresh_from_db()
        assert order.polled_at is not None, "it was looked at"
        assert order.state == OrderState.FILLED
        assert order.filled_quantity == (0 if differs == "correction" else order.quantity)
        assert not alarmed("FILLS_DIFFER")

    @pytest.mark.parametrize(("off_by", "differs"), [("0.5", True), ("-0.01", True), ("0.000000001", False)])
    def test_fees_that_the_venue_counts_otherwise(self, paper: PaperDesk, off_by: str, differs: bool) -> None:
        """Fills and quantity agree; what was paid for them does not. It is kept once, and waits for a person."""
        compare(paper)
        proposal = accepted(paper)
        paper.poll(proposal)
        order = paper.order_of(proposal)
        assert compare(paper, after_s=60).outcome is RunOutcome.CLEAN
        fill = order.fills.all()[0]
        paid = order.fees + Decimal(off_by)
        tamper(fill, fee=fill.fee + Decimal(off_by))
        tamper(order, fees=paid)
        for after_s in (120, 180):
            kinds = found(compare(paper, after_s=after_s))
            assert (DifferenceKind.ORDER_FEES in kinds) is differs
        kept = Difference.objects.filter(kind=DifferenceKind.ORDER_FEES)
        assert kept.count() == differs and alarmed("ORDER_FEES") is differs
        for row in kept:
            assert (row.order_id, row.settled_at) == (order.pk, None)
            assert f"Fees of {decimal_text(paid)} on" in row.ours
        order.refresh_from_db()
        assert (order.state, order.fees) == (OrderState.FILLED, paid), "nothing was booked for it"

    def test_fees_that_differ_for_a_moment_are_no_difference(self, paper: PaperDesk) -> None:
        compare(paper)
        proposal = accepted(paper)
        paper.poll(proposal)
        order = paper.order_of(proposal)
        fill = order.fills.all()[0]
        tamper(fill, fee=fill.fee + 1)
        tamper(order, fees=order.fees + 1)
        assert DifferenceKind.ORDER_FEES not in found(compare(paper))

    def test_a_resting_order_and_what_polling_has_booked(self, paper: PaperDesk) -> None:
        move(paper, "64000")
        compare(paper)
        accepted(paper, limit_price=Decimal("63500"))
        filled = accepted(paper)
        paper.poll(filled)
        for _ in range(2):
            assert compare(paper).outcome is RunOutcome.CLEAN
        assert Fill.objects.filter(order=paper.order_of(filled)).count() == 1

    def test_an_order_of_an_earlier_window(self, paper: PaperDesk) -> None:
        """It works on, and is asked for by its id."""
        move(paper, "64000")
        proposal = accepted(paper, limit_price=Decimal("63500"))
        report = compare(paper, since=timezone.now() + timedelta(seconds=20))
        assert (report.outcome, report.counts["own orders"], report.counts["orders"]) == (RunOutcome.CLEAN, 1, 0)
        assert paper.order_of(proposal).polled_at is not None

    def test_orders_of_another_connection_to_the_same_account(self, paper: PaperDesk) -> None:
        accepted(paper)
        tamper(paper.order_of(Proposal.objects.get()), connection_id=_second_connection(paper))
        assert compare(paper).outcome is RunOutcome.CLEAN


def _second_connection(paper: PaperDesk) -> Any:
    return connect_paper(paper.desk, paper.simulator, "second", timezone.now()).pk


class TestMissed:
    def test_a_fill_that_nobody_booked(self, paper: PaperDesk) -> None:
        compare(paper)
        proposal = accepted(paper)
        report = compare(paper, after_s=60)
        assert found(report) == [DifferenceKind.FILL_MISSED, DifferenceKind.ORDER_STATE]
        assert report.outcome is RunOutcome.DIFFERENCES
        assert paper.order_of(proposal).state == OrderState.FILLED
        rows = Difference.objects.all()
        assert all(row.settled_at is not None and row.run_id == report.run_id for row in rows)
        assert compare(paper, after_s=120).outcome is RunOutcome.CLEAN
        last = last_run(paper.connection.pk)
        assert last is not None and last.clean

    def test_what_is_unknown_is_settled_first(self, paper: PaperDesk) -> None:
        compare(paper)
        proposal = unknown(paper, "reset-after")
        report = compare(paper)
        assert paper.order_of(proposal).state == OrderState.FILLED
        assert report.outcome is RunOutcome.CLEAN
        assert Difference.objects.get().kind == DifferenceKind.ORDER_FOUND

    def test_what_stays_unknown_is_not_clean(self, paper: PaperDesk) -> None:
        proposal = unknown(paper, "late-arrival")
        report = compare(paper)
        assert (report.outcome, report.reason_code) == (RunOutcome.DIFFERENCES, "ORDERS_UNKNOWN")
        assert paper.order_of(proposal).state == OrderState.UNKNOWN
        run = ReconciliationRun.objects.get(pk=report.run_id)
        assert run.balances is None
        assert len(sent(paper)) == 1

    def test_a_list_of_fills_that_lags(self, paper: PaperDesk) -> None:
        """The order counts what the list does not show: nothing is said of balances until it does."""
        compare(paper)
        proposal = accepted(paper)
        paper.simulator.add_fault("fills", "lost-fills", rows=9, count=9)
        report = compare(paper)
        assert report.counts["balances"] == 0
        assert paper.order_of(proposal).state == OrderState.ACCEPTED
        paper.simulator.clear_faults()
        assert compare(paper).outcome is RunOutcome.CLEAN
        assert paper.order_of(proposal).state == OrderState.FILLED

    def test_fills_told_twice_are_booked_once(self, paper: PaperDesk) -> None:
        compare(paper)
        proposal = accepted(paper)
        paper.simulator.add_fault("fills", "duplicate-fills", count=9)
        assert compare(paper).outcome is RunOutcome.CLEAN
        order = paper.order_of(proposal)
        assert order.filled_quantity == order.quantity

    def test_an_order_the_venue_does_not_know(self, paper: PaperDesk) -> None:
        move(paper, "64000")
        proposal = accepted(paper, limit_price=Decimal("63500"))
        paper.simulator.reset()
        assert DifferenceKind.ORDER_MISSING not in found(compare(paper))
        report = compare(paper, after_s=120)
        assert DifferenceKind.ORDER_MISSING in found(report)
        assert paper.order_of(proposal).state == OrderState.ACCEPTED
        assert alarmed("ORDER_MISSING")


class TestForeign:
    def test_somebody_elses_order_is_kept_and_said_aloud_once(self, paper: PaperDesk) -> None:
        compare(paper)
        venue_order_id = place(paper, str(uuid4()))
        for _ in range(2):
            report = compare(paper)
            assert (report.outcome, found(report)) == (RunOutcome.DIFFERENCES, [DifferenceKind.ORDER_FOREIGN])
        row = Difference.objects.get()
        assert (row.subject, row.settled_at) == (venue_order_id, None)
        assert alarmed("ORDER_FOREIGN")
        assert trading_state(paper.connection.pk) == "ACTIVE"
        assert not Order.objects.exists()

    def test_what_it_filled_moves_balances_that_our_books_do_not_explain(self, paper: PaperDesk) -> None:
        move(paper, "64000")
        compare(paper)
        place(paper, "by-hand", price="64100")
        report = compare(paper)
        assert found(report) == [DifferenceKind.BALANCE, DifferenceKind.BALANCE, DifferenceKind.ORDER_FOREIGN]
        assert {row.subject.split()[0] for row in Difference.objects.filter(kind=DifferenceKind.BALANCE)} == {
            "BTC",
            "USD",
        }
        # The venue's figures count from here on.
        assert found(compare(paper)) == [DifferenceKind.ORDER_FOREIGN]

    def test_a_name_of_ours_that_our_rows_do_not_know_stops_the_connection(self, paper: PaperDesk) -> None:
        """The rows were put back to an earlier day: what happened since is at the venue only."""
        proposal = paper.propose()
        body = bytes(proposal.request_body)
        venue.connect(paper.connection).place_order(body)
        report = compare(paper)
        assert DifferenceKind.DATABASE_BEHIND in found(report)
        assert trading_state(paper.connection.pk) == "HALTED"
        assert alarmed("DATABASE_BEHIND")

    def test_an_approved_order_that_is_there_already_is_not_sent_again(self, paper: PaperDesk) -> None:
        proposal = paper.propose()
        paper.approve(proposal)
        order = paper.order_of(proposal)
        venue.connect(order.connection).place_order(bytes(order.request_body))
        report = compare(paper)
        assert DifferenceKind.DATABASE_BEHIND in found(report)
        assert trading_state(paper.connection.pk) == "HALTED"
        assert paper.execute(proposal) == OrderState.FILLED
        assert len(sent(paper)) == 1
        assert paper.order_of(proposal).filled_quantity == order.quantity

    def test_an_order_that_arrives_after_it_was_closed_here(self, paper: PaperDesk) -> None:
        proposal = unknown(paper, "late-arrival")
        order = paper.order_of(proposal)
        now = timezone.now()
        Order.objects.filter(pk=order.pk).update(state=OrderState.ABANDONED, closed_at=now)
        assert compare(paper).outcome is RunOutcome.CLEAN
        paper.simulator.release()
        report = compare(paper)
        assert DifferenceKind.ORDER_LATE in found(report)
        order.refresh_from_db()
        assert order.state == OrderState.ABANDONED
        assert order.filled_quantity == order.quantity == sum(row.quantity for row in order.fills.all())
        assert trading_state(paper.connection.pk) == "HALTED"
        assert alarmed("ORDER_LATE")

    def test_a_transfer_is_a_difference_once(self, paper: PaperDesk) -> None:
        compare(paper)
        run = ReconciliationRun.objects.get()
        balances = dict(run.balances or {})
        balances["USD"] = str(Decimal(balances["USD"]) - 250)
        tamper(run, balances=balances)
        report = compare(paper)
        assert found(report) == [DifferenceKind.BALANCE]
        assert "250 more" in report.findings[0].theirs
        assert found(compare(paper)) == []


class TestIncomplete:
    def test_a_venue_that_does_not_answer(self, paper: PaperDesk) -> None:
        compare(paper)
        address = paper.connection.api_base
        change_connection(paper, api_base="http://127.0.0.1:9")
        report = compare(paper)
        assert (report.outcome, report.findings) == (RunOutcome.INCOMPLETE, ())
        last = last_run(paper.connection.pk)
        assert last is not None and not last.clean
        change_connection(paper, api_base=address)
        accepted(paper)
        # The window begins where the last complete run began.
        assert compare(paper).counts["orders"] == 1


class TestCommand:
    def run(self, *arguments: str) -> tuple[int, str]:
        out = StringIO()
        try:
            call_command("reconcile", *arguments, stdout=out)
        except SystemExit as left:
            return int(str(left.code)), out.getvalue()
        return 0, out.getvalue()

    def test_exit_codes(self, paper: PaperDesk) -> None:
        slug = paper.connection.slug
        code, said = self.run("--connection", slug)
        assert code == 0 and "CLEAN" in said
        place(paper, "by-hand")
        code, said = self.run("--connection", slug)
        assert code == 1 and "ORDER_FOREIGN" in said
        change_connection(paper, api_base="http://127.0.0.1:9")
        code, said = self.run("--connection", slug)
        assert code == 2 and "INCOMPLETE" in said

    def test_a_rehearsal_writes_nothing(self, paper: PaperDesk) -> None:
        self.run()
        proposal = accepted(paper)
        lost = unknown(paper, "reset-after", quantity=Decimal("0.02"))
        place(paper, "by-hand")
        rows = {
            model: list(model.objects.order_by("pk").values())  # type: ignore[attr-defined]
            for model in (ReconciliationRun, Difference, Order, Fill, Alarm)
        }
        requests = len(sent(paper))
        code, said = self.run("--connection", paper.connection.slug, "--dry-run", "--json")
        (report,) = json.loads(said)
        assert code == 1
        assert {finding["kind"] for finding in report["findings"]} == {"ORDER_FOREIGN", "ORDER_FOUND"}
        assert report["run"] is None
        for model, before in rows.items():
            assert list(model.objects.order_by("pk").values()) == before  # type: ignore[attr-defined]
        assert len(sent(paper)) == requests
        assert paper.order_of(proposal).state == OrderState.ACCEPTED
        assert paper.order_of(lost).state == OrderState.UNKNOWN

    def test_it_exits_1_until_a_person_has_said_what_every_difference_was(self, paper: PaperDesk) -> None:
        self.run()
        place(paper, "by-hand")

        def said() -> tuple[int, str, int, int]:
            code, text = self.run("--json")
            (report,) = json.loads(text)
            return code, report["outcome"], len(report["findings"]), report["differences_open"]

        assert said() == (1, "DIFFERENCES", 1, 1)
        assert said() == (1, "DIFFERENCES", 1, 1), "nobody has said what it was"
        row = Difference.objects.get(settled_at=None)
        differences.settle(difference_id=row.pk, person=paper.risk, reason="By hand.", now=timezone.now())
        assert said() == (0, "CLEAN", 0, 0)

    def test_since(self, paper: PaperDesk) -> None:
        since = (timezone.now() - timedelta(days=3)).isoformat()
        code, said = self.run("--since", since, "--json")
        assert json.loads(said)[0]["since"] == since
