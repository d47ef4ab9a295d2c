"""One socket at Coinbase, kept alive: subscribes, counts, notices silence, and connects again (coinbase.md 5).

Whatever makes the stream doubtful (a gap, silence, a message that cannot be read) ends the connection. A new one brings
a new snapshot, so that there is one way back to a complete picture, and it is walked every time.
"""

import json
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from apps.common.errors import Misconfigured
from apps.connectors.stream_types import Beat, Live, LossReason, Lost, StreamChannel, StreamEvent
from apps.connectors.venues.addresses import is_loopback
from apps.connectors.venues.coinbase import messages, wire
from apps.connectors.venues.coinbase.client import origin_of
from apps.connectors.venues.coinbase.unread import Skim
from apps.connectors.venues.http import certificates

MESSAGE_BYTES_MAX = 16 * 1024 * 1024  # a level 2 snapshot of a busy book has about 5 MB
OPEN_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
TURN_S = 0.5  # how long nothing may come before the consumer gets a moment for its chores
# The venue's limit is 8 connects a second from one address; a process stays well below it over all its streams.
CONNECT_EVERY_S = 0.25

_MARKET = {"api.coinbase.com": "wss://advanced-trade-ws.coinbase.com"}
_USER = {"api.coinbase.com": "wss://advanced-trade-ws-user.coinbase.com"}
_SANDBOX = "api-sandbox.coinbase.com"

# The library writes whole frames, tokens among them, where its logger is at DEBUG; this one never is.
_library_log = logging.getLogger(f"{__name__}.frames")
_library_log.setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Timing:
    """Bounds in seconds. Heartbeats come every second."""

    silence_s: float = 5.0
    ready_s: float = 10.0
    """How long connecting, subscribing and the snapshots may take together."""
    backoff_s: float = 0.25
    backoff_cap_s: float = 30.0
    settled_s: float = 30.0
    """A stream that lived so long begins its next backoff anew."""


