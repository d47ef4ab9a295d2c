"""The local index: one process's alone, one thread at a time, and as right as a server about what it finds."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from apps.common.errors import Misconfigured, Unavailable
from apps.lessons import index
from apps.lessons.index.local import MEMORY, LocalStore
from apps.lessons.index.server import ServerStore
from apps.lessons.index.values import Point, Question, Where, payload_of
from apps.lessons.types import EntryKind
from tests.lessons.index.conftest import KEY

NOW = datetime(2026, 3, 2, 14, 46, tzinfo=UTC)
ELSEWHERE = """
import sys
from apps.lessons.index.local import LocalStore
store = LocalStore(sys.argv[1])
print("open", flush=True)
sys.stdin.readline()
"""


def points(number: int, *, seed: int = 3) -> list[Point]:
    numbers = np.random.default_rng(seed)
    return [
        Point(
            kind=EntryKind.CASE,
            subject=UUID(int=place + 1),
            content_hash=str(place),
            vectors={
                name: numbers.standard_normal(8).astype(np.float32)
                for name in ("thesis", "narrative")
                if numbers.random() > 0.2
            },
            words={
                "desk": str(numbers.choice(["a", "b", "c"])),
                **({"side": str(numbers.choice(["BUY", "SELL"]))} if numbers.random() > 0.1 else {}),
            },
            closed_at=None if numbers.random() < 0.1 else (NOW - timedelta(days=int(numbers.integers(90)))).timestamp(),
        )
        for place in range(number)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture(scope="module")
def both(request: pytest.FixtureRequest) -> Iterator[tuple[LocalStore, ServerStore]]:
    """The same points in our local copy, and behind a server whose answers are Qdrant's own."""
    local, asked = LocalStore(MEMORY), ServerStore(request.getfixturevalue("shared_server"), api_key=KEY)
    for store in (local, asked):
        store.ensure_collection("lessons__both", {"thesis": 8, "narrative": 8})
        store.upsert("lessons__both", points(600)[:300])
        store.search("lessons__both", [], limit=1)  # the copy is made here, and kept up from here on
        store.upsert("lessons__both", points(600)[300:])
        store.upsert("lessons__both", points(40, seed=9))
        store.delete("lessons__both", [one.id for one in points(120)[80:]])
    yield local, asked
    for store in (local, asked):
        store.close()


WHERE = st.builds(
    Where,
    words=st.dictionaries(st.sampled_from(["desk", "side"]), st.lists(st.sampled_from(["a", "b", "BUY", "x"]))),
    since=st.none() | st.integers(0, 90).map(lambda days: NOW - timedelta(days=days)),
    until=st.none() | st.integers(0, 90).map(lambda days: NOW - timedelta(days=days)),
)


@given(where=WHERE, seed=st.integers(0, 2**32 - 1), limit=st.integers(1, 400))
def test_the_copy_answers_as_qdrant_does(
    both: tuple[LocalStore, ServerStore], where: Where, seed: int, limit: int
) -> None:
    vector = np.random.default_rng(seed).standard_normal(8).astype(np.float32)
    questions = [Question("thesis", vector), Question("thesis", vector, where), Question("narrative", vector, where)]

    ours, qdrants = (store.search("lessons__both", questions, limit=limit) for store in both)

    for mine, its in zip(ours, qdrants, strict=True):
        assert [hit.subject for hit in mine] == [hit.subject for hit in its]
        assert [hit.score for hit in mine] == pytest.approx([hit.score for hit in its], abs=1e-5)


def test_what_was_written_is_there_after_a_restart(folder: Path) -> None:
    first = LocalStore(folder)
    first.ensure_collection("lessons__a", {"thesis": 8, "narrative": 8})
    first.upsert("lessons__a", points(50))
    first.point_aliases({"lessons": "lessons__a"})
    question = Question("thesis", np.ones(8, dtype=np.float32), Where(words={"desk": ["a"]}))
    (before,) = first.search("lessons", [question], limit=7)
    first.close()
    first.close()

    again = LocalStore(folder)
    (after,) = again.search("lessons", [question], limit=7)
    assert len(after) == 7
    assert [hit.subject for hit in after] == [hit.subject for hit in before]
    assert [hit.score for hit in after] == pytest.approx([hit.score for hit in before])
    again.close()


def test_a_point_is_written_without_waiting_for_the_disk(folder: Path) -> None:
    """Each point is a commit of its own: waiting for each makes minutes of a rebuild of some thousands."""
    first = LocalStore(folder)
    first.ensure_collection("lessons__a", {"thesis": 8, "narrative": 8})
    modes = [pragmas(first)]
    first.close()
    again = LocalStore(folder)
    modes.append(pragmas(again))
    again.close()
    assert modes == [("wal", 1), ("wal", 1)]


def pragmas(store: LocalStore) -> tuple[str, int]:
    (collection,) = store._client._client.collections.values()  # type: ignore[attr-defined]
    asked = collection.storage.storage.execute
    return asked("PRAGMA journal_mode").fetchone()[0], asked("PRAGMA synchronous").fetchone()[0]


