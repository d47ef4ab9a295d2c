"""A promise that no random day breaks is broken here by hand: an invariant that cannot fail holds nothing."""

from collections.abc import Iterator

import pytest
from django.utils import timezone

from apps.accounts.services import people
from apps.policies.models import TradingState
from apps.policies.services import latches
from apps.policies.types import LatchKind, State
from tests.scenarios.test_state_machine import Desk
from tests.venues.simulator_process import SimulatorProcess


@pytest.fixture
def day(db: None, simulator: SimulatorProcess) -> Iterator[Desk]:
    Desk.simulator = simulator
    desk = Desk()
    yield desk
    desk.end()


def test_13_a_latch_that_lets_go_by_itself(day: Desk) -> None:
    connection = day.paper.connection
    latches.trip(
        kind=LatchKind.MISMATCH,
        connection_id=connection.pk,
        message="Test.",
        evidence={},
        actor=people.actor_of(day.paper.risk),
        now=timezone.now(),
    )
    day.a_latch_stays_until_two_people_reset_it()

    TradingState.objects.filter(connection=connection).update(state=State.ACTIVE.value)
    with pytest.raises(AssertionError):
        day.a_latch_stays_until_two_people_reset_it()
