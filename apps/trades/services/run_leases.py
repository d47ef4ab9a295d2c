"""Who compares a connection with its venue holds it by a lease, renewed at every step, and is fenced by its own row.

A process that was killed keeps nobody waiting for longer than the lease. One that only slept may find that another has
taken over meanwhile: its row has ended then, and it writes nothing any more.
docs/decisions/0012-a-comparison-is-held-by-a-lease.md has the reasons.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q

from apps.common import fault_places as places
from apps.common import faults
from apps.common.errors import Conflict
from apps.trades.models import ReconciliationRun
from apps.trades.types import RunOutcome

# Longer than any one step: a list has a deadline of ten seconds for each of two kinds, an order's turn one of thirty.
LEASE: Final = timedelta(seconds=60)


def renew(run: ReconciliationRun | None, *, now: datetime) -> None:
    """Say that a run is alive; nothing where there is none, in a rehearsal.

    In a transaction that writes for the run, first: whoever takes over waits for its commit, and where somebody has
    taken over, it raises Conflict RUN_TAKEN_OVER and nothing is written. A little late is no harm.
    """
    if run is None:
        return
    alive = ReconciliationRun.objects.filter(pk=run.pk, outcome=RunOutcome.RUNNING)
    if alive.update(lease_until=now + LEASE) != 1:
        raise Conflict(
            "RUN_TAKEN_OVER",
            "This comparison stood still for so long that another one took its place. It writes nothing any more.",
            fix="Look at the comparison that followed it.",
        )


def bury_dead(connection_id: UUID, *, now: datetime) -> None:
    """End a run whose lease ran out, so that the next one can begin."""
    with faults.commit(places.RUN_END):
        dead = ReconciliationRun.objects.filter(
            Q(lease_until__lte=now) | Q(lease_until=None), connection=connection_id, outcome=RunOutcome.RUNNING
        )
        dead.update(
            outcome=RunOutcome.INCOMPLETE,
            finished_at=now,
            reason_code="RUN_DIED",
            reason="Its process died, or stood still for too long.",
        )
