"""Each socket fault, as a client on the real process meets it."""

from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from apps.connectors.simulator import socket_faults
from apps.connectors.simulator.faults import FaultError
from tests.connectors.simulator.socket_client import Message, SocketClient
from tests.venues.simulator_process import SimulatorProcess


@pytest.fixture
def beating(simulator: SimulatorProcess) -> Iterator[SocketClient]:
    """A user socket with heartbeats, read up to its acknowledgement."""
    simulator.options(heartbeat_ms=20)
    with SocketClient(simulator, "user") as client:
        client.subscribe("heartbeats")
        client.channel("subscriptions")
        yield client


def steps(client: SocketClient, count: int = 12) -> list[int]:
    """Differences between the sequence numbers of the next messages."""
    seen = [client.messages[-1]["sequence_num"], *(client.next()["sequence_num"] for _ in range(count))]
    return [after - before for before, after in zip(seen, seen[1:], strict=False)]


@pytest.mark.parametrize(
    ("kind", "count", "odd"),
    [("gap", 1, [2]), ("gap", 3, [4]), ("duplicate", 1, [0]), ("reorder", 1, [2, -1, 2]), ("repeat", 1, [])],
)
def test_numbers_tell_what_happened(
    beating: SocketClient, simulator: SimulatorProcess, kind: str, count: int, odd: list[int]
) -> None:
    simulator.add_socket_fault(kind, "user", count=count)
    assert [step for step in steps(beating) if step != 1] == odd


def test_a_repeat_says_the_same_under_two_numbers(beating: SocketClient, simulator: SimulatorProcess) -> None:
    simulator.add_socket_fault("repeat", "user")
    steps(beating)
    told = [message["events"][0]["current_time"] for message in beating.messages if message["channel"] == "heartbeats"]
    assert len(told) - len(set(told)) == 1


def test_a_fault_of_one_channel_leaves_the_others(beating: SocketClient, simulator: SimulatorProcess) -> None:
    simulator.add_socket_fault("gap", "user", channel="user", count=9)
    assert set(steps(beating)) == {1}


def test_drop_and_close_end_connections_now(simulator: SimulatorProcess, beating: SocketClient) -> None:
    simulator.add_socket_fault("drop", "user")
    assert beating.end().rcvd is None
    with SocketClient(simulator, "user") as again, SocketClient(simulator) as market:
        market.subscribe("heartbeats")
        simulator.add_socket_fault("close", "user", code=1012)
        assert again.end().code == 1012
        market.channel("heartbeats")


def test_refused_connects_and_denied_subscribes(simulator: SimulatorProcess) -> None:
    simulator.add_socket_fault("refuse", "user", count=1)
    with pytest.raises(InvalidStatus, match="503"):
        SocketClient(simulator, "user")
    simulator.add_socket_fault("deny", "user", count=1)
    with SocketClient(simulator, "user") as client:
        client.subscribe("user")
        assert client.error() == "authentication failure"
        client.subscribe("user")
        client.channel("subscriptions")


def test_silence_says_nothing_and_uses_up_numbers(beating: SocketClient, simulator: SimulatorProcess) -> None:
    simulator.add_socket_fault("silence", "user", lasts="0.3")
    assert max(steps(beating)) > 5


def test_heartbeats_only(simulator: SimulatorProcess) -> None:
    simulator.freeze_clock()
    simulator.options(heartbeat_ms=20)
    with SocketClient(simulator) as client:
        client.subscribe("ticker", "BTC-USD")
        client.channel("subscriptions")
        client.subscribe("heartbeats")
        client.channel("subscriptions")
        simulator.add_socket_fault("heartbeats-only", "market")
        simulator.pin_price("BTC-USD", "60000")
        read = [client.next() for _ in range(6)]
        assert {message["channel"] for message in read} == {"heartbeats"}
        assert [message["sequence_num"] for message in client.messages] == list(range(len(client.messages)))
        simulator.clear_socket_faults()
        simulator.pin_price("BTC-USD", "61000")
        assert price(client.channel("ticker")) == "61000"


def price(message: Message) -> str:
    return str(message["events"][0]["tickers"][0]["price"])


def test_stale_prices_repeat_the_last_content_and_time(simulator: SimulatorProcess) -> None:
    simulator.freeze_clock()
    simulator.pin_price("BTC-USD", "60000")
    with SocketClient(simulator) as client:
        client.subscribe("ticker", "BTC-USD")
        first = client.channel("ticker")
        client.channel("subscriptions")
        simulator.add_socket_fault("stale-prices", "market")
        simulator.pin_price("BTC-USD", "61000")
        stale = client.channel("ticker")
        assert (price(stale), stale["timestamp"]) == ("60000", first["timestamp"])
        assert stale["sequence_num"] > first["sequence_num"]


def test_a_large_snapshot_is_about_five_megabytes(simulator: SimulatorProcess) -> None:
    simulator.add_socket_fault("large-snapshot", "market")
    with SocketClient(simulator) as client:
        client.subscribe("level2", "BTC-USD")
        assert 4_500_000 < len(client.socket.recv(timeout=10)) < 6_500_000


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "mischief"}, {"kind": "gap", "on": "moon"}, {"kind": "gap", "count": "x"},
        {"kind": "gap", "count": -1}, {"kind": "close", "code": 7}, {"kind": "gap", "when": 1},
    ],
)  # fmt: skip
def test_a_fault_that_makes_no_sense_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(FaultError):
        socket_faults.parse(values)


def test_the_command_line_form() -> None:
    fault = socket_faults.parse_words("user:gap:count=2,channel=user")
    assert (fault.on, fault.kind, fault.count, fault.channel) == ("user", "gap", 2, "user")
    assert socket_faults.parse_words("market:silence").count is None
