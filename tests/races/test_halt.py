"""A halt that meets a process in the middle of writing a request."""

import threading
import time

import pytest

from apps.audit.models import Alarm
from apps.policies.selectors import trading_state
from apps.policies.services import barrier
from apps.policies.types import State
from tests.factories.desk import PaperDesk
from tests.factories.trading import halt
from tests.races.conftest import together

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

WRITES_S = 0.3


@pytest.mark.parametrize("stands", [False, True])
def test_a_halt_waits_for_who_is_writing_but_not_for_who_stands_still(
    desk: PaperDesk, monkeypatch: pytest.MonkeyPatch, stands: bool
) -> None:
    monkeypatch.setattr(barrier, "WAIT_S_MAX", 1)
    inside, halted = threading.Event(), threading.Event()
    order: list[str] = []

    def sender() -> None:
        with barrier.passing(desk.connection.pk, judged=State.ACTIVE):
            inside.set()
            if stands:
                halted.wait(10)
            else:
                time.sleep(WRITES_S)
            order.append("written")

    def halter() -> None:
        inside.wait(5)
        halt(desk)
        order.append("halted")
        halted.set()

    assert together([sender, halter]) == [None, None]

    assert order == (["halted", "written"] if stands else ["written", "halted"])
    assert Alarm.objects.filter(code="HALT_NOT_WAITED").exists() == stands
    assert trading_state(desk.connection.pk) == State.HALTED
