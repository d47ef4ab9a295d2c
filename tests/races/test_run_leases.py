"""A comparison that writes while another process takes its connection over."""

import threading

import pytest
from django.db import transaction
from django.utils import timezone

from apps.common.errors import Conflict
from apps.trades.models import ReconciliationRun
from apps.trades.services import run_leases
from apps.trades.types import RunOutcome, RunTrigger
from tests.factories.desk import PaperDesk
from tests.races.conftest import together

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

MEETING_S = 0.3


def test_who_takes_over_waits_for_a_write_and_then_nothing_more_is_written(desk: PaperDesk) -> None:
    began = timezone.now()
    run = ReconciliationRun.objects.create(
        connection=desk.connection,
        trigger=RunTrigger.COMMAND,
        asked_by="test",
        started_at=began,
        since=began,
        until=began,
        lease_until=began + run_leases.LEASE,
    )
    inside, buried = threading.Event(), threading.Event()
    order: list[str] = []

    def sleeper() -> None:
        with transaction.atomic():
            run_leases.renew(run, now=began)
            inside.set()
            assert not buried.wait(MEETING_S)
            order.append("written")
        buried.wait(10)
        with pytest.raises(Conflict, match="RUN_TAKEN_OVER"), transaction.atomic():
            run_leases.renew(run, now=timezone.now())
            order.append("written after all")

    def successor() -> None:
        inside.wait(10)
        run_leases.bury_dead(desk.connection.pk, now=began + 2 * run_leases.LEASE)
        order.append("buried")
        buried.set()

    assert together([sleeper, successor]) == [None, None]

    assert order == ["written", "buried"]
    run.refresh_from_db()
    assert run.outcome == RunOutcome.INCOMPLETE
