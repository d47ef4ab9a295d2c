"""Threads that meet: each with its own connection to one PostgreSQL, all let go at the same moment."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connections

from apps.connectors.models import Connection
from apps.trades.models import Proposal
from tests.factories.desk import PaperDesk, paper_desk
from tests.venues.simulator_process import SimulatorProcess

Work = Callable[[], Any]
# Long enough for every thread that can come to come; who is held by a lock does not come, and the others go on.
MEETING_S = 0.7


def together(works: Sequence[Work]) -> list[Any]:
    """Runs all at once, and gives back what each returned or raised, in order."""
    start = Barrier(len(works))

    def run(work: Work) -> Any:
        try:
            start.wait(10)
            return work()
        except Exception as error:  # noqa: BLE001  what a racer raised is its result
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result(60) for future in [pool.submit(run, work) for work in works]]


def meet_after(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, parties: int) -> None:
    """Racers wait for each other after `module.name` returned, the worst moment there is. A lock that is held keeps
    them from meeting; then they go on one by one."""
    original, meeting = getattr(module, name), Barrier(parties)

    def slow(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        try:
            meeting.wait(MEETING_S)
        except BrokenBarrierError:
            return found
        return found

    monkeypatch.setattr(module, name, slow)


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The mutant: the locks become plain reads, and the audit chain, whose head is a third lock, is not written (or is,
    with `chain=True`)."""

    def proposal(proposal_id: Any) -> Any:
        return Proposal.objects.filter(pk=proposal_id).first()

    def connection(connection_id: Any) -> Any:
        return Connection.objects.select_related("desk").get(pk=connection_id)

    def apply(*, chain: bool = False) -> None:
        if not chain:
            monkeypatch.setattr("apps.audit.services.events.record", lambda **event: None)
        trades = [f"trades.services.{name}" for name in ("endings", "orders", "cancels", "withdrawals")]
        for module in ("approvals.services.decide", *trades):
            monkeypatch.setattr(f"apps.{module}.locked_proposal", proposal)
        monkeypatch.setattr("apps.trades.services.approval.locked_connection", connection)

    return apply


@pytest.fixture
def desk(transactional_db: None, simulator: SimulatorProcess) -> Iterator[PaperDesk]:
    """A desk whose rows are committed."""
    cache.clear()
    yield paper_desk(simulator)