def test_a_second_one_in_this_process_is_refused(folder: Path) -> None:
    first = LocalStore(folder)
    with pytest.raises(Unavailable, match="INDEX_HELD"):
        LocalStore(folder)
    first.close()
    LocalStore(folder).close()


def test_one_process_owns_it_until_it_ends_however_it_ends(folder: Path, settings: Any) -> None:
    settings.INDEX_PATH = str(folder)
    index.close()
    other = subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "open\n"
    with pytest.raises(Unavailable, match="INDEX_HELD"):
        index.store()

    other.kill()
    other.communicate()
    assert index.store() is index.store()
    index.close()


def test_threads_may_write_and_ask_at_once(folder: Path) -> None:
    """Without the lock, Qdrant's local mode breaks here at once."""
    store = LocalStore(folder)
    store.ensure_collection("lessons__a", {"thesis": 8, "narrative": 8})
    question = Question("thesis", np.ones(8, dtype=np.float32))

    def turn(number: int) -> int:
        subjects = [uuid4() for _ in range(5)]
        store.upsert(
            "lessons__a",
            [
                Point(kind=EntryKind.CASE, subject=one, content_hash="", vectors={"thesis": question.vector})
                for one in subjects
            ],
        )
        (hits,) = store.search("lessons__a", [question], limit=1000)
        store.scroll("lessons__a")
        assert set(subjects) <= {hit.subject for hit in hits}
        return store.count("lessons__a")

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(turn, range(40)))
    assert max(counts) == store.count("lessons__a") == 200
    store.close()


def test_a_closed_one_says_so(folder: Path) -> None:
    store = LocalStore(folder)
    store.ensure_collection("lessons__a", {"thesis": 8})
    store.close()
    with pytest.raises(Unavailable, match="INDEX_HELD"):
        store.count("lessons__a")


def test_a_damaged_folder_is_refused_and_can_be_taken_again(folder: Path) -> None:
    folder.mkdir()
    (folder / "meta.json").write_text("no json")
    with pytest.raises(Exception, match="INDEX_DAMAGED"):
        LocalStore(folder)
    (folder / "meta.json").unlink()
    LocalStore(folder).close()


def test_what_is_put_together_stands_as_qdrants_own_upsert_has_it(folder: Path, tmp_path: Path) -> None:
    """Row for row and after a restart: new points, points in place of others, a vector that went."""
    ours, its = LocalStore(folder), QdrantClient(path=str(tmp_path / "its"))
    ours.ensure_collection("lessons__a", {"thesis": 8, "narrative": 8})
    parameters = models.VectorParams(size=8, distance=models.Distance.COSINE)
    its.create_collection("lessons__a", vectors_config={"thesis": parameters, "narrative": parameters})
    for batch in (points(40), points(60, seed=4)[20:], points(3)[:1] * 2):
        ours.upsert("lessons__a", batch)
        its.upsert("lessons__a", [struct(one) for one in batch])
    ours.delete("lessons__a", [points(1)[0].id])
    its.delete("lessons__a", [str(points(1)[0].id)])
    ours.close()
    its.close()

    # Both anew: Qdrant keeps on disk what it was given, and makes vectors of length one of those it is given only.
    again, its = LocalStore(folder), QdrantClient(path=str(tmp_path / "its"))
    for client in (again._client, its):
        records, _ = client.scroll("lessons__a", limit=100, with_vectors=True)
        seen = {record.id: (record.payload, record.vector) for record in records}
        if client is again._client:
            mine = seen
    assert len(mine) == 59
    assert mine.keys() == seen.keys()
    for one, (payload, vectors) in mine.items():
        assert payload == seen[one][0]
        assert isinstance(vectors, dict)
        assert isinstance(seen[one][1], dict)
        assert vectors.keys() == seen[one][1].keys()
        for name, vector in vectors.items():
            assert vector == pytest.approx(seen[one][1][name], abs=1e-6)
    again.close()
    its.close()


def struct(point: Point) -> models.PointStruct:
    vectors: Any = {name: vector.tolist() for name, vector in point.vectors.items()}
    return models.PointStruct(id=str(point.id), vector=vectors, payload=payload_of(point))


@pytest.mark.parametrize(
    "wrong",
    [
        {"thesis": np.ones(7, dtype=np.float32)},
        {"text": np.ones(8, dtype=np.float32)},
        {"thesis": np.full(8, np.nan, dtype=np.float32)},
    ],
    ids=["too short", "no such vector", "no number"],
)
def test_of_points_with_a_wrong_one_none_is_written(folder: Path, wrong: dict[str, Any]) -> None:
    store = LocalStore(folder)
    store.ensure_collection("lessons__a", {"thesis": 8, "narrative": 8})
    good = points(3)
    with pytest.raises(Misconfigured, match="INDEX_REFUSED"):
        store.upsert("lessons__a", [*good, replace(good[0], subject=uuid4(), vectors=wrong)])
    assert store.count("lessons__a") == 0
    store.upsert("lessons__a", good)
    assert store.count("lessons__a") == 3
    store.close()
    again = LocalStore(folder)
    assert again.count("lessons__a") == 3
    again.close()
