"""`stream_quotes` as processes: one follows, another takes over, and what comes and goes is noticed."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.commands import Manage, done, seeded, wait_until
from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.slow

# Told under the name of the book it shares: the poller asks for its price.
ALIASES = {"BTC-USDC"}


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


_WATCHED_FROM_WITHIN = """
import json, os, threading, time
from pathlib import Path
from django.core.management import call_command
from django.utils import timezone
from apps.connectors.selectors import active_connections
from apps.quotes.feed import wanted_markets
from apps.quotes.selectors.feed import feed_states
from apps.quotes.services import quotes

def look():
    (wanted,) = wanted_markets(active_connections()).values()
    path = Path({path!r})
    while True:
        (state,) = feed_states(now=timezone.now())
        kept = {{name: sorted(quotes.latest_of(name, wanted.instruments)) for name in wanted.connection_ids}}
        told = {{"state": state.state, "wanted": sorted(wanted.instruments), "heard": sorted(state.instruments)}}
        path.with_suffix(".new").write_text(json.dumps(told | {{"kept": list(kept.values())}}))
        path.with_suffix(".new").replace(path)
        time.sleep(0.5)

threading.Thread(target=look, daemon=True).start()
call_command("stream_quotes")
"""
"""The command itself, and beside it who looks at what it keeps: without Redis the cache is the process's own."""


def test_a_thousand_instruments_are_followed_over_several_sockets_and_each_has_its_price(
    manage: Manage, tmp_path: Path
) -> None:
    simulator = SimulatorProcess(arguments=("--products", "1000")).start()
    path = tmp_path / "kept.json"

    def told() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"state": "not said", "wanted": []}
        return found

    def is_whole() -> bool:
        found = told()
        by_name = set(found["wanted"]) - ALIASES
        return found["state"] == "LIVE" and all(set(codes) == by_name for codes in (found["heard"], *found["kept"]))

    looks: list[list[set[str]]] = []

    def is_shared_out() -> bool:
        """By one look: a socket that is lost and comes back is missing from another."""
        looks.append(followed(simulator))
        return set().union(*looks[-1]) == set(told()["wanted"]) - ALIASES

    try:
        seeded(manage, simulator)
        process = manage("shell", "--verbosity", "0", "--command", _WATCHED_FROM_WITHIN.format(path=str(path)))
        wait_until(is_whole, while_running=process)
        wait_until(is_shared_out, while_running=process)
        shards = looks[-1]
        assert max(map(len, shards)) <= 250 and len(set().union(*shards)) == sum(map(len, shards)) >= 1000
        process.terminate()
        done(process)
    finally:
        simulator.stop()
