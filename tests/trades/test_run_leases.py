"""A comparison whose process died blocks the next one for the time of its lease, and one that slept writes nothing."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.audit.types import Actor
from apps.common import fault_places as places
from apps.common import faults
from apps.common.errors import Conflict
from apps.connectors.services import venue
from apps.trades.models import Difference, Fill, Order, ReconciliationRun
from apps.trades.services import differences, fills, run_leases
from apps.trades.services.reconciliation import runs
from apps.trades.services.reconciliation.runs import Report
from apps.trades.types import DifferenceKind, OrderState, RunOutcome, RunTrigger
from tests.factories.desk import PaperDesk

pytestmark = pytest.mark.django_db
LEASE_S = run_leases.LEASE.total_seconds()


class MovedClock:
    """The real one, and what a test moved it by."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return timezone.now() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def at_each_list() -> Iterator[Callable[[list[Callable[[], Any]]], None]]:
    """What happens after each list that a comparison reads, in turn; what happens compares undisturbed."""

    def install(acts: list[Callable[[], Any]]) -> None:
        left = list(acts)

        def hook(reached: str) -> None:
            if reached == places.READ_LISTS.after and left:
                act = left.pop(0)
                faults.install(None)
                act()
                faults.install(hook)

        faults.install(hook)

    yield install
    faults.install(None)


def compare(paper: PaperDesk, clock: Callable[[], datetime]) -> Report:
    return runs.reconcile(
        connection_id=paper.connection.pk, trigger=RunTrigger.COMMAND, actor=Actor.system("test"), clock=clock
    )


def traded(paper: PaperDesk) -> Order:
    """An order that filled at the venue, and of which nothing is booked."""
    proposal = paper.propose()
    paper.approve(proposal)
    assert paper.execute(proposal) == OrderState.ACCEPTED
    return paper.order_of(proposal)


class Killed(BaseException):
    """The process is gone: nothing of ours catches this."""


def is_killed() -> None:
    raise Killed


def test_one_that_was_killed_blocks_for_its_lease_and_no_longer(
    paper: PaperDesk, clock: MovedClock, at_each_list: Any
) -> None:
    at_each_list([is_killed])
    with pytest.raises(Killed):
        compare(paper, clock)
    dead = ReconciliationRun.objects.get()
    assert dead.outcome == RunOutcome.RUNNING

    clock.advance(LEASE_S - 5)
    with pytest.raises(Conflict, match="RECONCILIATION_RUNNING"):
        compare(paper, clock)
    clock.advance(6)
    assert compare(paper, clock).outcome is RunOutcome.CLEAN

    dead.refresh_from_db()
    assert (dead.outcome, dead.reason_code) == (RunOutcome.INCOMPLETE, "RUN_DIED")


def test_one_that_is_slow_keeps_its_place(paper: PaperDesk, clock: MovedClock, at_each_list: Any) -> None:
    def long_step() -> None:
        clock.advance(LEASE_S - 5)
        with pytest.raises(Conflict, match="RECONCILIATION_RUNNING"):
            compare(paper, clock)

    at_each_list([long_step, long_step])
    began = clock()
    report = compare(paper, clock)

    assert clock() - began > run_leases.LEASE
    assert (report.outcome, report.reason_code) == (RunOutcome.CLEAN, "")


def test_one_that_slept_writes_nothing_after_another_took_over(
    paper: PaperDesk, clock: MovedClock, at_each_list: Any
) -> None:
    """It read balances from before an order filled: beside the books of the run that followed, they would differ."""
    compare(paper, clock)
    followed: list[Report] = []

    def sleep() -> None:
        traded(paper)
        clock.advance(LEASE_S + 1)
        followed.append(compare(paper, clock))

    at_each_list([lambda: None, sleep])
    report = compare(paper, clock)

    assert followed[0].counts["fills booked"] > 0
    assert (report.outcome, report.reason_code) == (RunOutcome.INCOMPLETE, "RUN_TAKEN_OVER")
    assert not Difference.objects.exclude(run=followed[0].run_id).exists()
    slept = ReconciliationRun.objects.get(pk=report.run_id)
    assert (slept.outcome, slept.reason_code, slept.balances) == (RunOutcome.INCOMPLETE, "RUN_DIED", None)


@pytest.mark.parametrize("ended", [False, True])
def test_only_a_run_that_goes_on_books_and_notes(paper: PaperDesk, clock: MovedClock, *, ended: bool) -> None:
    order = traded(paper)
    run = ReconciliationRun.objects.create(
        connection=paper.connection,
        trigger=RunTrigger.COMMAND,
        asked_by="test",
        started_at=clock(),
        since=clock(),
        until=clock(),
        lease_until=clock() + run_leases.LEASE,
    )
    connector = venue.connect(paper.connection)
    told = connector.order(order.venue_order_id)
    listed = connector.fills(venue_order_id=order.venue_order_id)
    if ended:
        run_leases.bury_dead(paper.connection.pk, now=clock() + run_leases.LEASE)

    def book() -> None:
        fills.book(order_id=order.pk, told=told, fills=listed, now=clock(), run=run)

    def note() -> None:
        differences.keep(
            connection_id=paper.connection.pk,
            kind=DifferenceKind.BALANCE,
            subject="USD 1",
            ours="2 USD",
            theirs="1 USD",
            done="Noted.",
            run=run,
            now=clock(),
        )

    for write in (book, note):
        if ended:
            with pytest.raises(Conflict, match="RUN_TAKEN_OVER"):
                write()
        else:
            write()
    assert (Fill.objects.exists(), Difference.objects.exists()) == (not ended, not ended)
