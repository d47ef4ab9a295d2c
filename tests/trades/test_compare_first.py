"""After a start nothing leaves before the connection was compared with its venue: also not by another worker's run."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.audit.models import Alarm
from apps.common import tasks as publishing
from apps.common.decimals import instant_text
from apps.trades import tasks
from apps.trades.models import Proposal, ReconciliationRun
from apps.trades.services import orders
from apps.trades.services.reconciliation import runs
from apps.trades.types import OrderState, RunOutcome, RunTrigger
from tests.factories.alarms import swept
from tests.factories.desk import PaperDesk
from tests.factories.trading import change_connection, sent

pytestmark = pytest.mark.django_db


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What goes to the broker, instead of going there."""
    found: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(publishing, "_send", lambda name, arguments, headers: found.append((name, arguments)))
    return found


@pytest.fixture
def approved(paper: PaperDesk) -> Proposal:
    proposal = paper.propose()
    paper.approve(proposal)
    return proposal


def begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """This worker begins now."""
    monkeypatch.setattr(tasks, "STARTED_AT", timezone.now())


def execute(paper: PaperDesk, proposal: Proposal) -> str:
    return tasks.execute_trade(order_id=str(paper.order_of(proposal).pk))


def test_an_order_waits_for_the_first_comparison_and_goes_right_after_it(
    paper: PaperDesk,
    approved: Proposal,
    published: list[tuple[str, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    begin(monkeypatch)
    with django_capture_on_commit_callbacks(execute=True):
        assert execute(paper, approved) == OrderState.INITIALIZED
    order = paper.order_of(approved)
    assert (order.reason_code, order.fence) == ("RECONCILING", 0)
    assert not sent(paper)
    needed = {"connection_id": str(paper.connection.pk), "needed_from": instant_text(tasks.STARTED_AT)}
    assert published == [("trades.reconcile", needed)]
    published.clear()
    with django_capture_on_commit_callbacks(execute=True):
        assert tasks.reconcile(**needed) == RunOutcome.CLEAN
    assert ("trades.execute_trade", {"order_id": str(order.pk)}) in published
    assert execute(paper, approved) == OrderState.ACCEPTED
    assert ReconciliationRun.objects.get().trigger == RunTrigger.START


def test_a_comparison_from_before_the_start_does_not_count(
    paper: PaperDesk, approved: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks.reconcile(connection_id=str(paper.connection.pk))
    begin(monkeypatch)
    assert execute(paper, approved) == OrderState.INITIALIZED
    assert not sent(paper)


def test_nor_does_one_that_did_not_see_everything(
    paper: PaperDesk, approved: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(monkeypatch)
    address = paper.connection.api_base
    change_connection(paper, api_base="http://127.0.0.1:9")
    assert tasks.reconcile(connection_id=str(paper.connection.pk)) == RunOutcome.INCOMPLETE
    change_connection(paper, api_base=address)
    assert execute(paper, approved) == OrderState.INITIALIZED
    assert tasks.reconcile(connection_id=str(paper.connection.pk)) == RunOutcome.CLEAN
    assert execute(paper, approved) == OrderState.ACCEPTED


def test_an_older_worker_compares_for_a_younger_one(
    paper: PaperDesk, monkeypatch: pytest.MonkeyPatch, published: list[tuple[str, dict[str, Any]]]
) -> None:
    """It was compared lately enough for the older one, and not since the younger one began."""
    monkeypatch.setattr(tasks, "STARTED_AT", timezone.now() - timedelta(hours=1))
    connection_id = str(paper.connection.pk)
    assert tasks.reconcile(connection_id=connection_id) == RunOutcome.CLEAN
    assert tasks.reconcile(connection_id=connection_id) == "RECENT"
    younger = instant_text(timezone.now())
    assert tasks.reconcile(connection_id=connection_id, needed_from=younger) == RunOutcome.CLEAN
    assert tasks.reconcile(connection_id=connection_id, needed_from=younger) == "RECENT"


def test_a_dead_approval_is_not_kept_alive_by_waiting(paper: PaperDesk, approved: Proposal) -> None:
    order = paper.order_of(approved)
    late = order.authority.valid_until
    state = orders.execute(order_id=order.pk, clock=lambda: late, reconciled_from=late)
    assert state == OrderState.CANCELED


class TestDue:
    def asked(self, paper: PaperDesk, published: list[tuple[str, dict[str, Any]]], capture: Any, **at: Any) -> int:
        published.clear()
        with capture(execute=True):
            runs.publish_due(**at)
        return sum(
            name == "trades.reconcile" and arguments["connection_id"] == str(paper.connection.pk)
            for name, arguments in published
        )

    def test_by_the_clock_and_after_a_start(
        self,
        paper: PaperDesk,
        published: list[tuple[str, dict[str, Any]]],
        settings: Any,
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        began = timezone.now()
        ask = django_capture_on_commit_callbacks
        assert self.asked(paper, published, ask, now=began, reconciled_from=began) == 1
        tasks.reconcile(connection_id=str(paper.connection.pk))
        now = ReconciliationRun.objects.get().started_at
        assert self.asked(paper, published, ask, now=now, reconciled_from=began) == 0
        assert self.asked(paper, published, ask, now=now, reconciled_from=timezone.now()) == 1
        due = now + timedelta(seconds=settings.RECONCILE_EVERY_S)
        assert self.asked(paper, published, ask, now=due, reconciled_from=began) == 1

    def test_one_that_was_switched_off_counts_while_it_binds_money(
        self, paper: PaperDesk, approved: Proposal, published: list[Any], django_capture_on_commit_callbacks: Any
    ) -> None:
        change_connection(paper, is_active=False)
        now = timezone.now()
        ask = django_capture_on_commit_callbacks
        assert self.asked(paper, published, ask, now=now, reconciled_from=now) == 1
        assert execute(paper, approved) in {OrderState.INITIALIZED, OrderState.CANCELED}

    def test_one_that_cannot_be_compared_for_long_is_an_alarm(self, paper: PaperDesk, settings: Any) -> None:
        late = timezone.now() + timedelta(seconds=settings.RECONCILE_LATE_S + 1)
        swept(late)
        raised = Alarm.objects.filter(code="RECONCILIATION_LATE", cleared_at=None)
        assert raised.filter(subject=f"connection:{paper.connection.pk}").exists()
        tasks.reconcile(connection_id=str(paper.connection.pk))
        assert not raised.filter(subject=f"connection:{paper.connection.pk}").exists()
