"""One HTTP exchange under one deadline, and the knowledge whether any byte of the request left.

A timeout of httpx bounds one read; a peer that drips a byte a second outlasts it. Here every read and write of the
socket gets what is left of the deadline, and nothing is written after it: an order cannot leave late.
(Name resolution cannot be interrupted; it happens before the first byte, so it delays an answer and not an order.)
"""

import logging
import secrets
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import httpcore
import httpx

from apps.common import fault_places as places
from apps.common import faults, tallies

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 8.0
WRITE_TIMEOUT_S = 3.0
POOL_TIMEOUT_S = 2.0
RESPONSE_BYTES_MAX = 16 * 1024 * 1024
CONNECTIONS_MAX = 10
KEEPALIVE_S = 4.0
BACKOFF_S = 0.2
BACKOFF_CAP_S = 2.0

_random = secrets.SystemRandom()
logger = logging.getLogger("aika.venue")
# From one level of the log to the next.
_STEP: Final = 10


class TooLarge(Exception):
    """The answer is longer than we are willing to read."""


@dataclass(slots=True)
class Attempt:
    """One call to a venue. `wrote` turns True just before the first byte of the request goes to the socket.

    `gate` is entered just before that and left once the whole request is written; what it raises stops the request.
    """

    deadline: float
    gate: AbstractContextManager[None] = field(default_factory=nullcontext)
    wrote: bool = False
    _inside_gate: bool = False

    @classmethod
    def within(cls, seconds: float) -> "Attempt":
        return cls(deadline=time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        return self.deadline - time.monotonic()

    def back_off(self, tries: int) -> bool:
        """Sleep a random part of a bound that grows with the tries before; False where the deadline would pass."""
        pause = _random.uniform(0, min(BACKOFF_CAP_S, BACKOFF_S * 2**tries))
        if pause >= self.left_s:
            return False
        time.sleep(pause)
        return True

    def begin(self) -> None:
        """The first byte is about to go."""
        if not self.wrote:
            self.gate.__enter__()
            self._inside_gate = True

    def leave(self) -> None:
        """Everything is written, or nothing more will be."""
        if self._inside_gate:
            self._inside_gate = False
            self.gate.__exit__(None, None, None)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, undecoded."""

    status: int
    headers: Mapping[str, str]
    body: bytes


_current: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


@contextmanager
def _under(attempt: Attempt) -> Iterator[None]:
    token = _current.set(attempt)
    try:
        yield
    finally:
        _current.reset(token)


def _bounded(timeout: float | None, expired: type[httpcore.TimeoutException]) -> float | None:
    attempt = _current.get()
    if attempt is None:
        return timeout
    left = attempt.left_s
    if left <= 0:
        raise expired("the deadline of this call has passed")
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    """A connected stream, after TLS where there is TLS: what is written here is the request itself."""

    def __init__(self, stream: httpcore.NetworkStream, *, inside: bool) -> None:
        self._stream = stream
        self._inside = inside

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        attempt = _current.get()
        if attempt is not None:
            attempt.leave()
        bounded = _bounded(timeout, httpcore.ReadTimeout)
        if self._inside:
            faults.point(places.WRITTEN.label)
        read = self._stream.read(max_bytes, bounded)
        if self._inside:
            faults.point(places.ANSWERED.label)
        return read

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        attempt = _current.get()
        if attempt is not None and self._inside:
            attempt.begin()
        # After the gate, which may have waited: nothing is written past the deadline.
        bounded = _bounded(timeout, httpcore.WriteTimeout)
        if attempt is not None and self._inside:
            attempt.wrote = True
        self._stream.write(buffer, bounded)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        bounded = _bounded(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, bounded), inside=True)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    def __init__(self, *, plain: bool) -> None:
        self._plain = plain

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        bounded = _bounded(timeout, httpcore.ConnectTimeout)
        stream = super().connect_tcp(host, port, bounded, local_address, socket_options)
        return _Stream(stream, inside=self._plain)


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()


@cache
def certificates() -> ssl.SSLContext:
    """Checks certificates and host names. Shared by all: reading them takes longer than most requests."""
    return ssl.create_default_context()


class _Transport(httpx.BaseTransport):
    """httpx over a pool of our backend. No proxy, no netrc, no redirect, no retry; certificates are checked."""

    def __init__(self, *, plain: bool) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=certificates(),
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=CONNECTIONS_MAX,
            # Shorter than servers keep an idle connection: one closed under a create would leave its outcome unknown.
            keepalive_expiry=KEEPALIVE_S,
            network_backend=_Backend(plain=plain),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.read(),
                extensions=request.extensions,
            )
        )
        stream = answer.stream
        if not isinstance(stream, Iterable):
            raise httpcore.ProtocolError("the answer cannot be read")
        return httpx.Response(status_code=answer.status, headers=answer.headers, stream=_Body(stream))

    def close(self) -> None:
        self._pool.close()


# What a socket, TLS or HTTP may raise here; httpcore's errors reach us unmapped because the transport is ours.
TRANSPORT_ERRORS: tuple[type[Exception], ...] = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ConnectionNotAvailable,
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    OSError,
    TooLarge,
)


class Http:
    """A pool of connections to one host. Thread safe."""

    def __init__(self, *, base: str) -> None:
        self._host = urlsplit(base).netloc
        self._client = httpx.Client(
            base_url=base,
            transport=_Transport(plain=base.startswith("http://")),
            timeout=httpx.Timeout(
                connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S, write=WRITE_TIMEOUT_S, pool=POOL_TIMEOUT_S
            ),
            follow_redirects=False,
            trust_env=False,
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "aika"},
        )

    def exchange(
        self,
        attempt: Attempt,
        *,
        method: str,
        target: str,
        headers: Mapping[str, str],
        content: bytes | None = None,
    ) -> Reply:
        """One request, one reply, within the attempt's deadline; said in the log. Raises one of TRANSPORT_ERRORS."""
        began, status, trouble = time.monotonic(), None, ""
        try:
            reply = self._exchange(attempt, method, target, headers, content)
            status = reply.status
            return reply
        except Exception as error:
            # Only to say its kind in the log; it goes on as it came.
            trouble = type(error).__name__
            raise
        finally:
            self._say(method, target.partition("?")[0], status, trouble, began)

    def _say(self, method: str, path: str, status: int | None, trouble: str, began: float) -> None:
        """What would change something at the venue, and questions that were not answered; the rest for those who look
        closer. No header and no body."""
        well = status is not None and status < 400
        level = (logging.INFO if well else logging.WARNING) - (_STEP if method == "GET" else 0)
        taken_us = int((time.monotonic() - began) * 1_000_000)
        outcome = "no_answer" if status is None else "ok" if well else "refused" if status < 500 else "failed"
        tallies.took(tallies.VENUE, taken_us, host=self._host, method=method, outcome=outcome)
        said = {
            "venue": self._host,
            "method": method,
            "path": path,
            "status": status,
            "trouble": trouble,
            "duration_ms": taken_us // 1000,
        }
        logger.log(level, "%s %s%s: %s", method, self._host, path, trouble or status, extra=said)

    def _exchange(
        self, attempt: Attempt, method: str, target: str, headers: Mapping[str, str], content: bytes | None
    ) -> Reply:
        request = self._client.build_request(method, target, headers=dict(headers), content=content)
        with _under(attempt):
            try:
                response = self._client.send(request, stream=True)
            finally:
                attempt.leave()
            try:
                body = bytearray()
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > RESPONSE_BYTES_MAX:
                        raise TooLarge(f"the answer is longer than {RESPONSE_BYTES_MAX} bytes")
            finally:
                response.close()
        return Reply(status=response.status_code, headers=dict(response.headers), body=bytes(body))

    def close(self) -> None:
        self._client.close()
