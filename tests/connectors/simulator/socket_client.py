"""A socket client of the test's own hand."""

import json
import secrets
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import jwt
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.venues.simulator_process import SimulatorProcess

PATIENCE_S = 10.0
Message = dict[str, Any]


class SocketClient:
    """One connection. `messages` are all that came, errors among them, as text decoded."""

    def __init__(self, simulator: SimulatorProcess, on: str = "market") -> None:
        url = simulator.socket_url + ("/user" if on == "user" else "")
        self._key = (simulator.key_name, simulator.secret)
        self.socket = connect(url, max_size=None, proxy=None)
        self.messages: list[Message] = []

    def __enter__(self) -> "SocketClient":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def token(self, **changes: Any) -> str:
        name, secret = self._key
        now = int(time.time())
        claims = {"sub": name, "iss": "cdp", "nbf": now, "exp": now + 120} | changes
        return jwt.encode(claims, secret, algorithm="ES256", headers={"kid": name, "nonce": secrets.token_hex()})

    def send(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def subscribe(self, channel: str, *product_ids: str, token: str | None = None) -> None:
        message: Message = {"type": "subscribe", "channel": channel, "jwt": token or self.token()}
        self.send(**message, **({"product_ids": list(product_ids)} if product_ids else {}))

    def next(self) -> Message:
        """The next message. TimeoutError where none comes."""
        message: Message = json.loads(self.socket.recv(timeout=PATIENCE_S))
        self.messages.append(message)
        return message

    def until(self, wanted: Callable[[Message], bool]) -> Message:
        """Read on to the first message that is wanted."""
        while not wanted(message := self.next()):
            pass
        return message

    def channel(self, name: str) -> Message:
        """Read on to the next message of a channel."""
        return self.until(lambda message: message.get("channel") == name)

    def error(self) -> str:
        """Read on to the next error frame."""
        return str(self.until(lambda message: message.get("type") == "error")["message"])

    def end(self) -> ConnectionClosed:
        """Read until the venue ends the connection."""
        try:
            while True:
                self.next()
        except ConnectionClosed as closed:
            return closed

    def orders(self, kind: str, count: int = 1) -> list[Message]:
        """Read on until so many rows of orders came in events of that type."""
        rows: list[Message] = []
        while len(rows) < count:
            message = self.channel("user")
            rows += [row for event in message["events"] if event["type"] == kind for row in event["orders"]]
        return rows
