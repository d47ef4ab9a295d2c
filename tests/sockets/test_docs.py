"""docs/sockets.md says what the server does: its examples are sent and compared, bounds and codes are the code's."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from apps.accounts import sockets as at_the_door
from apps.common import sockets
from apps.quotes.consumers import SUBSCRIPTIONS_MAX
from apps.quotes.types import QUOTE_AGE_S_MAX
from config.sockets import FRAME_BYTES_MAX, PONG_S_MAX
from tests.sockets.conftest import looped
from tests.sockets.process import SocketServer, heard

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "sockets.md").read_text(encoding="utf-8")
CODE = ("apps/accounts/sockets.py", "apps/common/sockets.py", "apps/quotes/consumers.py", "apps/dashboard/consumers.py")


def examples(who: str) -> list[dict[str, Any]]:
    """The blocks of one side."""
    return [json.loads(text) for text in re.findall(rf"```json {who}\n(.*?)\n```", PAGE)]


def shape(value: Any) -> Any:
    """Names and kinds of a message, without its values; lists by their first entry."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_the_bounds_are_those_of_the_code() -> None:
    rows = dict(re.findall(r"^\| ([a-z][^|]+) \| (\d+) \|$", PAGE.partition("## Bounds")[2], re.MULTILINE))

    assert {name.strip(): int(bound) for name, bound in rows.items()} == {
        "instruments a socket subscribes to": SUBSCRIPTIONS_MAX,
        "characters of a client's message": sockets.MESSAGE_CHARS_MAX,
        f"messages of a client within {sockets.WINDOW_S:.0f} s": sockets.MESSAGES_PER_WINDOW_MAX,
        "sockets of a person and their keys, in one process": at_the_door.SOCKETS_PER_PERSON_MAX,
        "sockets in one process": at_the_door.SOCKETS_MAX,
    }
    assert f"more than {FRAME_BYTES_MAX} bytes" in PAGE
    assert f"older than {QUOTE_AGE_S_MAX} s" in PAGE
    assert f"under way for {sockets.SLOW_S_MAX:.0f} s" in PAGE
    assert f"a ping for {PONG_S_MAX:.0f} s" in PAGE


def test_every_code_is_named_and_no_other() -> None:
    raised = {
        code
        for path in CODE
        for code in re.findall(r"\(\s*\"([A-Z]+(?:_[A-Z]+)+)\"", (ROOT / path).read_text(encoding="utf-8"))
    }
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", PAGE.partition("## Errors")[2].partition("## Bounds")[0]))

    assert named - {"OWNER_INACTIVE", "AUTHENTICATION_FAILURES"} == raised


def test_the_close_codes_are_those_of_the_code() -> None:
    named = {int(code) for code in re.findall(r"^\| (\d{4}) \|", PAGE, re.MULTILINE)}

    ours = {sockets.SIGNED_OUT, sockets.ORIGIN, sockets.SLOW, sockets.TOO_MANY}
    assert named == ours | {1009, 1011, 1012, 1013}


@pytest.mark.slow
@looped
async def test_the_examples_are_what_is_sent(server: SocketServer, cookie: str) -> None:
    told = {}
    server.do("quote", code="ETH-USD", price="10")
    async with server.connect("/ws/quotes", cookie=cookie) as client:
        for example in examples("client"):
            await client.send(json.dumps(example))
            told["subscribed"] = await heard(client, "subscribed")
        server.do("ticks", codes=["BTC-USD"], times=1)
        told["quotes"] = await heard(client, "quotes", lambda m: m["quotes"][0]["last"] is not None)
        told["heartbeat"] = await heard(client, "heartbeat")
        missing = [{"connection": "paper", "instrument": "NO-SUCH"}]
        await client.send(json.dumps({"action": "subscribe", "items": missing}))
        told["error"] = await heard(client, "error")
    async with server.connect("/ws/desk", cookie=cookie) as client:
        told["hello"] = await heard(client, "hello")
        server.do("compared", slug="paper")
        told["events"] = await heard(client, "events")
        told["heartbeat of the desk"] = await heard(client, "heartbeat")

    written = {}
    for example in examples("server"):
        written[example["type"] + (" of the desk" if "trading_state" in example else "")] = example
    for message in (*told.values(), *written.values()):
        # Records of feeds are told where they are made; whether there are any here is another matter.
        message.pop("feeds", None)
    assert {name: shape(message) for name, message in told.items()} == {
        name: shape(message) for name, message in written.items()
    }
    assert told["error"] == written["error"]
    assert told["subscribed"] == written["subscribed"]
