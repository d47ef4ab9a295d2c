"""The WebSocket doors: /ws for the market, /ws/user for the account's own orders."""

import asyncio
import json
import time
from collections import defaultdict, deque
from contextlib import suppress
from itertools import zip_longest
from typing import Any

from starlette.types import Receive, Scope, Send

from apps.connectors.simulator import market_feed, mischief, user_frames
from apps.connectors.simulator.clock import Clock, rfc3339
from apps.connectors.simulator.connection import Connection
from apps.connectors.simulator.errors import Unauthorized
from apps.connectors.simulator.exchange import Exchange
from apps.connectors.simulator.keys import ApiKey, verify_token
from apps.connectors.simulator.market_feed import MarketFeed
from apps.connectors.simulator.products import PRODUCTS
from apps.connectors.simulator.records import Order
from apps.connectors.simulator.socket_faults import IMMEDIATE, SocketFault, SocketFaults, SocketKind

PATHS = {"/ws": "market", "/ws/user": "user"}
CHANNELS = {
    # The market door is the documented fallback for the user channel.
    "market": frozenset(market_feed.CHANNELS) | {"heartbeats", "user"},
    "user": frozenset({"heartbeats", "user"}),
}
MESSAGES_PER_S = 8
"""Messages without a token that an address may send in a second."""

_TURN_S = 0.02
_MESSAGES_KEPT = 1_000


