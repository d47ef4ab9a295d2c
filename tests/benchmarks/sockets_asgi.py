"""What `fan_out` is measured against, as ASGI applications: a raw broadcast, and one layer message per client.

Served like Aika's own: uvicorn, the same protocol class. `GET /tick?...` is not there: a thread makes the ticks.
"""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer

from tests.benchmarks.sockets_ticks import make_ticks

Send = Callable[[dict[str, Any]], Awaitable[None]]


def text(code: str, number: int, sent_at: float) -> str:
    """As long as what Aika sends of one instrument, with the same fields."""
    quote = {
        "connection": "paper", "instrument": code, "bid": str(number), "ask": str(number + 1),
        "bid_quantity": "1", "ask_quantity": "1", "last": str(sent_at), "change_24h": "-1.5",
        "occurred_at": "2026-11-29T00:00:00.000000Z", "received_at": "2026-11-29T00:00:00.000000Z",
        "age_ms": 0, "stale": False,
    }  # fmt: skip
    return json.dumps({"type": "quotes", "at": "2026-11-29T00:00:00.000000Z", "quotes": [quote]})


class Raw:
    """The least there is: a set of sockets, and one loop that sends each the same text."""

    def __init__(self) -> None:
        self._sends: set[Send] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=lambda: make_ticks(self._tick), daemon=True).start()
        await receive()
        await send({"type": "websocket.accept"})
        self._sends.add(send)
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            self._sends.discard(send)

    def _tick(self, code: str, number: int) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._begin, text(code, number, time.time()))

    def _begin(self, message: str) -> None:
        task = asyncio.ensure_future(self._broadcast(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _broadcast(self, message: str) -> None:
        for send in tuple(self._sends):
            with suppress(OSError):  # it has just gone
                await send({"type": "websocket.send", "text": message})


class Layered(AsyncWebsocketConsumer):
    """What the documentation of Channels shows: every client in a group, and `group_send` for each tick."""

    loop: asyncio.AbstractEventLoop | None = None

    async def connect(self) -> None:
        """Join the group; the first one has ticks made."""
        await self.channel_layer.group_add("ticks", self.channel_name)
        await self.accept()
        if Layered.loop is None:
            Layered.loop = asyncio.get_running_loop()
            threading.Thread(target=lambda: make_ticks(self._tick), daemon=True).start()

    def _tick(self, code: str, number: int) -> None:
        message = {"type": "tick", "text": text(code, number, time.time())}
        assert Layered.loop is not None
        asyncio.run_coroutine_threadsafe(get_channel_layer().group_send("ticks", message), Layered.loop)

    async def tick(self, event: dict[str, Any]) -> None:
        """One client's copy."""
        await self.send(text_data=event["text"])

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard("ticks", self.channel_name)
