"""Two web processes on one Redis: each hears every send once, and who is signed in at one is at the other."""

import asyncio
from pathlib import Path

import pytest
from django.conf import settings
from redis.asyncio import Redis

from tests.sockets.conftest import looped
from tests.sockets.process import SocketServer, heard, quote_of, subscribe

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

CLIENTS = 8
SENDS = 5


async def watch(redis: Redis, seen: list[str]) -> None:
    """Every command that comes to this database of Redis, those inside scripts too."""
    database = redis.connection_pool.connection_kwargs["db"]
    async with redis.monitor() as monitor:
        while True:
            told = await monitor.next_command()
            if int(told["db"]) == database:
                seen.append(str(told["command"]))


@looped
async def test_each_of_two_processes_gets_one_message_for_a_send_however_many_listen(tmp_path: Path) -> None:
    if not settings.REDIS_URL:
        pytest.fail("Set REDIS_URL; .ci/run does.")
    first = SocketServer(tmp_path, REDIS_URL=settings.REDIS_URL)
    second = SocketServer(tmp_path, seed=False, REDIS_URL=settings.REDIS_URL)
    key = first.do("key", username="trader", scopes=["read"], on=["paper"])["header"]
    redis, seen = Redis.from_url(settings.REDIS_URL), list[str]()
    try:
        clients = [await server.connect("/ws/quotes", key=key) for server in (first, second) for _ in range(CLIENTS)]
        for client in clients:
            await subscribe(client, "BTC-USD", "ETH-USD")
        await asyncio.sleep(0.5)  # both have joined the group by now
        watching = asyncio.create_task(watch(redis, seen))
        await asyncio.sleep(0.3)
        for number in range(SENDS):
            first.do("ticks", codes=["BTC-USD", "ETH-USD"], times=1, first=100 + number)
            for client in clients:
                wanted = str(100 + number)
                await heard(
                    client, "quotes", lambda m, wanted=wanted: (quote_of(m, "ETH-USD") or {}).get("bid") == wanted
                )
        await asyncio.sleep(0.3)
        watching.cancel()
        for client in clients:
            await client.close()
    finally:
        await redis.aclose()
        stopped = first.stop(), second.stop()

    sends = [command for command in seen if "over_capacity" in command]
    # A send is one script that puts one message to each member of the group: two, whatever the number of clients.
    assert len(sends) == SENDS, sends
    # The layer may put a message back that its reader has just taken: the same one, so each counts once.
    puts = {
        (command.split(" ", 3)[1], command.split(" ", 3)[3])
        for command in seen
        if command.upper().startswith("ZADD") and command.split(" ", 3)[1].endswith("!")
    }
    assert len(puts) == 2 * SENDS, puts
    assert len({channel for channel, _message in puts}) == 2
    assert all(seconds < 3 for seconds in stopped)
    assert "Traceback" not in first.said + second.said


@looped
async def test_a_redis_that_forgot_everybody_is_joined_again(tmp_path: Path) -> None:
    if not settings.REDIS_URL:
        pytest.fail("Set REDIS_URL; .ci/run does.")
    server = SocketServer(tmp_path, REDIS_URL=settings.REDIS_URL)
    key = server.do("key", username="trader", scopes=["read"], on=["paper"])["header"]
    redis = Redis.from_url(settings.REDIS_URL)
    try:
        async with server.connect("/ws/quotes", key=key) as client:
            await subscribe(client, "BTC-USD")
            await asyncio.sleep(0.5)
            assert await redis.delete("asgi:group:quotes") == 1
            server.do("ticks_soon", codes=["BTC-USD"], times=100, pause_s=0.1)
            await heard(client, "quotes")
    finally:
        await redis.aclose()
        server.stop()
