"""A reader that stops costs the others nothing: against a real server, with real buffers between."""

import asyncio
import json

import pytest
import websockets

from tests.sockets.conftest import looped
from tests.sockets.process import SocketServer, ending, heard, subscribe

pytestmark = pytest.mark.slow

MANY = 200
ROUNDS = 80


@looped
async def test_who_stops_reading_is_dropped_and_the_others_hear_every_round(server: SocketServer, key: str) -> None:
    codes = [f"C{number}-USD" for number in range(MANY)]
    # Its own side keeps one message, and takes no more from the network until that is read.
    async with (
        server.connect("/ws/quotes", key=key, max_queue=1, ping_interval=None) as stuck,
        server.connect("/ws/quotes", key=key) as other,
    ):
        await subscribe(stuck, *codes)
        await subscribe(other, *codes)
        before = server.do("sockets")["inside"]
        sending = asyncio.create_task(server.doing("ticks", codes=codes, times=ROUNDS, pause_s=0.1, first=1_000))
        rounds: list[int] = []
        while not rounds or rounds[-1] < 1_000 + ROUNDS - 1:
            message = await heard(other, "quotes")
            assert len({quote["bid"] for quote in message["quotes"]}) == 1
            rounds.append(int(message["quotes"][0]["bid"]))
        await sending
        assert server.do("sockets")["inside"] == before - 1
        seen = 0
        while True:
            try:
                seen += json.loads(await stuck.recv())["type"] == "quotes"
            except websockets.ConnectionClosed:
                break
        await heard(other, "heartbeat")

    # One round may fall into the next one's message; none is missing for long, and none comes twice or late.
    assert rounds == sorted(set(rounds))
    assert len(rounds) > ROUNDS / 2
    assert seen < ROUNDS / 2
    assert stuck.close_code in (4408, 1006)


@looped
async def test_who_was_dropped_and_reads_again_at_once_is_told_why(server: SocketServer, key: str) -> None:
    codes = [f"C{number}-USD" for number in range(MANY)]
    async with server.connect("/ws/quotes", key=key, max_queue=1, ping_interval=None) as stuck:
        await subscribe(stuck, *codes)
        before = server.do("sockets")["inside"]
        server.do("ticks_soon", codes=codes, times=ROUNDS, pause_s=0.1)
        while server.do("sockets")["inside"] == before:
            await asyncio.sleep(0.1)
        code, _errors = await ending(stuck)

    assert code == 4408
