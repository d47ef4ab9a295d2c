"""The outermost layer: every request is logged with its bytes, may be struck by a fault, and sees a current market."""

import asyncio
import base64
import traceback
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from apps.connectors.simulator import admin, rest
from apps.connectors.simulator.clock import Clock, rfc3339
from apps.connectors.simulator.errors import ApiError, Unauthorized
from apps.connectors.simulator.exchange import Exchange
from apps.connectors.simulator.faults import Fault, Faults, Kind, endpoint_of
from apps.connectors.simulator.keys import ApiKey

LOG_LENGTH = 10_000
MAX_BODY_BYTES = 1_000_000
TICK_S = 0.25
_BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass
class LoggedRequest:
    """What reached the venue, byte for byte, and what came of it. Handlers fill in the last fields."""

    micros: int
    method: str
    path: str
    query: str
    endpoint: str
    body: bytes
    created_order: bool = False
    order_id: str = ""
    status: int | None = None
    fault: str = ""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """As GET /simulator/requests shows it; `status` is null where no answer was sent."""
        return {
            "time": rfc3339(self.micros),
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "endpoint": self.endpoint,
            "body": base64.b64encode(self.body).decode(),
            "created_order": self.created_order,
            "order_id": self.order_id,
            "status": self.status,
            "fault": self.fault,
            "note": self.note,
        }


class ConnectionDropped(Exception):
    """Raised where the connection cannot be cut under the protocol (an in-process test client)."""


class VenueApp:
    """The ASGI application of the simulator."""

    def __init__(self, exchange: Exchange, key: ApiKey, faults: Faults, latency_ms: int = 0) -> None:
        self.exchange = exchange
        self.key = key
        self.faults = faults
        self.latency_ms = latency_ms
        self.log: deque[LoggedRequest] = deque(maxlen=LOG_LENGTH)
        self._inner = Starlette(
            routes=[*rest.routes(self.exchange, key), *admin.routes(self)],
            exception_handlers={
                ApiError: _api_error,
                Unauthorized: _unauthorized,
                HTTPException: _http_error,
            },
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        ticking = asyncio.create_task(self._tick())
        yield
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            with _told():
                self.exchange.advance()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            return
        entry = LoggedRequest(
            micros=Clock.micros(),
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            endpoint=endpoint_of(scope["method"], scope["path"]),
            body=body,
        )
        if not scope["path"].startswith("/simulator/"):
            self.log.append(entry)
        scope["venue.request"] = entry
        if len(body) > MAX_BODY_BYTES:
            entry.status = 413
            await PlainTextResponse("Payload Too Large", 413)(scope, receive, send)
            return
        await self._serve(scope, receive, send, entry)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, entry: LoggedRequest) -> None:
        """Answer, unless a fault has other plans. New kinds of faults find their place here."""
        struck = self.faults.strike(entry.endpoint)
        entry.fault = ",".join(fault.kind for fault in struck)
        delay_ms = self.latency_ms * bool(entry.endpoint)
        delay_ms += sum(fault.milliseconds for fault in struck if fault.kind is Kind.LATENCY)
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        fault = next((fault for fault in struck if fault.kind is not Kind.LATENCY), None)
        if fault is not None and fault.kind is Kind.TIMEOUT_BEFORE:
            await _hang_and_drop(fault, receive, send)
            return
        answer = _Answer(entry.body)
        with _told():
            self.exchange.advance()
            await self._inner(scope, answer.receive, answer.keep)
        if fault is not None and fault.kind is Kind.TIMEOUT_AFTER:
            await _hang_and_drop(fault, receive, send)
            return
        if fault is not None and fault.kind is Kind.SERVER_ERROR_AFTER:
            entry.status = 502
            await HTMLResponse(_BAD_GATEWAY, 502)(scope, receive, send)
            return
        entry.status = answer.status
        for message in answer.messages:
            await send(message)


@contextmanager
def _told() -> Iterator[None]:
    """A defect of the simulator is shown where the operator looks; the server's own log is off."""
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise


class _Answer:
    """Feeds the request's bytes to the inner application and keeps its answer back."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self.messages: list[Message] = []

    async def receive(self) -> Message:
        body, self._body = self._body, None
        if body is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    async def keep(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"]) if self.messages else 500


async def _read(receive: Receive) -> bytes | None:
    """The whole body (cut a little above the limit), or None if the client went away."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size - len(part) <= MAX_BODY_BYTES:
            parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _hang_and_drop(fault: Fault, receive: Receive, send: Send) -> None:
    """Say nothing for the fault's time or until the client gives up, then cut the connection."""
    with suppress(TimeoutError):
        async with asyncio.timeout(fault.seconds.numerator / fault.seconds.denominator):
            while (await receive())["type"] != "http.disconnect":
                pass
    # ASGI has no word for "hang up": an application that returns silently makes the server send a 500. The server's
    # `send` is a method of its request cycle, which holds the transport.
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionDropped
    transport.abort()
    await asyncio.sleep(0.01)


async def _api_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return JSONResponse(error.body(), error.status)


async def _unauthorized(request: Request, error: Exception) -> Response:
    if not isinstance(error, Unauthorized):
        raise error
    entry: LoggedRequest = request.scope["venue.request"]
    entry.note = error.reason
    return PlainTextResponse("Unauthorized", 401)


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    name = "NOT_FOUND" if error.status_code == 404 else "unknown"
    return JSONResponse(ApiError(error.status_code, name, error.detail).body(), error.status_code)
