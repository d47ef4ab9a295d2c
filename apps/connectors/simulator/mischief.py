"""What a struck request meets instead of its answer: pages of HTML, half an answer, a connection that dies."""

import asyncio
import socket
import struct
from contextlib import suppress
from fractions import Fraction

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Message, Receive, Send

from apps.connectors.simulator.faults import Kind

_HALF_WAY_S = 0.05

_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"

BEFORE = frozenset({Kind.TIMEOUT_BEFORE, Kind.RESET_BEFORE, Kind.SERVER_ERROR_BEFORE, Kind.RATE_LIMITED})
"""Kinds that strike before anything is done."""


class ConnectionDropped(Exception):
    """Raised where the connection cannot be cut under the protocol (an in-process test client)."""


class Answer:
    """Feeds the request's bytes to the inner application and keeps its answer back."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self.messages: list[Message] = []

    async def receive(self) -> Message:
        """The request, once."""
        body, self._body = self._body, None
        if body is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    async def keep(self, message: Message) -> None:
        """Hold one message of the answer."""
        self.messages.append(message)

    @property
    def status(self) -> int:
        """The answer's HTTP status."""
        return int(self.messages[0]["status"]) if self.messages else 500

    @property
    def content(self) -> bytes:
        """The answer's body."""
        return b"".join(message.get("body", b"") for message in self.messages[1:])


def refusal(kind: Kind) -> Response | None:
    """The answer of a fault that has one and does nothing."""
    if kind is Kind.RATE_LIMITED:
        error = {"id": "rate_limit_exceeded", "message": "Too many requests"}
        return JSONResponse({"errors": [error]}, 429)
    if kind is Kind.SERVER_ERROR_BEFORE:
        return HTMLResponse(_PAGE.format("503 Service Unavailable"), 503)
    return None


def spoilt(kind: Kind, answer: Answer) -> Response | None:
    """What is answered instead of `answer`, after the request was served."""
    if kind is Kind.SERVER_ERROR_AFTER:
        return HTMLResponse(_PAGE.format("502 Bad Gateway"), 502)
    if kind is Kind.GARBAGE:
        return HTMLResponse("go/sg/0f8fad5b-d9cb-469f-a165-70867728950e", 200)
    if kind is Kind.TRUNCATED:
        content = answer.content
        return Response(content[: len(content) // 2], 200, media_type="application/json")
    return None


async def send_half(answer: Answer, send: Send) -> None:
    """The headers and half of the body, then a reset."""
    content = answer.content
    await send(answer.messages[0])
    await send({"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True})
    # Long enough for the bytes to be read: a reset throws away what the other side has not read yet.
    await asyncio.sleep(_HALF_WAY_S)
    await reset(send)


async def hang(seconds: Fraction, receive: Receive, send: Send) -> None:
    """Say nothing for so long or until the client gives up, then close the connection."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds.numerator / seconds.denominator):
            while (await receive())["type"] != "http.disconnect":
                pass
    await _drop(transport_of(send))


async def reset(send: Send) -> None:
    """Cut the connection with RST: the client's system throws away what it has not read yet."""
    transport = transport_of(send)
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await _drop(transport)


def transport_of(send: Send) -> asyncio.Transport:
    """The connection under an ASGI `send`. Raises `ConnectionDropped` where there is none."""
    # ASGI has no word for "hang up": an application that returns silently makes the server send a 500. The server's
    # `send` is a method of its request cycle, which holds the transport.
    transport: asyncio.Transport | None = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionDropped
    return transport


async def _drop(transport: asyncio.Transport) -> None:
    transport.abort()
    await asyncio.sleep(0.01)
