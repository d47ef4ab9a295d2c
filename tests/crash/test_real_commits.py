"""Seen and not read: while orders pass, every real commit that writes and every request to the venue is watched, and
stands at a place where the crash matrix may stop it.

tests/architecture/test_fault_places.py reads the code of the trading services. What they call elsewhere is only found
by watching.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from django.db import transaction
from django.utils import timezone

from apps.accounts.services import people
from apps.approvals.services import decide
from apps.common import fault_places as places
from apps.connectors.models import Connection
from apps.connectors.services import venue
from apps.connectors.types import Side
from apps.policies.services import trading_state
from apps.trades.models import Proposal
from apps.trades.services import cancels, halting, resolution, sweeps, withdrawals
from apps.trades.services.orders import LEASE
from apps.trades.services.reconciliation import runs
from apps.trades.types import RunTrigger
from tests.crash.turns import propose
from tests.crash.watching import Killed, Watch, watching
from tests.factories.desk import PaperDesk

pytestmark = pytest.mark.django_db(transaction=True)

# What commits or asks without a place, with the reason.
EXEMPT: dict[str, str] = {
    "apps/trades/services/run_leases.py renew: transaction": "Says that a comparison goes on, between its requests, "
    "which have places.",
}


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch, paper: PaperDesk) -> Iterator[Watch]:
    """Begins to look once the desk stands."""
    yield from watching(monkeypatch)


def a_life(paper: PaperDesk, watch: Watch) -> None:
    """Orders that fill, rest and are canceled, get lost and are found, expire, and meet a halt."""
    ends: tuple[Callable[[Proposal], object], ...] = (
        lambda row: decide.decline(
            proposal_id=row.pk, approver=paper.risk, digest=row.digest, comment="No.", now=timezone.now()
        ),
        lambda row: withdrawals.withdraw(proposal_id=row.pk, principal=paper.principal, reason="", now=timezone.now()),
        lambda row: sweeps.expire_due(now=row.expires_at),
    )
    here, desk = paper.connection.pk, people.actor_of(paper.risk)
    filled = propose(paper)
    paper.approve(filled)
    paper.execute(filled)
    paper.poll(filled)
    resting = paper.propose(limit_price=Decimal(60_000))
    paper.approve(resting)
    paper.execute(resting)
    cancels.request_cancel(order_id=paper.order_of(resting).pk, actor=desk, reason="Test.", now=timezone.now())
    paper.cancel(resting)
    lost = paper.propose(side=Side.BUY, quantity=Decimal("0.011"))
    paper.approve(lost)
    paper.simulator.add_fault("create", "timeout-after", seconds="0")
    paper.execute(lost)
    resolution.resolve(order_id=paper.order_of(lost).pk, clock=timezone.now, due_only=False)
    dead = paper.propose(quantity=Decimal("0.012"))
    paper.approve(dead)
    watch.kill_at = places.PLACE.before
    with pytest.raises(Killed):
        paper.execute(dead)
    watch.kill_at = ""
    sweeps.resolve_lapsed_claims(now=timezone.now() + LEASE)
    resolution.resolve(order_id=paper.order_of(dead).pk, clock=timezone.now, due_only=False)
    for number, end in enumerate(ends):
        waiting = paper.propose(quantity=Decimal("0.013") + Decimal(number) / 1000)
        assert waiting.state == "AWAITING_APPROVAL", waiting
        end(waiting)
    runs.reconcile(connection_id=here, trigger=RunTrigger.COMMAND, actor=desk, clock=timezone.now)
    trading_state.halt(connection_id=here, actor=desk, reason="Test.", now=timezone.now())
    halting.clear(connection_id=here, clock=timezone.now)


def test_every_commit_and_every_request_stands_at_its_place(paper: PaperDesk, watch: Watch) -> None:
    a_life(paper, watch)
    assert watch.commits > 30 and watch.requests > 20
    assert watch.bare == set(EXEMPT)


def test_a_commit_and_a_request_without_a_place_are_seen(paper: PaperDesk, watch: Watch) -> None:
    with transaction.atomic():
        Connection.objects.filter(pk=paper.connection.pk).update(name="Bare")
    venue.connect(paper.connection).balances()
    assert {found.rpartition(" ")[2] for found in watch.bare} == {"transaction", "venue"}
