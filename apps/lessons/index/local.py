"""The index inside this process: Qdrant's local mode, one owner by a lock of the system, one thread at a time.

Local mode is one process's alone and breaks when two threads use it. It is meant for one machine and some thousands of
cases; beyond that set QDRANT_URL.
"""

import fcntl
import os
import pickle
import re
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, TypeVar
from uuid import UUID

import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.local.qdrant_local import QdrantLocal

from apps.common.errors import Misconfigured, Unavailable
from apps.lessons.index import local_points
from apps.lessons.index.matrix import Matrix
from apps.lessons.index.values import CLOSED_AT, SUBJECT, WORDS, Hit, Point, Question, Vector, missing
from apps.lessons.index.vector_store import VectorStore

T = TypeVar("T")

MEMORY: Final = ":memory:"
LOAD_PAGE: Final = 10_000


class LocalStore(VectorStore):
    """`path` is a folder, or MEMORY for an index that ends with the process.

    Raises Unavailable INDEX_HELD where another process has the folder open, Misconfigured INDEX_DAMAGED where it cannot
    be read.
    """

    keeps_field_indexes = False
    works_elsewhere = False

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.RLock()
        self._matrices: dict[str, Matrix] = {}
        self._process = os.getpid()
        # Before Qdrant's own, which reads the whole folder first and locks it afterwards.
        self._held = None if path == MEMORY else take(Path(path))
        try:
            self._client = _opened(path)
        except BaseException:
            # An interruption, too: a folder that is held and not used would be closed to every other process.
            self._let_go()
            raise

    def _read(self, ask: Callable[[QdrantClient], T]) -> T:
        with self._lock:
            return self._asked(ask)

    _write = _read

    def _asked(self, ask: Callable[[QdrantClient], T]) -> T:
        if self._process != os.getpid():
            raise held()  # a forked child: its parent owns the folder
        try:
            return ask(self._client)
        except ValueError as wrong:
            # What local mode says instead of 404 and 400.
            if re.match("Collection .* not found", str(wrong)):
                raise missing() from wrong
            raise Misconfigured(
                "INDEX_REFUSED",
                "The local index refuses what it is asked.",
                fix="Run manage.py rebuild_index --drop to make it anew from the database.",
                because=str(wrong)[:200],
            ) from wrong
        except RuntimeError as closed:
            raise held() from closed

    def _create(self, name: str, vectors: Mapping[str, int]) -> None:
        super()._create(name, vectors)
        with self._lock:
            _write_without_waiting(self._client)

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        # Under one lock, or two changes of a point could come to the copy in the other order.
        with self._lock:
            super().upsert(collection, points)
            if (matrix := self._matrices.get(collection)) is not None:
                for one in points:
                    matrix.put(one.id, one.subject, vectors=one.vectors, words=one.words, closed_at=one.closed_at)

    def _put(self, client: QdrantClient, collection: str, points: Sequence[Point]) -> None:
        local_points.put(_inside(client)._get_collection(collection), points)

    def delete(self, collection: str, ids: Sequence[UUID]) -> None:
        with self._lock:
            super().delete(collection, ids)
            if (matrix := self._matrices.get(collection)) is not None:
                for one in ids:
                    matrix.remove(one)

    def drop_collection(self, name: str) -> None:
        with self._lock:
            super().drop_collection(name)
            self._matrices.pop(name, None)

    def search(self, collection: str, questions: Sequence[Question], *, limit: int) -> list[list[Hit]]:
        """As on a server, answered from a copy in numpy: see Matrix."""
        with self._lock:
            matrix = self._asked(lambda client: self._matrix(client, collection))
            return self._asked(lambda _: matrix.search(questions, limit=limit))

    def _matrix(self, client: QdrantClient, name: str) -> Matrix:
        """The copy of what the name stands for, made at the first question."""
        collection = next((one.collection_name for one in client.get_aliases().aliases if one.alias_name == name), name)
        if collection not in self._matrices:
            self._matrices[collection] = _loaded(client, collection)
        return self._matrices[collection]

    def close(self) -> None:
        with self._lock:
            self._matrices.clear()
            if self._process == os.getpid():
                self._client.close()
            self._let_go()

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


def take(folder: Path) -> IO[bytes]:
    """Hold the folder for this process; the lock goes with the process, however it ends. Raises Unavailable INDEX_HELD
    where another process has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = (folder / "owner.lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise held() from None
    return lock


def _opened(path: Path | str) -> QdrantClient:
    if path == MEMORY:
        return QdrantClient(MEMORY)
    try:
        client = QdrantClient(path=str(path), force_disable_check_same_thread=True)
        _write_without_waiting(client)
        return client
    except (ValueError, KeyError, TypeError, sqlite3.Error, pickle.UnpicklingError) as damage:
        raise Misconfigured(
            "INDEX_DAMAGED",
            "The folder of the vector index cannot be read.",
            fix=f"Nothing is lost: remove {path} and run manage.py rebuild_index.",
            because=type(damage).__name__,
        ) from damage


def held() -> Unavailable:
    """Another process has the folder."""
    return Unavailable(
        "INDEX_HELD",
        "Another process has the vector index open: a local index is one process's alone.",
        fix="Leave it to the running Aika, or stop that first; for several processes set QDRANT_URL.",
    )


def _write_without_waiting(client: QdrantClient) -> None:
    """Local mode waits for the disk at each commit, and removes each point in one of its own. A machine that loses
    power may lose the last ones this way, and nothing else: the drift check writes them again."""
    for collection in _inside(client).collections.values():
        if collection.storage is not None:
            collection.storage.storage.execute("PRAGMA journal_mode=WAL")
            collection.storage.storage.execute("PRAGMA synchronous=NORMAL")


def _inside(client: QdrantClient) -> QdrantLocal:
    inside = client._client
    assert isinstance(inside, QdrantLocal)  # noqa: S101  what a client without an address is
    return inside


def _loaded(client: QdrantClient, collection: str) -> Matrix:
    vectors = client.get_collection(collection).config.params.vectors
    matrix = Matrix({name: one.size for name, one in vectors.items()} if isinstance(vectors, dict) else {})
    offset: models.ExtendedPointId | None = None
    while True:
        records, offset = client.scroll(
            collection, limit=LOAD_PAGE, offset=offset, with_payload=True, with_vectors=True
        )
        for record in records:
            payload = record.payload or {}
            if SUBJECT in payload:
                matrix.put(
                    UUID(str(record.id)),
                    UUID(payload[SUBJECT]),
                    vectors=_vectors(record),
                    words={word: payload[word] for word in WORDS if word in payload},
                    closed_at=payload.get(CLOSED_AT),
                )
        if offset is None:
            return matrix


def _vectors(record: models.Record) -> dict[str, Vector]:
    named = record.vector if isinstance(record.vector, dict) else {}
    return {name: np.asarray(vector, dtype=np.float32) for name, vector in named.items()}
