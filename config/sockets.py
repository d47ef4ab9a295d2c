"""Where each WebSocket leads, and how a server speaks to them: the same embedded and in a server installation."""

import socket
from typing import Any, Final, cast

from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import re_path
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from apps.dashboard.consumers import DeskConsumer
from apps.quotes.consumers import QuotesConsumer

FRAME_BYTES_MAX: Final = 65_536
"""A larger message of a client ends its socket (1009) before it is read."""
PING_EVERY_S: Final = 5.0
PONG_S_MAX: Final = 10.0
SEND_BUFFER_BYTES: Final = 32_768
LINGER_S_MAX: Final = 5.0

OPTIONS: Final[dict[str, Any]] = {
    "ws_max_size": FRAME_BYTES_MAX,
    "ws_ping_interval": PING_EVERY_S,
    "ws_ping_timeout": PONG_S_MAX,
    # Small messages, ten a second: compressing each for each reader would cost more than sending it.
    "ws_per_message_deflate": False,
}
"""What uvicorn.Config is told about sockets, besides `ws=SocketProtocol`."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's own, with little room for a reader who does not read: a backlog is of no use to anybody."""

    def connection_made(self, transport: Any) -> None:
        """Bound what the system keeps for this one socket, and what is kept in this process."""
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES)
        super().connection_made(transport)

    async def send(self, message: Any) -> None:
        """As uvicorn, but for a frame that is ready made: its bytes are the same for every socket."""
        wire = message.get("wire")
        if wire is not None and self.conn.state is State.OPEN and not self.close_sent and self.writable.is_set():
            self.transport.write(wire)
        else:
            await super().send(message)

    async def run_asgi(self) -> None:
        """Until the application has ended; a connection that does not then close in time is cut.

        No socket reads a query, and uvicorn would log it: some put a key there.
        """
        self.scope["query_string"] = b""
        await super().run_asgi()
        self.loop.call_later(LINGER_S_MAX, self.transport.abort)


def with_sockets(http: Any) -> ASGIApp:
    """`http` for requests, the consumers for sockets; a path that leads nowhere is refused."""
    routes: list[tuple[str, Any]] = [
        (r"^ws/quotes$", QuotesConsumer.as_asgi()),
        (r"^ws/desk$", DeskConsumer.as_asgi()),
        (r"", nowhere),
    ]
    sockets = URLRouter([re_path(pattern, consumer) for pattern, consumer in routes])
    return cast(ASGIApp, ProtocolTypeRouter({"http": http, "websocket": sockets}))


async def nowhere(_scope: Any, _receive: Any, send: Any) -> None:
    """No socket is here."""
    await send({"type": "websocket.close", "code": 1000})
