"""The socket protocol, on the real process: subscribing, numbering, the shapes of every message, and the rules."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.connectors.simulator.client import Client
from tests.connectors.simulator.socket_client import SocketClient
from tests.connectors.simulator.test_golden import assert_same_shape
from tests.venues.simulator_process import SimulatorProcess

GOLDEN = Path(__file__).parent / "golden"
FAR = {"limit_limit_gtc": {"base_size": "0.01", "limit_price": "1000.00", "post_only": True}}
NOW = {"market_market_ioc": {"quote_size": "100"}}


def recorded(name: str) -> Any:
    return json.loads((GOLDEN / f"ws_{name}.json").read_text())


@pytest.fixture
def rest(simulator: SimulatorProcess, tmp_path: Path) -> Iterator[Client]:
    key_file = tmp_path / "key.json"
    key_file.write_text(json.dumps({"name": simulator.key_name, "privateKey": simulator.secret}))
    with httpx.Client(base_url=simulator.url, timeout=10) as http:
        yield Client(http, key_file)


@pytest.fixture
def market(simulator: SimulatorProcess) -> Iterator[SocketClient]:
    simulator.options(heartbeat_ms=50)
    with SocketClient(simulator) as client:
        yield client


@pytest.fixture
def user(simulator: SimulatorProcess) -> Iterator[SocketClient]:
    simulator.options(heartbeat_ms=50)
    with SocketClient(simulator, "user") as client:
        yield client


def numbers(client: SocketClient) -> list[int]:
    return [message["sequence_num"] for message in client.messages if "sequence_num" in message]


@pytest.mark.parametrize("on", ["market", "user"])
def test_heartbeats_come_after_their_acknowledgement(simulator: SimulatorProcess, on: str) -> None:
    with SocketClient(simulator, on) as client:
        client.subscribe("heartbeats")
        ack, beat = client.next(), client.next()
        assert_same_shape(recorded("subscriptions_heartbeats"), ack)
        assert ack["events"] == recorded("subscriptions_heartbeats")["events"]
        assert_same_shape(recorded("heartbeats"), beat)
        assert numbers(client) == [0, 1]


@pytest.mark.parametrize(
    ("channel", "golden", "sent_as"),
    [
        ("ticker", "ticker", "ticker"),
        ("ticker_batch", "ticker_batch", "ticker_batch"),
        ("candles", "candles", "candles"),
        ("level2", "l2_snapshot", "l2_data"),
        ("status", "status", "status"),
        ("market_trades", "market_trades", "market_trades"),
    ],
)
def test_a_snapshot_has_the_recorded_shape_and_comes_before_the_acknowledgement(
    market: SocketClient, channel: str, golden: str, sent_as: str
) -> None:
    market.subscribe(channel, "BTC-USD", "NO-SUCH")
    snapshot, ack = market.channel(sent_as), market.channel("subscriptions")
    assert_same_shape(recorded(golden), snapshot)
    assert {event["type"] for event in snapshot["events"]} == {"snapshot"}
    assert ack["events"] == [{"subscriptions": {channel: ["BTC-USD"]}}]
    assert numbers(market) == list(range(len(market.messages)))
    rows = next(value for event in snapshot["events"] for value in event.values() if isinstance(value, list))
    assert (
        rows[0].keys() == next(iter(recorded(golden)["events"][0][name] for name in _LISTS(recorded(golden))))[0].keys()
    )


def _LISTS(message: Any) -> list[str]:
    return [name for name, value in message["events"][0].items() if isinstance(value, list)]


def test_an_alias_is_told_as_the_book_it_shares(market: SocketClient) -> None:
    market.subscribe("ticker", "BTC-USDC")
    assert market.channel("ticker")["events"][0]["tickers"][0]["product_id"] == "BTC-USD"
    assert market.channel("subscriptions")["events"] == [{"subscriptions": {"ticker": ["BTC-USD"]}}]


def test_a_moved_price_is_told_on_each_channel(market: SocketClient, simulator: SimulatorProcess) -> None:
    simulator.freeze_clock()
    for channel in ("ticker", "level2"):
        market.subscribe(channel, "BTC-USD")
        market.channel("subscriptions")
    simulator.pin_price("BTC-USD", "60000")
    ticker, changes = market.channel("ticker"), market.channel("l2_data")
    assert ticker["events"][0]["tickers"][0]["best_bid"] == "59997"
    assert_same_shape(recorded("l2_update"), changes)
    sides = {row["side"] for row in changes["events"][0]["updates"]}
    gone = [row for row in changes["events"][0]["updates"] if row["new_quantity"] == "0"]
    assert sides == {"bid", "offer"} and gone
    assert numbers(market) == list(range(len(market.messages)))


def test_trades_and_candles_go_on_with_the_clock(market: SocketClient) -> None:
    for channel in ("market_trades", "candles"):
        market.subscribe(channel, "BTC-USD", "ETH-USD")
        market.channel("subscriptions")
    trades, candles = market.channel("market_trades"), market.channel("candles")
    assert {message["events"][0]["type"] for message in (trades, candles)} == {"update"}
    assert {event["trades"][0]["product_id"] for event in trades["events"]} == {"BTC-USD", "ETH-USD"}


def test_unsubscribing_names_products_or_drops_the_channel(market: SocketClient) -> None:
    market.subscribe("ticker", "BTC-USD", "ETH-USD")
    market.subscribe("heartbeats")
    market.send(type="unsubscribe", channel="ticker", product_ids=["BTC-USD"])
    market.send(type="unsubscribe", channel="ticker")
    acks = [market.channel("subscriptions")["events"][0]["subscriptions"] for _ in range(4)]
    assert acks[1:] == [
        {"ticker": ["BTC-USD", "ETH-USD"], "heartbeats": ["heartbeats"]},
        {"heartbeats": ["heartbeats"], "ticker": ["ETH-USD"]},
        {"heartbeats": ["heartbeats"]},
    ]


@pytest.mark.parametrize("text", ["", "[]", "{", "1", '{"type":"ping"}', '{"channel":"ticker"}'])
def test_what_is_no_subscribe_gets_the_recorded_error(market: SocketClient, text: str) -> None:
    market.socket.send(text)
    assert market.next() == recorded("error_malformed")


def test_the_user_channel_needs_a_token(user: SocketClient, market: SocketClient) -> None:
    for client in (user, market):
        for bad in ("x", client.token(exp=1), client.token(sub="somebody")):
            client.subscribe("user", token=bad)
            assert client.next() == recorded("error_auth")
        client.send(type="subscribe", channel="user")
        assert client.next() == recorded("error_auth")
        client.subscribe("nonsense")
        assert client.next() == recorded("error_auth")
        client.subscribe("user")
        assert client.channel("subscriptions")["events"][0]["subscriptions"].keys() == {"user"}
    user.subscribe("ticker", "BTC-USD")
    assert user.error() == "authentication failure"


def test_an_order_is_told_in_every_state_it_went_through(user: SocketClient, rest: Client) -> None:
    resting = rest.place(FAR)
    user.subscribe("user")
    snapshot = user.next()
    assert_same_shape(recorded("user_snapshot_short"), snapshot)
    golden = recorded("user_snapshot")["events"][0]
    assert snapshot["events"][0]["orders"][0].keys() == golden["orders"][0].keys()
    assert snapshot["events"][0]["positions"].keys() == golden["positions"].keys()
    assert [row["order_id"] for row in snapshot["events"][0]["orders"]] == [resting]
    assert_same_shape(recorded("subscriptions_user"), user.next())
    filled = rest.place(NOW)
    states = user.orders("update", 2)
    assert [(row["order_id"], row["status"]) for row in states] == [(filled, "PENDING"), (filled, "FILLED")]
    last, known = states[-1], rest.order(filled)
    assert (last["cumulative_quantity"], last["total_fees"]) == (known["filled_size"], known["total_fees"])
    assert (last["leaves_quantity"], last["completion_percentage"], last["order_type"]) == ("0", "100.00", "Market")
    rest.cancel(resting)
    gone = user.orders("update")[0]
    assert (gone["order_id"], gone["status"], gone["cancel_reason"]) == (resting, "CANCELLED", "User requested cancel")
    assert numbers(user) == list(range(len(user.messages)))


@pytest.mark.parametrize(("count", "batches"), [(0, [0]), (3, [3]), (50, [50, 0]), (51, [50, 1])])
def test_a_snapshot_ends_with_a_batch_of_fewer_than_fifty(
    user: SocketClient, rest: Client, count: int, batches: list[int]
) -> None:
    small = {"limit_limit_gtc": {"base_size": "0.001", "limit_price": "1000.00"}}
    for _ in range(count):
        rest.place(small)
    user.subscribe("user", "BTC-USD")
    assert [len(user.next()["events"][0]["orders"]) for _ in batches] == batches
    assert user.next()["channel"] == "subscriptions"


def test_the_user_channel_of_some_products_tells_no_others(user: SocketClient, rest: Client) -> None:
    user.subscribe("user", "ETH-USD")
    user.channel("subscriptions")
    rest.place(FAR)
    other = rest.place({"limit_limit_gtc": {"base_size": "0.1", "limit_price": "100.00"}}, product_id="ETH-USD")
    assert [row["order_id"] for row in user.orders("update")] == [other]


def test_an_order_by_an_alias_is_told_with_the_book_it_is_on(user: SocketClient, rest: Client) -> None:
    user.subscribe("user")
    rest.place(FAR, product_id="BTC-USDC")
    assert user.orders("update")[0]["product_id"] == "BTC-USD"


def test_a_socket_without_a_subscribe_is_closed(simulator: SimulatorProcess) -> None:
    simulator.options(subscribe_ms=60)
    with SocketClient(simulator) as client:
        assert client.end().code == 1008


def test_a_socket_on_which_nothing_is_said_is_closed_and_heartbeats_prevent_it(simulator: SimulatorProcess) -> None:
    simulator.options(idle_ms=200, heartbeat_ms=20)
    with SocketClient(simulator, "user") as quiet, SocketClient(simulator, "user") as kept:
        quiet.subscribe("user")
        kept.subscribe("user")
        kept.subscribe("heartbeats")
        assert quiet.end().code == 1000
        kept.channel("heartbeats")


def test_too_many_messages_without_a_token_are_refused(market: SocketClient) -> None:
    for _ in range(12):
        market.send(type="subscribe", channel="heartbeats")
    assert market.error() == "rate limit exceeded"


def test_too_many_connects_are_refused(simulator: SimulatorProcess) -> None:
    simulator.options(connects_per_s=1)
    with SocketClient(simulator), pytest.raises(InvalidStatus, match="429"):
        SocketClient(simulator)


def test_another_path_is_no_socket(simulator: SimulatorProcess) -> None:
    simulator.url += "/elsewhere"
    try:
        with pytest.raises(InvalidStatus, match="404"):
            SocketClient(simulator)
    finally:
        simulator.url = simulator.url.removesuffix("/elsewhere")
