"""Two web processes on one Redis: each hears every send once, and who is signed in at one is at the other."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.conf import settings
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection

from tests.sockets.conftest import looped
from tests.sockets.process import WAIT_S, SocketServer, heard, quote_of, subscribe

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

CLIENTS = 8
SENDS = 5
GROUP = "asgi:group:quotes"
# A database of Redis of its own: servers of other tests, run at the same time, are members of the same group else.
DATABASE = 13
Pair = tuple[SocketServer, SocketServer]


def redis_url() -> str:
    return urlsplit(settings.REDIS_URL)._replace(path=f"/{DATABASE}").geturl()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two processes on one folder and one Redis. Each ends when it is told to, and has nothing to complain about."""
    if not settings.REDIS_URL:
        pytest.fail("Set REDIS_URL; .ci/run does.")
    home = tmp_path_factory.mktemp("pair")
    first = SocketServer(home, REDIS_URL=redis_url())
    second = SocketServer(home, seed=False, REDIS_URL=redis_url())
    yield first, second
    for server in (first, second):
        server.stop()
    assert -signal.SIGKILL not in {server.process.returncode for server in (first, second)}
    said = first.said + second.said
    assert "Traceback" not in said and "Redis is away" not in said, said


@pytest.fixture(scope="module")
def both_ways(pair: Pair) -> str:
    """A key of the trader, for either process."""
    return str(pair[0].do("key", username="trader", scopes=["read"], on=["paper"])["header"])


async def until(what: Callable[[], Awaitable[object]]) -> None:
    """Return once it is so."""
    async with asyncio.timeout(WAIT_S):
        while not await what():
            await asyncio.sleep(0.02)


class Watched:
    """Redis, and every command that came to this database of it, those inside scripts too, from the start on."""

    def __init__(self, redis: "Redis[Any]") -> None:
        self.redis = redis
        self.seen: list[str] = []

    async def listen(self) -> None:
        """Until cancelled."""
        database = self.redis.connection_pool.connection_kwargs["db"]
        async with self.redis.monitor() as monitor:
            while True:
                told = await monitor.next_command()
                if int(told["db"]) == database:
                    self.seen.append(str(told["command"]))

    async def caught_up(self) -> list[str]:
        """What was seen, with all that has been sent to Redis by now."""
        mark = uuid4().hex

        async def marked() -> bool:
            await self.redis.echo(mark)
            return any(mark in command for command in self.seen)

        await until(marked)
        return list(self.seen)

    async def until_members(self, count: int) -> None:
        """Until so many processes are in the group."""

        async def so_many() -> bool:
            return int(await self.redis.zcard(GROUP)) == count

        await until(so_many)

    def waits(self) -> Counter[str]:
        """How often each process began to wait for a message."""
        told = [
            command.split(" ") for command in self.seen if command.upper().startswith("BZPOPMIN asgiquotes".upper())
        ]
        return Counter(words[1] for words in told)


@asynccontextmanager
async def watched() -> AsyncIterator[Watched]:
    """A group without members of earlier runs, and again without members at the end: who has left is out of it."""
    redis = Redis.from_url(redis_url(), socket_timeout=None)  # a monitor may hear nothing for long
    watching = Watched(redis)
    await redis.delete(GROUP)
    listening = asyncio.create_task(watching.listen())
    try:
        await watching.caught_up()
        yield watching
        await watching.until_members(0)
    finally:
        listening.cancel()
        await asyncio.wait({listening})
        await redis.aclose()


async def assert_reached(clients: list[ClientConnection], server: SocketServer, price: int) -> None:
    """One send of this price, and every client has it."""
    await server.doing("ticks", codes=["BTC-USD", "ETH-USD"], times=1, first=price)
    for client in clients:
        await heard(client, "quotes", lambda m: (quote_of(m, "ETH-USD") or {}).get("bid") == str(price))


@looped
async def test_each_of_two_processes_gets_one_message_for_a_send_however_many_listen(
    pair: Pair, both_ways: str
) -> None:
    async with watched() as watching, AsyncExitStack() as opened:
        clients = [
            await opened.enter_async_context(server.connect("/ws/quotes", key=both_ways))
            for server in pair
            for _ in range(CLIENTS)
        ]
        for client in clients:
            await subscribe(client, "BTC-USD", "ETH-USD")
        await watching.until_members(2)
        for number in range(SENDS):
            await assert_reached(clients, pair[0], 100 + number)
        seen = await watching.caught_up()

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


@looped
async def test_a_process_that_hears_nothing_for_long_goes_on_listening(pair: Pair, both_ways: str) -> None:
    """Longer than one wait for a message: silence is not taken for a Redis that is away (see the fixture `pair`)."""
    async with watched() as watching, AsyncExitStack() as opened:
        clients = [await opened.enter_async_context(server.connect("/ws/quotes", key=both_ways)) for server in pair]
        for client in clients:
            await subscribe(client, "BTC-USD", "ETH-USD")

        async def both_wait_again() -> bool:
            return len(watching.waits()) == 2 and min(watching.waits().values()) >= 2

        await until(both_wait_again)
        await assert_reached(clients, pair[0], 200)


@looped
async def test_a_redis_that_forgot_everybody_is_joined_again(pair: Pair, both_ways: str) -> None:
    async with watched() as watching, pair[1].connect("/ws/quotes", key=both_ways) as client:
        await subscribe(client, "BTC-USD", "ETH-USD")
        await watching.until_members(1)
        assert await watching.redis.delete(GROUP) == 1
        await watching.until_members(1)
        await assert_reached([client], pair[0], 300)
