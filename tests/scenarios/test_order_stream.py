"""Two `stream_orders` processes on one database: one follows, and when it is killed the other takes over."""

import time
from pathlib import Path

import pytest

from tests.scenarios.commands import PATIENCE_S, Manage, done, seeded, wait_until
from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.slow


def test_a_killed_follower_is_replaced_and_two_never_listen(manage: Manage, simulator: SimulatorProcess) -> None:
    seeded(manage, simulator)

    def listening() -> list[object]:
        return [row for row in simulator.sockets()["connections"] if "user" in row["subscriptions"]]

    def connects() -> int:
        return int(simulator.sockets()["connects"]["user"])

    simulator.reset()
    one = manage("stream_orders", "--connection", "coinbase-paper")
    wait_until(lambda: len(listening()) == 1)
    two = manage("stream_orders", "--connection", "coinbase-paper")
    time.sleep(3)
    assert (len(listening()), connects(), two.poll()) == (1, 1, None)
    one.kill()
    wait_until(lambda: connects() == 2 and len(listening()) == 1)
    two.terminate()
    done(two)
    wait_until(lambda: listening() == [])


def test_an_unknown_connection_is_one_line(manage: Manage, home: Path) -> None:
    done(manage("migrate", "--noinput"))
    process = manage("stream_orders", "--connection", "nowhere")
    assert process.wait(PATIENCE_S) == 2
    said = (home.parent / "stream_orders.log").read_text()
    assert said.strip().splitlines()[-1].startswith("CommandError: There is no")
