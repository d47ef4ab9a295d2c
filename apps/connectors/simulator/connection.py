"""One socket: its subscriptions, its own sequence numbers, and what is still to be sent over it."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from apps.connectors.simulator.clock import Clock, rfc3339
from apps.connectors.simulator.socket_faults import SocketFaults, SocketKind

OUTBOX_LENGTH = 5_000
"""A reader that is so many messages behind is cut off."""

_NEVER_STALE = frozenset({"heartbeats", "subscriptions", "user"})


@dataclass(frozen=True)
class Close:
    """The end of a connection: with a closing handshake, or (without a code) by a reset."""

    code: int | None = None
    reason: str = ""


def stamp() -> str:
    """The envelope's time: nanoseconds, as the live venue sends them."""
    return f"{rfc3339(Clock.micros())[:-1]}090Z"


@dataclass(eq=False)
class Connection:
    """`on` is user or market. `subscriptions` maps a channel to product ids; for user, empty means all."""

    on: str
    address: str
    faults: SocketFaults
    subscriptions: dict[str, set[str]] = field(default_factory=dict)
    sequence: int = 0
    opened_at: float = field(default_factory=time.monotonic)
    said_at: float = field(default_factory=time.monotonic)
    heartbeat_at: float = 0.0
    outbox: "asyncio.Queue[str | Close]" = field(default_factory=lambda: asyncio.Queue(OUTBOX_LENGTH))
    has_subscribed: bool = False
    closing: bool = False
    _held: str | None = None
    _last: dict[str, tuple[str, str]] = field(default_factory=dict)

    def post(self, channel: str, events: list[dict[str, Any]]) -> None:
        """Send one enveloped message, unless a fault has other plans."""
        for frame in self._frames(channel, json.dumps(events), stamp()):
            self._put(frame)

    def post_error(self, message: str) -> None:
        """An error frame: no envelope, no sequence number."""
        if not self._struck(SocketKind.SILENCE, ""):
            self._put(json.dumps({"type": "error", "message": message}))

    def close(self, code: int | None, reason: str = "") -> None:
        """End it after what is in the outbox; without a code, by a reset and at once."""
        if self.closing:
            return
        self.closing = True
        if code is None or self.outbox.full():
            while not self.outbox.empty():
                self.outbox.get_nowait()
        self.outbox.put_nowait(Close(code, reason))

    def _frames(self, channel: str, events: str, at: str) -> Iterator[str]:
        if self._struck(SocketKind.SILENCE, channel):
            self._number()
            return
        quiet = channel not in ("heartbeats", "subscriptions")
        if quiet and self._struck(SocketKind.HEARTBEATS_ONLY, channel):
            return
        if channel not in _NEVER_STALE:
            if channel in self._last and self._struck(SocketKind.STALE_PRICES, channel):
                events, at = self._last[channel]
            self._last[channel] = (events, at)
        frame = _envelope(channel, self._number(), events, at)
        if self._struck(SocketKind.GAP, channel):
            return
        if self._held is None and self._struck(SocketKind.REORDER, channel):
            self._held = frame
            return
        yield frame
        if self._struck(SocketKind.DUPLICATE, channel):
            yield frame
        if self._struck(SocketKind.REPEAT, channel):
            yield _envelope(channel, self._number(), events, at)
        if self._held is not None:
            held, self._held = self._held, None
            yield held

    def _struck(self, kind: SocketKind, channel: str) -> bool:
        return self.faults.strike(kind, self.on, channel) is not None

    def _number(self) -> int:
        number, self.sequence = self.sequence, self.sequence + 1
        return number

    def _put(self, frame: str) -> None:
        if self.closing:
            return
        self.said_at = time.monotonic()
        if self.outbox.full():
            self.close(None)
            return
        self.outbox.put_nowait(frame)


def _envelope(channel: str, number: int, events: str, at: str) -> str:
    head = json.dumps({"channel": channel, "client_id": "", "timestamp": at, "sequence_num": number})
    return f'{head[:-1]}, "events": {events}}}'
