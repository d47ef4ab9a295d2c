"""ws/quotes against a real server: what a client is sent, what it may not ask; the newest, and never a backlog."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
import websockets

from apps.common.sockets import MESSAGE_CHARS_MAX, MESSAGES_PER_WINDOW_MAX
from apps.quotes.consumers import SUBSCRIPTIONS_MAX
from tests.sockets.conftest import looped
from tests.sockets.process import Message, SocketServer, ending, heard, quote_of, subscribe

pytestmark = pytest.mark.slow


def items(*codes: str, connection: str = "paper") -> list[dict[str, str]]:
    """As a client lists them."""
    return [{"connection": connection, "instrument": code} for code in codes]


@looped
async def test_who_subscribes_gets_the_newest_known_at_once_and_then_what_changes(
    server: SocketServer, key: str
) -> None:
    server.do("quote", code="ETH-USD", price="2000.50")
    async with server.connect("/ws/quotes", key=key) as client:
        assert (await subscribe(client, "ETH-USD", "BTC-USD"))["items"] == items("BTC-USD", "ETH-USD")
        known = quote_of(await heard(client, "quotes", lambda m: quote_of(m, "ETH-USD") is not None), "ETH-USD")
        server.do("ticks", codes=["BTC-USD"], times=1, first=41_000)
        told = await heard(client, "quotes", lambda m: (quote_of(m, "BTC-USD") or {}).get("bid") == "41000")

    assert known is not None
    assert (known["bid"], known["ask"], known["last"], known["stale"]) == ("2000.5", "2001.5", None, False)
    assert [quote["instrument"] for quote in told["quotes"]] == ["BTC-USD"]
    quote = told["quotes"][0]
    assert {name: quote[name] for name in ("connection", "last", "change_24h", "bid_quantity", "stale")} == {
        "connection": "paper", "last": "41000", "change_24h": "-1.5", "bid_quantity": "1", "stale": False,
    }  # fmt: skip
    assert 0 <= quote["age_ms"] < 10_000
    assert quote["occurred_at"].endswith("Z")


@looped
async def test_a_thousand_ticks_come_as_a_few_and_the_last_is_the_newest(server: SocketServer, key: str) -> None:
    async with server.connect("/ws/quotes", key=key) as client:
        await subscribe(client, "BTC-USD")
        sending = asyncio.create_task(server.doing("ticks", codes=["BTC-USD"], times=1000, first=50_001, pause_s=0.001))
        bids: list[int] = []
        while not bids or bids[-1] != 51_000:
            message = await heard(client, "quotes")
            bids += [int(quote["bid"]) for quote in message["quotes"]]
        await sending

    fresh = [bid for bid in bids if bid > 50_000]
    assert fresh == sorted(set(fresh))
    # Ten a second, for as long as sending took: far fewer than were sent.
    assert 2 <= len(fresh) <= 200


@looped
async def test_a_price_grows_stale_by_itself_and_says_so(server: SocketServer, key: str) -> None:
    async with server.connect("/ws/quotes", key=key) as client:
        await subscribe(client, "C0-USD")
        server.do("ticks", codes=["C0-USD"], times=1, age_s=8.0)
        first = await heard(client, "quotes")
        later = await heard(client, "quotes")

    assert [quote_of(message, "C0-USD") and quote_of(message, "C0-USD")["stale"] for message in (first, later)] == [  # type: ignore[index]
        False,
        True,
    ]
    assert later["quotes"][0]["bid"] == first["quotes"][0]["bid"]
    assert later["quotes"][0]["age_ms"] > 10_000


@looped
async def test_what_is_unsubscribed_comes_no_more_and_the_rest_does(server: SocketServer, key: str) -> None:
    async with server.connect("/ws/quotes", key=key) as client:
        await subscribe(client, "BTC-USD", "ETH-USD")
        await client.send(json.dumps({"action": "unsubscribe", "items": items("ETH-USD", "C9-USD")}))
        assert (await heard(client, "subscribed"))["items"] == items("BTC-USD")
        server.do("ticks", codes=["ETH-USD"], times=1, first=70_000)
        server.do("ticks", codes=["BTC-USD"], times=1, first=70_000)
        while True:
            message = await heard(client, "quotes")
            if (quote_of(message, "BTC-USD") or {}).get("bid") == "70000":
                break
            assert (quote_of(message, "ETH-USD") or {}).get("bid") != "70000"
        assert quote_of(message, "ETH-USD") is None


REFUSED: list[tuple[str, Any]] = [
    ("MESSAGE_MALFORMED", "{"),
    ("MESSAGE_MALFORMED", "[]"),
    ("MESSAGE_MALFORMED", "\x00\ufffd"),
    ("MESSAGE_MALFORMED", b"\xff\x00bytes"),
    ("MESSAGE_MALFORMED", "[" * 30_000),
    ("MESSAGE_TOO_LARGE", '{"action": "' + "x" * MESSAGE_CHARS_MAX + '"}'),
    ("ACTION_UNKNOWN", "{}"),
    ("ACTION_UNKNOWN", {"action": ["subscribe"], "items": items("BTC-USD")}),
    ("ITEMS_MALFORMED", {"action": "subscribe"}),
    ("ITEMS_MALFORMED", {"action": "subscribe", "items": []}),
    ("ITEMS_MALFORMED", {"action": "subscribe", "items": [{"connection": "paper"}]}),
    ("ITEMS_MALFORMED", {"action": "subscribe", "items": [{"connection": "paper", "instrument": 1}]}),
    ("ITEMS_MALFORMED", {"action": "subscribe", "items": [*items("ETH-USD"), None]}),
    ("CONNECTION_UNKNOWN", {"action": "subscribe", "items": items("BTC-USD", connection="elsewhere")}),
    ("CONNECTION_UNKNOWN", {"action": "subscribe", "items": items("BTC-USD", connection="no-such")}),
    ("INSTRUMENT_UNKNOWN", {"action": "subscribe", "items": items("ETH-USD", "NO-SUCH")}),
    (
        "TOO_MANY_SUBSCRIPTIONS",
        {"action": "subscribe", "items": items(*(f"C{n}-USD" for n in range(SUBSCRIPTIONS_MAX)))},
    ),
]


@looped
async def test_bad_input_gets_a_code_and_a_way_out_and_loses_nothing(server: SocketServer, key: str) -> None:
    told = []
    async with server.connect("/ws/quotes", key=key) as client:
        await subscribe(client, "BTC-USD")
        for _code, sent in REFUSED:
            await client.send(sent if isinstance(sent, str | bytes) else json.dumps(sent))
            told.append(await heard(client, "error"))
        server.do("ticks", codes=["BTC-USD", "ETH-USD"], times=1, first=80_000)
        still = await heard(client, "quotes", lambda m: (quote_of(m, "BTC-USD") or {}).get("bid") == "80000")

    assert [error["code"] for error in told] == [code for code, _sent in REFUSED]
    assert all(error["detail"] and error["fix"] and set(error) == {"type", "code", "detail", "fix"} for error in told)
    assert [quote["instrument"] for quote in still["quotes"]] == ["BTC-USD"]


@looped
async def test_exactly_as_many_subscriptions_as_the_bound_are_taken(server: SocketServer, key: str) -> None:
    codes = [f"C{n}-USD" for n in range(SUBSCRIPTIONS_MAX)]
    async with server.connect("/ws/quotes", key=key) as client:
        assert len((await subscribe(client, *codes))["items"]) == SUBSCRIPTIONS_MAX
        # What is in force already counts once.
        assert len((await subscribe(client, *codes[:50]))["items"]) == SUBSCRIPTIONS_MAX
        await client.send(json.dumps({"action": "subscribe", "items": items("BTC-USD")}))
        assert (await heard(client, "error"))["code"] == "TOO_MANY_SUBSCRIPTIONS"


@looped
async def test_ten_megabytes_end_the_socket_of_who_sent_them_alone(server: SocketServer, key: str) -> None:
    async with server.connect("/ws/quotes", key=key) as other:
        async with server.connect("/ws/quotes", key=key) as client:
            # It is closed while it still sends.
            with suppress(websockets.ConnectionClosed):
                await client.send("x" * 10_000_000)
            code, _errors = await ending(client)
        await heard(other, "heartbeat")

    assert code == 1009


@looped
async def test_who_says_too_much_is_told_and_closed(server: SocketServer, key: str) -> None:
    async with server.connect("/ws/quotes", key=key) as client:
        for _ in range(MESSAGES_PER_WINDOW_MAX + 1):
            await client.send("{}")
        code, errors = await ending(client)

    assert code == 4429
    assert [error["code"] for error in errors] == [
        *(["ACTION_UNKNOWN"] * MESSAGES_PER_WINDOW_MAX), "TOO_MANY_MESSAGES",
    ]  # fmt: skip


@looped
async def test_two_people_of_two_desks_hear_each_their_own(server: SocketServer, key: str) -> None:
    """The same market, under the name of each one's own connection."""
    stranger = server.do("key", username="stranger", scopes=["read"], on=["elsewhere"])["header"]
    async with server.connect("/ws/quotes", key=key) as one, server.connect("/ws/quotes", key=stranger) as two:
        await subscribe(one, "BTC-USD")
        await subscribe(two, "BTC-USD", connection="elsewhere")
        server.do("ticks", codes=["BTC-USD"], times=1, first=90_000)
        told: list[Message] = [
            await heard(client, "quotes", lambda m: m["quotes"][0]["bid"] == "90000") for client in (one, two)
        ]

    assert [message["quotes"][0]["connection"] for message in told] == ["paper", "elsewhere"]


@looped
async def test_nothing_runs_on_for_sockets_that_are_gone(server: SocketServer, key: str) -> None:
    async with server.connect("/ws/quotes", key=key) as client:
        await heard(client, "heartbeat")
        assert server.do("sockets")["inside"] >= 1
    for _ in range(100):
        if (left := server.do("sockets")) == {"inside": 0, "readers": 0, "tasks": 0}:
            break
        await asyncio.sleep(0.05)

    assert left == {"inside": 0, "readers": 0, "tasks": 0}
