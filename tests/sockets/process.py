"""The server of tests/sockets/serve.py as a child process, and a client that reads what it sends."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parents[2]
# Plenty on a busy machine; nothing is asserted about it but that what is waited for comes.
WAIT_S = 60.0

Message = dict[str, Any]


class SocketServer:
    """One process; `do` has it call a service."""

    def __init__(self, home: Path, *, seed: bool = True, **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.origin = f"http://127.0.0.1:{self.port}"
        self.log = home / f"server-{self.port}.log"
        self._errors = self.log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.sockets.serve", "--port", str(self.port), *(["--seed"] if seed else [])],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "AIKA_DATA_DIR": str(home), **environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, bufsize=1,
        )  # fmt: skip
        self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.said
        told = json.loads(line)
        assert "error" not in told, (told, self.said)
        return told["done"]

    def do(self, act: str, **values: Any) -> Any:
        """Call one of its acts; what that returned."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": act, **values}) + "\n")
        return self._answer()

    async def doing(self, act: str, **values: Any) -> Any:
        """`do`, without holding up the sockets of this process."""
        return await asyncio.to_thread(lambda: self.do(act, **values))

    @property
    def said(self) -> str:
        """Its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> float:
        """End it as a person would; the seconds it took."""
        begun = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self._errors):
            if pipe is not None:
                pipe.close()
        return time.monotonic() - begun

    def connect(
        self, path: str, *, cookie: str = "", key: str = "", origin: str | None = "own", **more: Any
    ) -> connect:
        """A client's connection, to be entered with `async with`."""
        headers = {}
        if cookie:
            headers["Cookie"] = f"sessionid={cookie}"
        if key:
            headers["Authorization"] = key
        said = self.origin if origin == "own" and not key else None if origin == "own" else origin
        return connect(f"ws://127.0.0.1:{self.port}{path}", additional_headers=headers, origin=said, proxy=None, **more)  # type: ignore[arg-type]


async def heard(
    client: ClientConnection, type_: str, fits: Callable[[Message], bool] = lambda _message: True
) -> Message:
    """The next message of this type that fits; others are passed over."""
    passed: deque[Message] = deque(maxlen=5)
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                message: Message = json.loads(await client.recv())
                if message["type"] == type_ and fits(message):
                    return message
                passed.append(message)
    except TimeoutError:
        raise AssertionError(f"No message {type_} that fits came; the last ones were {list(passed)}") from None


async def ending(client: ClientConnection) -> tuple[int | None, list[Message]]:
    """The close code, and the errors that came before it."""
    errors = []
    async with asyncio.timeout(WAIT_S):
        try:
            while True:
                message = json.loads(await client.recv())
                if message["type"] == "error":
                    errors.append(message)
        except websockets.ConnectionClosed:
            return client.close_code, errors


async def subscribe(client: ClientConnection, *codes: str, connection: str = "paper") -> Message:
    """Subscribe, and what is in force then."""
    items = [{"connection": connection, "instrument": code} for code in codes]
    await client.send(json.dumps({"action": "subscribe", "items": items}))
    return await heard(client, "subscribed")


def quote_of(message: Message, code: str) -> Message | None:
    """The quote of an instrument in a message of quotes."""
    return next((quote for quote in message["quotes"] if quote["instrument"] == code), None)
