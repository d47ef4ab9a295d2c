"""Threads that share one database, for races."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections

InThreads = Callable[[int, Callable[[], Any]], list[Any]]


@pytest.fixture
def in_threads(transactional_db: None, tmp_path: Path) -> Iterator[InThreads]:
    """Runs the same function in so many threads, each with its own connection; the first error is raised.

    SQLite's test database lives in memory, where connections do not wait for each other: the first call copies it into
    a file that the threads share. What they wrote is seen by asking in a thread, too.
    """
    copied, settings = tmp_path / "race.sqlite3", connections.settings["default"]
    in_memory = settings["NAME"]

    def run(count: int, work: Callable[[], Any]) -> list[Any]:
        if connection.vendor == "sqlite" and not copied.exists():
            connection.ensure_connection()
            with closing(sqlite3.connect(copied)) as copy:
                connection.connection.backup(copy)
            settings["NAME"] = str(copied)
        with ThreadPoolExecutor(count) as pool:
            return [future.result(60) for future in [pool.submit(_closing, work) for _ in range(count)]]

    yield run
    settings["NAME"] = in_memory  # before the flush, which would close the database in memory and so lose it


def _closing(work: Callable[[], Any]) -> Any:
    try:
        return work()
    finally:
        connection.close()