class _Ended(Exception):
    """This connection is of no more use."""

    def __init__(self, reason: LossReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _Gate:
    """Spaces the connects of one process, over all streams."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self, stop: threading.Event) -> None:
        with self._lock:
            at = max(self._next, time.monotonic())
            self._next = at + CONNECT_EVERY_S
        stop.wait(at - time.monotonic())


_gate = _Gate()


def socket_url(api_base: str, *, user: bool) -> str:
    """Where the sockets of this API are: the user's own, or the market's. Plain ws:// only on this machine.

    Raises Misconfigured: VENUE_ADDRESS_UNUSABLE, or VENUE_HAS_NO_SOCKET for the sandbox, which documents none.
    """
    parts = urlsplit(origin_of(api_base))
    host = parts.hostname or ""
    if host == _SANDBOX:
        raise Misconfigured("VENUE_HAS_NO_SOCKET", "The venue's sandbox has no sockets.", fix="Nothing: it is polled.")
    known = (_USER if user else _MARKET).get(host)
    if known is not None:
        return known
    if parts.scheme == "http" and not is_loopback(host):
        raise Misconfigured("VENUE_ADDRESS_UNUSABLE", "A socket without TLS leaves this machine.", fix="Use https.")
    scheme = "wss" if parts.scheme == "https" else "ws"
    return f"{scheme}://{parts.netloc}/ws{'/user' if user else ''}"


class Stream:
    """Channels of one socket. One thread listens; `instruments` empty means all (of one's own orders)."""

    def __init__(
        self,
        *,
        url: str,
        token: Callable[[], str] | None,
        channels: Sequence[StreamChannel],
        instruments: Sequence[str] = (),
        now: Callable[[], datetime],
        timing: Timing | None = None,
    ) -> None:
        self._url = url
        self._token = token
        self._channels = tuple(channels)
        self._instruments = tuple(instruments)
        self._now = now
        self._timing = timing or Timing()
        self._random = random.SystemRandom()

    def listen(self, stop: threading.Event) -> Iterator[StreamEvent]:
        """What the venue tells, until `stop` is set. Connects again by itself; every loss is told, and every return.

        Closing the iterator closes the connection.
        """
        tries = 0
        while not stop.is_set():
            _gate.wait(stop)
            began = time.monotonic()
            try:
                yield from self._session(stop)
                return
            except _Ended as ended:
                tries = 0 if time.monotonic() - began >= self._timing.settled_s else tries
                pause = self._random.uniform(0, min(self._timing.backoff_cap_s, self._timing.backoff_s * 2**tries))
                tries = min(tries + 1, 16)
                yield Lost(self._now(), ended.reason, ended.detail, pause)
            until = time.monotonic() + pause
            while not stop.wait(min(TURN_S, max(0.0, until - time.monotonic()))) and time.monotonic() < until:
                yield Beat(self._now(), heard=False)

    def _session(self, stop: threading.Event) -> Iterator[StreamEvent]:
        with closing(self._connect()) as socket:
            session = _Session(socket, self._requests(), self._timing, self._now)
            while not stop.is_set():
                yield from session.turn()

    def _connect(self) -> ClientConnection:
        try:
            return connect(
                self._url,
                ssl=certificates() if self._url.startswith("wss://") else None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=MESSAGE_BYTES_MAX,
                compression=None,
                proxy=None,
                # Heartbeats do it, and they also tell that the venue's own pipeline lives.
                ping_interval=None,
                user_agent_header="aika",
                logger=_library_log,
            )
        except InvalidStatus as error:
            raise _Ended(LossReason.REFUSED, f"status {error.response.status_code}") from error
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException) as error:
            raise _Ended(LossReason.REFUSED, type(error).__name__) from error

    def _requests(self) -> "deque[_Request]":
        """What to subscribe to, in order: heartbeats first, so that the connection is not closed for being quiet."""
        asked = [_Request(messages.HEARTBEATS, (), None)]
        asked += [_Request(messages.CHANNELS[name], self._instruments, self._token) for name in self._channels]
        return deque(asked)


@dataclass(frozen=True, slots=True)
class _Request:
    """One subscribe. Its token is made when it is sent."""

    channel: str
    instruments: tuple[str, ...]
    token: Callable[[], str] | None

    def text(self) -> str:
        body: dict[str, object] = {"type": "subscribe", "channel": self.channel}
        if self.instruments:
            body["product_ids"] = list(self.instruments)
        if self.token is not None:
            body["jwt"] = self.token()
        return json.dumps(body)


class _Session:
    """One connection from its first subscribe to its end."""

    def __init__(
        self,
        socket: ClientConnection,
        requests: "deque[_Request]",
        timing: Timing,
        now: Callable[[], datetime],
    ) -> None:
        self._socket = socket
        self._waiting = requests
        self._timing = timing
        self._now = now
        self._numbers = messages.Numbers()
        self._skim = Skim(self._numbers)
        self._began = self._heard_at = time.monotonic()
        self._asked: _Request | None = None
        self._snapshot_open = any(request.channel == "user" for request in requests)
        self._live = False
        self._subscribe_next()

    def turn(self) -> Iterator[StreamEvent]:
        """Wait for one message, at most a moment, and say what it means. Raises `_Ended`."""
        try:
            text = self._socket.recv(timeout=TURN_S)
        except TimeoutError:
            self._check_patience()
            yield Beat(self._now(), heard=False)
            return
        except ConnectionClosed as closed:
            raise _Ended(LossReason.CLOSED, _why_closed(closed)) from closed
        self._heard_at = time.monotonic()
        self._check_patience()
        try:
            if self._live and type(text) is str:
                tickers = self._skim.ticker(text, self._now())
                if tickers is not None:
                    yield tickers
                    return
            yield from self._told(messages.frame(text))
        except wire.Malformed as error:
            raise _Ended(LossReason.UNREADABLE, str(error)) from error

    def _told(self, frame: messages.Frame | messages.ErrorFrame) -> Iterator[StreamEvent]:
        if isinstance(frame, messages.ErrorFrame):
            raise _Ended(LossReason.REFUSED, frame.message[:200])
        missing = self._numbers.missing(frame.sequence)
        if missing > 0:
            raise _Ended(LossReason.GAP, f"{missing} messages before number {frame.sequence}")
        if missing < 0:
            return
        received_at = self._now()
        if frame.channel == messages.HEARTBEATS:
            yield Beat(received_at, heard=True)
        elif frame.channel == messages.SUBSCRIPTIONS:
            self._acknowledge(frame)
        else:
            if frame.channel == "user" and messages.is_end_of_snapshot(frame):
                self._snapshot_open = False
            yield from messages.events_of(frame, received_at)
        if not self._live and self._is_complete:
            self._live = True
            yield Live(received_at)

    @property
    def _is_complete(self) -> bool:
        return self._asked is None and not self._waiting and not self._snapshot_open

    def _acknowledge(self, frame: messages.Frame) -> None:
        """One subscribe at a time: which of several an acknowledgement is for could not be told."""
        if self._asked is not None and self._asked.channel in messages.subscribed(frame):
            self._asked = None
            self._subscribe_next()

    def _subscribe_next(self) -> None:
        if self._waiting:
            self._asked = self._waiting.popleft()
            try:
                self._socket.send(self._asked.text())
            except ConnectionClosed as closed:
                raise _Ended(LossReason.CLOSED, _why_closed(closed)) from closed

    def _check_patience(self) -> None:
        now = time.monotonic()
        if now - self._heard_at > self._timing.silence_s:
            raise _Ended(LossReason.SILENT, f"nothing came for {self._timing.silence_s:g} s")
        if not self._live and now - self._began > self._timing.ready_s:
            raise _Ended(LossReason.SILENT, f"not subscribed within {self._timing.ready_s:g} s")


def _why_closed(closed: ConnectionClosed) -> str:
    frame = closed.rcvd
    if frame is None:
        return "the connection broke" if closed.sent is None else f"closed by us: {closed.sent.code}"
    return f"closed by the venue: {frame.code} {frame.reason}".strip()
