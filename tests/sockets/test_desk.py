"""ws/desk against a real server: what happened, in order, to each what they may see, and how everything stands."""

import json

import pytest

from tests.sockets.conftest import looped
from tests.sockets.process import Message, SocketServer, heard

pytestmark = pytest.mark.slow


def about(*subjects: str):  # type: ignore[no-untyped-def]
    """Messages with an event about one of these."""
    return lambda message: any(event["subject"] in subjects for event in message["events"])


@looped
async def test_a_desk_hears_what_happens_to_it_and_not_what_happens_elsewhere(
    server: SocketServer, cookie: str
) -> None:
    stranger = server.do("cookie", username="stranger")
    async with server.connect("/ws/desk", cookie=cookie) as mine, server.connect("/ws/desk", cookie=stranger) as theirs:
        hello = json.loads(await mine.recv())
        await heard(theirs, "hello")
        server.do("halt", slug="paper")
        server.do("halt", slug="elsewhere")
        told = [await heard(client, "events", about("trading-state")) for client in (mine, theirs)]
        after = [
            await heard(client, "heartbeat", lambda m: m["trading_state"]["code"] == "HALTED")
            for client in (mine, theirs)
        ]

    assert (hello["type"], set(hello)) == ("hello", {"type", "at", "last_id"})
    events = [message["events"] for message in told]
    assert [[event["connection"] for event in each] for each in events] == [["paper"], ["elsewhere"]]
    event = events[0][0]
    assert set(event) == {"id", "at", "kind", "subject", "subject_id", "state", "connection"}
    assert (event["kind"], event["state"], event["id"] > hello["last_id"]) == ("trading_state.halted", "HALTED", True)
    assert [message["trading_state"]["connections"] for message in after] == [
        [{"connection": slug, "code": "HALTED"}] for slug in ("paper", "elsewhere")
    ]
    assert after[0]["trading_state"]["words"] == "HALTED"


@looped
async def test_alarms_are_told_to_people_of_the_console_and_to_no_key(
    server: SocketServer, cookie: str, key: str
) -> None:
    auditor = server.do("cookie", username="colleague")
    async with (
        server.connect("/ws/desk", cookie=cookie) as staff,
        server.connect("/ws/desk", cookie=auditor) as outside,
        server.connect("/ws/desk", key=key) as program,
    ):
        clients = (staff, outside, program)
        for client in clients:
            await heard(client, "hello")
        number = server.do("alarm", subject="beat")
        (event,) = (await heard(staff, "events", about("alarm")))["events"]
        beats = [await heard(client, "heartbeat") for client in clients]
        # What comes afterwards is the first they hear.
        server.do("compared", slug="paper")
        others: list[Message] = [await heard(client, "events") for client in (outside, program)]

    assert (event["subject"], event["subject_id"], event["state"]) == ("alarm", str(number), "RAISED")
    assert event["connection"] is None
    assert [beat["alarms"] for beat in beats] == [1, None, None]
    assert [[one["subject"] for one in message["events"]] for message in others] == [["connection"]] * 2


@looped
async def test_whatever_is_said_to_it_is_refused_and_it_goes_on(server: SocketServer, cookie: str) -> None:
    async with server.connect("/ws/desk", cookie=cookie) as client:
        for sent, code in (("{}", "ACTION_UNKNOWN"), ("nonsense", "MESSAGE_MALFORMED")):
            await client.send(sent)
            assert (await heard(client, "error"))["code"] == code
        await heard(client, "heartbeat")


@looped
async def test_events_come_once_each_and_in_order(server: SocketServer, cookie: str) -> None:
    async with server.connect("/ws/desk", cookie=cookie) as client:
        after = (await heard(client, "hello"))["last_id"]
        for _ in range(20):
            server.do("compared", slug="paper")
        ids: list[int] = []
        while len(ids) < 20:
            ids += [event["id"] for event in (await heard(client, "events"))["events"]]

    assert ids == list(range(after + 1, after + 21))
