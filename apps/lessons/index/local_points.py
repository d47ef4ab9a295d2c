"""Many points at once into a collection of Qdrant's local mode.

Its own `upsert` takes each by itself: a commit for each, and a copy of columns that grow by one, which with a hundred
thousand points is as much work as all the rest. What stands afterwards is the same, and the contract suite asks it.
"""

import pickle
from collections.abc import Mapping, Sequence
from sqlite3 import Binary
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models
from qdrant_client.local.local_collection import LocalCollection
from qdrant_client.local.persistence import CollectionPersistence

from apps.lessons.index.values import Point, Vector, payload_of

_EPSILON: Final = 1.1920929e-7  # below it Qdrant takes a vector for one of no length, and leaves it as it is


def put(collection: LocalCollection, points: Sequence[Point]) -> None:
    """The points stand, instead of whatever stood in their places; on disk all of them or none.

    Raises ValueError, before anything is written, for a vector the collection has no place for.
    """
    latest = {str(point.id): point for point in points}
    vectors = {one: _checked(collection, point) for one, point in latest.items()}
    payloads = {one: payload_of(point) for one, point in latest.items()}
    # On disk first: what is in memory and not there would be lost at the next start without a word.
    if collection.storage is not None:
        _persist(collection.storage, vectors, payloads)
    rows = _rows(collection, payloads)
    for name in collection.vectors:
        _place(collection, name, rows, [one.get(name) for one in vectors.values()])
    collection.deleted = _longer(collection.deleted, len(collection.ids_inv))
    collection.deleted[rows] = False


def _checked(collection: LocalCollection, point: Point) -> dict[str, Vector]:
    vectors = {str(name): np.asarray(vector, dtype=np.float32) for name, vector in point.vectors.items()}
    for name, vector in vectors.items():
        if name not in collection.vectors:
            raise ValueError(f"There are no vectors {name}.")
        if vector.shape != collection.vectors[name].shape[1:] or np.isnan(vector).any():
            raise ValueError(f"A vector {name} has {vector.shape} numbers, or one that is none.")
    return vectors


def _persist(
    storage: CollectionPersistence,
    vectors: Mapping[str, Mapping[str, Vector]],
    payloads: Mapping[str, Mapping[str, object]],
) -> None:
    rows = [
        (
            storage.encode_key(one),
            Binary(pickle.dumps(models.PointStruct.model_construct(id=one, vector=named, payload=payloads[one]))),
        )
        for one, named in vectors.items()
    ]
    # Rows that an older client wrote under another spelling of the id.
    older = {one: storage._legacy_keys[one] for one in vectors if one in storage._legacy_keys}
    with storage.storage:
        storage.storage.executemany("DELETE FROM points WHERE id = ?", [(key,) for key in older.values()])
        storage.storage.executemany("INSERT OR REPLACE INTO points VALUES (?, ?)", rows)
    for one in older:
        del storage._legacy_keys[one]


def _rows(collection: LocalCollection, payloads: Mapping[str, dict[str, object]]) -> NDArray[np.intp]:
    """Where each point is, with its payload there: after all others where it is new."""
    for one, payload in payloads.items():
        if one in collection.ids:
            collection.payload[collection.ids[one]] = payload
        else:
            collection.ids[one] = len(collection.ids_inv)
            collection.ids_inv.append(one)
            collection.payload.append(payload)
    return np.array([collection.ids[one] for one in payloads], dtype=np.intp)


def _place(collection: LocalCollection, name: str, rows: NDArray[np.intp], vectors: Sequence[Vector | None]) -> None:
    used, column = len(collection.ids_inv), collection.vectors[name]
    if len(column) < used:
        # A row without a vector holds ones, as Qdrant has it: what is asked divides by its length.
        more = np.ones((2 * used - len(column), column.shape[1]), dtype=np.float32)
        collection.vectors[name] = column = np.concatenate([column, more])
    absent = np.array([vector is None for vector in vectors])
    said = [vector for vector in vectors if vector is not None]
    if said:
        lengths = np.linalg.norm(said, axis=1, keepdims=True)
        column[rows[~absent]] = np.divide(said, lengths, out=np.array(said), where=lengths > _EPSILON)
    missing = _longer(collection.deleted_per_vector[name], used)
    missing[rows] = absent
    collection.deleted_per_vector[name] = missing


def _longer(column: NDArray[Any], used: int) -> NDArray[np.bool_]:
    return np.concatenate([column, np.zeros(used - len(column), dtype=bool)])
