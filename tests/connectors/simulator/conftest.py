"""A venue in the same process, with a frozen path; and one as a real process for what only a process can show."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from apps.connectors.simulator import serve
from tests.connectors.simulator.client import Client, MakeClient

ROOT = Path(__file__).parents[3]
STEP = 1_800_000_000


class InProcess(httpx.BaseTransport):
    """A synchronous client's way to the application, without a socket (Starlette's own client warns about httpx)."""

    def __init__(self, app: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._inner = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def go() -> httpx.Response:
            response = await self._inner.handle_async_request(request)
            return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())

        return self._loop.run_until_complete(go())

    def close(self) -> None:
        self._loop.close()


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    return parser.parse_args(["--port", "0", *arguments])


@pytest.fixture
def make_venue(tmp_path: Path) -> Iterator[MakeClient]:
    """Start a venue in this process with more arguments; its path stands at `STEP`."""
    with ExitStack() as stack:

        def make(*arguments: str) -> Client:
            key_file = tmp_path / "key.json"
            opened = serve.build(parse("--key-file", str(key_file), *arguments))
            stack.callback(opened.close)
            http = httpx.Client(transport=InProcess(opened.app), base_url="http://localhost")
            stack.callback(http.close)
            client = Client(http, key_file)
            client.step(STEP)
            return client

        yield make


@pytest.fixture
def venue(make_venue: MakeClient) -> Client:
    return make_venue("--seed", "7")


@pytest.fixture
def golden() -> Callable[[str], Any]:
    return lambda name: json.loads((Path(__file__).parent / "golden" / f"rest_{name}.json").read_text())


class Process:
    """A simulator as its own process."""

    def __init__(
        self,
        *arguments: str,
        environment: dict[str, str] | None = None,
        module: str = "apps.connectors.simulator",
    ) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", module, "--port", "0", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.child.stdout is not None
        self.ready = self.child.stdout.readline().strip()
        self.url = self.ready.rpartition(" ")[2]

    def client(self, key_file: Path) -> Client:
        return Client(httpx.Client(base_url=self.url, timeout=10), key_file)

    def stop(self) -> None:
        if self.child.poll() is None:
            self.child.terminate()
        self.child.communicate(timeout=10)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[Process, Client]]]:
    """Start a process with more arguments; give it and a client of it."""
    with ExitStack() as stack:

        def begin(*arguments: str) -> tuple[Process, Client]:
            key_file = tmp_path / "process-key.json"
            process = Process("--key-file", str(key_file), *arguments)
            stack.callback(process.stop)
            client = process.client(key_file)
            stack.callback(client.http.close)
            return process, client

        yield begin
