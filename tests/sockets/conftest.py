"""A real server for the sockets, one for all tests here, and people who are signed in there."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.sockets.process import SocketServer


def looped(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """The coroutine as a test, on a loop of its own."""

    @functools.wraps(test)
    def ran(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))  # type: ignore[arg-type]

    return ran


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SocketServer]:
    """The server, with people and prices. No traceback may be in its log at the end."""
    started = SocketServer(tmp_path_factory.mktemp("sockets"))
    yield started
    started.stop()
    assert "Traceback" not in started.said, started.said


@pytest.fixture(scope="session")
def cookie(server: SocketServer) -> str:
    """The trader's session."""
    return str(server.do("cookie", username="trader"))


@pytest.fixture(scope="session")
def key(server: SocketServer) -> str:
    """A header with a key of the trader that may read, on the connection paper."""
    return str(server.do("key", username="trader", scopes=["read"], on=["paper"])["header"])