class _Rate:
    """How often something happened in the last second, per address."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[float]] = defaultdict(deque)

    def is_above(self, address: str, limit: int) -> bool:
        """Count one more; whether that is too many."""
        now, seen = time.monotonic(), self._seen[address]
        while seen and seen[0] <= now - 1:
            seen.popleft()
        seen.append(now)
        return len(seen) > limit


class Sockets:
    """All open sockets, and what they are told."""

    def __init__(self, exchange: Exchange, key: ApiKey, faults: SocketFaults) -> None:
        self.faults = faults
        self._exchange = exchange
        self._key = key
        self._feed = MarketFeed(exchange.market)
        self._open: list[Connection] = []
        self._started = time.monotonic()
        self.reset()

    def reset(self) -> None:
        """No faults, counts at zero. Who is connected stays, and is told about the new venue as it changes."""
        self.faults.active.clear()
        self._connect_rate, self._message_rate = _Rate(), _Rate()
        self._connects = {"user": 0, "market": 0}
        self._messages: deque[dict[str, Any]] = deque(maxlen=_MESSAGES_KEPT)

    def add_fault(self, fault: SocketFault) -> None:
        """Put one in force, or do it."""
        if fault.kind not in IMMEDIATE:
            self.faults.active.append(fault)
            return
        for connection in self._open:
            if fault.on in (connection.on, "any"):
                connection.close(None if fault.kind is SocketKind.DROP else fault.code, "going away")

    def as_json(self) -> dict[str, Any]:
        """As GET /simulator/sockets shows it. Messages are what clients sent, without their tokens."""
        return {
            "connections": [
                {
                    "on": connection.on,
                    "subscriptions": {name: sorted(ids) for name, ids in connection.subscriptions.items()},
                    "sequence_num": connection.sequence,
                }
                for connection in self._open
            ],
            "connects": self._connects,
            "messages": list(self._messages),
            "faults": [fault.as_json() for fault in self.faults.active],
        }

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection from handshake to end."""
        await receive()
        on = PATHS.get(scope["path"].rstrip("/"))
        address = (scope.get("client") or ("",))[0]
        if on is None:
            await _refuse(send, 404)
            return
        if self._connect_rate.is_above(address, self._exchange.options.connects_per_s):
            await _refuse(send, 429)
            return
        if self.faults.strike(SocketKind.REFUSE, on):
            await _refuse(send, 503)
            return
        await send({"type": "websocket.accept"})
        connection = Connection(on, address, self.faults)
        self._connects[on] += 1
        self._open.append(connection)
        tasks = [
            asyncio.create_task(self._listen(connection, receive)),
            asyncio.create_task(_speak(connection, send)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open.remove(connection)
            for task in tasks:
                task.cancel()
            for task in tasks:
                # Whatever ended it, the client is gone; what is wrong with us was shown where it happened.
                with suppress(asyncio.CancelledError, OSError, RuntimeError):
                    await task

    async def keep_talking(self) -> None:
        """Heartbeats, and the end of sockets that say or hear nothing, for as long as the venue runs."""
        while True:
            await asyncio.sleep(_TURN_S)
            for connection in list(self._open):
                self._tend(connection)

    def _tend(self, connection: Connection) -> None:
        now, options = time.monotonic(), self._exchange.options
        if "heartbeats" in connection.subscriptions and now - connection.heartbeat_at >= options.heartbeat_ms / 1000:
            connection.heartbeat_at = now
            connection.post("heartbeats", [self._heartbeat()])
        if not connection.has_subscribed and now - connection.opened_at >= options.subscribe_ms / 1000:
            connection.close(1008, "no subscription")
        elif now - connection.said_at >= options.idle_ms / 1000:
            connection.close(1000, "idle")

    def _heartbeat(self) -> dict[str, Any]:
        up = time.monotonic() - self._started
        moment = rfc3339(Clock.micros())[:-1].replace("T", " ")
        return {"current_time": f"{moment}045 +0000 UTC m=+{up:.9f}", "heartbeat_counter": int(up)}

    async def _listen(self, connection: Connection, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return
            self._hear(connection, message.get("text") or (message.get("bytes") or b"").decode(errors="replace"))

    def _hear(self, connection: Connection, text: str) -> None:
        try:
            wanted = json.loads(text)
        except (ValueError, RecursionError):
            wanted = None
        kind = wanted.get("type") if isinstance(wanted, dict) else None
        if kind not in ("subscribe", "unsubscribe"):
            connection.post_error("subscribe or unsubscribe required")
            return
        token, channel = wanted.get("jwt"), wanted.get("channel")
        shown = {name: value for name, value in wanted.items() if name != "jwt"}
        self._messages.append({"on": connection.on, "has_token": bool(token), **shown})
        if not token and self._message_rate.is_above(connection.address, MESSAGES_PER_S):
            # That there is a limit is documented; what is said above it is not.
            connection.post_error("rate limit exceeded")
            return
        denied = kind == "subscribe" and self.faults.strike(SocketKind.DENY, connection.on)
        if denied or channel not in CHANNELS[connection.on] or not self._is_let_in(channel, token):
            connection.post_error("authentication failure")
            return
        ids = wanted.get("product_ids") or []
        named = {name for name in ids if isinstance(name, str)} if isinstance(ids, list) else set()
        books = {PRODUCTS[name].book_id for name in named if name in PRODUCTS}
        if channel == "user" and named and not books:
            # None of ours: that is not the same as naming none, which means all.
            books = named
        if kind == "unsubscribe":
            self._unsubscribe(connection, channel, books if named else None)
        else:
            self._subscribe(connection, channel, books)
        live = {name: self._shown(name, ids) for name, ids in connection.subscriptions.items()}
        connection.post("subscriptions", [{"subscriptions": live}])

    def _is_let_in(self, channel: str, token: object) -> bool:
        """The user channel needs a token; elsewhere one may be given, and then it has to be good."""
        if not token:
            return channel != "user"
        try:
            verify_token(self._key, str(token))
        except Unauthorized:
            return False
        return True

    def _shown(self, channel: str, ids: set[str]) -> list[str]:
        return {"heartbeats": ["heartbeats"], "user": [self._exchange.user_id]}.get(channel) or sorted(ids)

    def _unsubscribe(self, connection: Connection, channel: str, books: set[str] | None) -> None:
        """Without product ids the whole channel goes."""
        left = set() if books is None else connection.subscriptions.get(channel, set()) - books
        connection.subscriptions.pop(channel, None)
        if left:
            connection.subscriptions[channel] = left

    def _subscribe(self, connection: Connection, channel: str, books: set[str]) -> None:
        """The snapshot goes out here, and so before the acknowledgement."""
        connection.has_subscribed = True
        if channel == "heartbeats":
            connection.subscriptions[channel] = set()
            return
        self.tell()
        if channel == "user":
            connection.subscriptions[channel] = books
            active = [order for order in self._exchange.store.active_orders() if _is_wanted(order, books)]
            for event in user_frames.snapshot(active, self._exchange.portfolio_id):
                connection.post("user", [event])
            return
        # An unknown product is no error: the acknowledgement just does not have it.
        connection.subscriptions[channel] = connection.subscriptions.get(channel, set()) | books
        if books:
            large = channel == "level2" and self.faults.strike(SocketKind.LARGE_SNAPSHOT, connection.on, channel)
            events = self._feed.snapshot(channel, books, large.levels if large else None)
            for event in events:
                connection.post(market_feed.CHANNELS[channel], [event])
            if channel == "market_trades":
                self._feed.begin(books)

    def tell(self) -> None:
        """Send what has changed since the last call: orders in each state they went through, and the market."""
        self._tell_orders(self._exchange.store.take_changes())
        wanted: dict[str, set[str]] = defaultdict(set)
        for connection in self._open:
            for channel, ids in connection.subscriptions.items():
                if channel in market_feed.CHANNELS:
                    wanted[channel] |= ids
        self._feed.forget(wanted)
        for channel, by_product in self._feed.updates(wanted).items():
            for connection in self._open:
                self._tell_rows(connection, channel, by_product)

    def _tell_rows(self, connection: Connection, channel: str, by_product: dict[str, list[dict[str, Any]]]) -> None:
        """One message for all products; further ones where one product has more rows than a message takes."""
        mine = connection.subscriptions.get(channel, set()) & by_product.keys()
        parts = [self._feed.events(channel, name, by_product[name]) for name in sorted(mine)]
        for events in zip_longest(*parts):
            connection.post(market_feed.CHANNELS[channel], [event for event in events if event is not None])

    def _tell_orders(self, changed: list[Order]) -> None:
        listening = [connection for connection in self._open if "user" in connection.subscriptions]
        for order in changed if listening else ():
            row = user_frames.order_row(order, self._exchange.portfolio_id)
            for connection in listening:
                if _is_wanted(order, connection.subscriptions["user"]):
                    connection.post("user", [user_frames.event("update", [row])])


def _is_wanted(order: Order, books: set[str]) -> bool:
    return not books or PRODUCTS[order.product_id].book_id in books


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "websocket.http.response.start", "status": status, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b""})


async def _speak(connection: Connection, send: Send) -> None:
    """Send what is in the outbox until the end is."""
    while True:
        item = await connection.outbox.get()
        if isinstance(item, str):
            await send({"type": "websocket.send", "text": item})
        elif item.code is None:
            await mischief.reset(send)
            return
        else:
            await send({"type": "websocket.close", "code": item.code, "reason": item.reason})
            return
