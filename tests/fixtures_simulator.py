"""The simulator for tests: one process for the session, reset before each test that uses it."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache

from apps.connectors.services import venue
from tests.factories.desk import PaperDesk
from tests.factories.desk_again import paper_desk_again
from tests.venues.simulator_process import SimulatorProcess


@pytest.fixture(scope="session")
def simulator_process() -> Iterator[SimulatorProcess]:
    """The one process of this session. Take `simulator` instead, unless a test must outlive resets."""
    process = SimulatorProcess().start()
    try:
        yield process
    finally:
        venue.close_all()
        process.stop()


@pytest.fixture
def simulator(simulator_process: SimulatorProcess) -> Iterator[SimulatorProcess]:
    """A venue with opening balances, no orders, no faults and an empty log."""
    simulator_process.reset()
    yield simulator_process
    simulator_process.clear_faults()


@pytest.fixture
def paper(db: None, simulator: SimulatorProcess) -> PaperDesk:
    """A desk that can trade on the simulator, with an active policy of every kind of rule."""
    cache.clear()
    return paper_desk_again(simulator)
