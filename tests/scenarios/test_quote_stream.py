"""`stream_quotes` as processes: one follows, another takes over, and what comes and goes is noticed."""

import json
import time
from typing import Any

import pytest

from tests.scenarios.commands import Manage, done, seeded, wait_until
from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.slow


@pytest.fixture
def variables() -> dict[str, str]:
    return {"FEED_BOOKS": "BTC-USD"}


def followed(simulator: SimulatorProcess) -> list[set[str]]:
    """What each market socket gets tickers of."""
    rows = simulator.sockets()["connections"]
    return [set(row["subscriptions"]["ticker"]) for row in rows if "ticker" in row["subscriptions"]]


def python(manage: Manage, code: str) -> Any:
    return json.loads(done(manage("shell", "--verbosity", "0", "--command", code)))


def test_a_killed_feed_is_replaced_and_two_never_follow(manage: Manage, simulator: SimulatorProcess) -> None:
    seeded(manage, simulator)
    simulator.reset()
    simulator.add_socket_fault("large-snapshot", "market", channel="level2", count=2)

    def whole() -> bool:
        """One socket for tickers, and one for the book that was asked for, whose snapshots have five megabytes."""
        books = [row for row in simulator.sockets()["connections"] if "level2" in row["subscriptions"]]
        return len(followed(simulator)) == len(books) == 1

    one = manage("stream_quotes")
    wait_until(whole)
    two = manage("stream_quotes")
    time.sleep(3)
    assert (whole(), simulator.sockets()["connects"]["market"], two.poll()) == (True, 2, None)
    one.kill()
    wait_until(lambda: simulator.sockets()["connects"]["market"] == 4 and whole())
    # Instruments and connections that go are let go while it runs.
    everything = followed(simulator)[0]
    python(manage, _CODE.format(change="Instrument.objects.filter(code='SOL-USD').update(tradable=False)"))
    wait_until(lambda: followed(simulator) == [everything - {"SOL-USD"}])
    python(manage, _CODE.format(change="Instrument.objects.filter(code='SOL-USD').update(tradable=True)"))
    wait_until(lambda: followed(simulator) == [everything])
    two.terminate()
    done(two)
    wait_until(lambda: followed(simulator) == [])


_CODE = "from apps.connectors.models import Instrument; print({change})"


def test_a_thousand_instruments_are_followed_over_several_sockets(manage: Manage) -> None:
    simulator = SimulatorProcess(arguments=("--products", "1000")).start()
    try:
        seeded(manage, simulator)
        process = manage("stream_quotes")
        wait_until(lambda: sum(map(len, followed(simulator))) >= 1000)
        shards = followed(simulator)
        assert max(map(len, shards)) <= 250 and len(set().union(*shards)) == sum(map(len, shards))
        process.terminate()
        done(process)
    finally:
        simulator.stop()
