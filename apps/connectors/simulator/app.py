"""The outermost layer: every request is logged with its bytes, may be struck by a fault, and sees a current market."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from apps.connectors.simulator import admin, mischief, oauth_rest, rest
from apps.connectors.simulator.clock import Clock
from apps.connectors.simulator.errors import ApiError, Unauthorized
from apps.connectors.simulator.exchange import Exchange
from apps.connectors.simulator.faults import MODIFIERS, Faults, Kind, endpoint_of
from apps.connectors.simulator.keys import ApiKey
from apps.connectors.simulator.oauth import OAuthServer
from apps.connectors.simulator.socket_faults import SocketFaults
from apps.connectors.simulator.sockets import Sockets
from apps.connectors.simulator.traffic import LoggedRequest, Traffic

MAX_BODY_BYTES = 1_000_000
TICK_S = 0.25


@dataclass(frozen=True)
class _Late:
    """A request whose connection is gone and that is still on its way."""

    due: int
    scope: Scope
    entry: LoggedRequest


class VenueApp:
    """The ASGI application of the simulator."""

    def __init__(
        self,
        exchange: Exchange,
        key: ApiKey,
        faults: Faults,
        latency_ms: int = 0,
        socket_faults: SocketFaults | None = None,
        oauth: OAuthServer | None = None,
    ) -> None:
        self.exchange = exchange
        self.key = key
        self.faults = faults
        self.latency_ms = latency_ms
        self.traffic = Traffic()
        self.sockets = Sockets(exchange, key, socket_faults or SocketFaults([]))
        self.oauth = oauth or OAuthServer(None)
        self._late: list[_Late] = []
        self._inner = Starlette(
            routes=[
                *rest.routes(self.exchange, key, self.oauth),
                *oauth_rest.routes(self.oauth, admin.local),
                *admin.routes(self),
            ],
            exception_handlers={
                ApiError: _api_error,
                Unauthorized: _unauthorized,
                HTTPException: _http_error,
            },
            lifespan=self._lifespan,
        )

    def reset(self) -> None:
        """Forget requests, faults and what is still on its way."""
        self.faults.clear()
        self.traffic.clear()
        self.sockets.reset()
        self.oauth.reset()
        self._late.clear()

    async def release(self) -> int:
        """Let what was held back happen now: late arrivals come, orders show in lists. The number of either."""
        return await self._arrive(now=None) + self.exchange.store.show_orders(Clock.micros())

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._tick()), asyncio.create_task(self.sockets.keep_talking())]
        yield
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            with _told():
                self.exchange.advance()
                await self._arrive(now=Clock.micros())
                self.sockets.tell()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] == "websocket":
            await self.sockets.serve(scope, receive, send)
            return
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
            self.traffic.note(entry)
        scope["venue.request"] = entry
        if len(body) > MAX_BODY_BYTES:
            entry.status = 413
            await PlainTextResponse("Payload Too Large", 413)(scope, receive, send)
            return
        await self._serve(scope, receive, send, entry)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, entry: LoggedRequest) -> None:
        """Answer, unless a fault has other plans."""
        entry.struck = self.faults.strike(entry.endpoint)
        latency = entry.fault(Kind.LATENCY)
        delay_ms = self.latency_ms * bool(entry.endpoint) + (latency.milliseconds if latency else 0)
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        fault = next((fault for fault in entry.struck if fault.kind not in MODIFIERS), None)
        if fault is None:
            answer = await self._answer(scope, entry)
            entry.status = answer.status
            for message in answer.messages:
                await send(message)
            return
        if fault.kind is Kind.LATE_ARRIVAL:
            self._late.append(_Late(entry.micros + fault.micros, scope, entry))
            await mischief.reset(send)
            return
        if fault.kind in mischief.BEFORE:
            response = mischief.refusal(fault.kind)
        else:
            answer = await self._answer(scope, entry)
            response = mischief.spoilt(fault.kind, answer)
        if response is not None:
            entry.status = response.status_code
            await response(scope, receive, send)
        elif fault.kind is Kind.CUT_SHORT:
            await mischief.send_half(answer, send)
        elif fault.kind in (Kind.RESET_BEFORE, Kind.RESET_AFTER):
            await mischief.reset(send)
        else:
            await mischief.hang(fault.seconds, receive, send)

    async def _answer(self, scope: Scope, entry: LoggedRequest) -> mischief.Answer:
        """Do what is asked, and keep the answer back."""
        with _told():
            await self._arrive(now=Clock.micros())
            self.exchange.advance()
            answer = await self._do(scope, entry)
            self.sockets.tell()
            return answer

    async def _do(self, scope: Scope, entry: LoggedRequest) -> mischief.Answer:
        answer = mischief.Answer(entry.body)
        await self._inner(scope, answer.receive, answer.keep)
        return answer

    async def _arrive(self, *, now: int | None) -> int:
        """Serve the late requests that are due, oldest first; without `now`, all of them. How many they were."""
        due = [late for late in self._late if now is None or late.due <= now]
        self._late = [late for late in self._late if now is not None and late.due > now]
        for late in due:
            self.exchange.advance()
            answer = await self._do(late.scope, late.entry)
            late.entry.note = f"arrived late, status {answer.status}"
        return len(due)


@contextmanager
def _told() -> Iterator[None]:
    """A defect of the simulator is shown where the operator looks; the server's own log is off."""
    try:
        yield
    except Exception:
        # Nothing is swallowed: it goes on to whoever answers the request.
        traceback.print_exc()
        raise


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
