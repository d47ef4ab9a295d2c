"""Indexes to ask: the local one in memory and on disk, a server of the tests, and a real one where there is one."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from apps.lessons import index
from apps.lessons.index.local import MEMORY, LocalStore
from apps.lessons.index.server import ServerStore
from apps.lessons.index.vector_store import VectorStore
from tests.lessons.index.qdrant_server import FakeQdrant, Serving

REAL = os.environ.get("QDRANT_TEST_URL", "")
KEY = "a key of the tests"


@pytest.fixture
def served() -> Iterator[Serving]:
    """A server of the tests with a key."""
    serving = Serving(FakeQdrant(api_key=KEY)).start()
    yield serving
    serving.stop()


@pytest.fixture(scope="session")
def shared_server() -> Iterator[str]:
    """The address of one for all tests that do not stop it."""
    serving = Serving(FakeQdrant(api_key=KEY)).start()
    yield serving.url
    serving.stop()


@pytest.fixture(params=["memory", "folder", "server of the tests", "real server"])
def vectors(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorStore]:
    """The index, four times over."""
    if request.param == "memory":
        store: VectorStore = LocalStore(MEMORY)
    elif request.param == "folder":
        store = LocalStore(tmp_path / "index")
    elif request.param == "server of the tests":
        store = ServerStore(request.getfixturevalue("shared_server"), api_key=KEY)
    elif REAL:
        store = ServerStore(REAL, api_key=os.environ.get("QDRANT_TEST_API_KEY", ""))
    else:
        pytest.skip("There is no Qdrant server: QDRANT_TEST_URL names none.")
    yield store
    store.close()


@pytest.fixture
def collection(vectors: VectorStore) -> Iterator[str]:
    """A collection of cases with vectors of four numbers; its name is of this test alone."""
    name = f"lessons__tests_{uuid4().hex[:12]}"
    vectors.ensure_collection(name, {"thesis": 4, "narrative": 4})
    yield name
    vectors.drop_collection(name)


@pytest.fixture(autouse=True)
def fresh_index() -> Iterator[None]:
    """This process's own index is empty and closed, before and after."""
    index.close()
    yield
    index.close()


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def step(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock(now: datetime) -> Clock:
    """The time, as services are given it."""
    return Clock(now)
