"""The points of one local collection in numpy, to be searched under a filter.

Qdrant's local mode asks its filter of every payload in a Python loop: a third of a second at 10,000 points. The same
question over columns of numbers takes a millisecond. What is here is a copy of what Qdrant's local mode holds.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from apps.lessons.index.values import WORDS, Hit, Question, Vector, Where

FIRST_ROWS: Final = 256
NONE: Final = -1

# To all rows, by the name and the identity of the vector that was asked about.
Cosines = dict[tuple[str, int], Vector]

Kind = TypeVar("Kind", bound=np.generic)


class Matrix:
    """Rows of points. Not safe for threads: its owner has the lock."""

    def __init__(self, vectors: Mapping[str, int]) -> None:
        self._row_of: dict[UUID, int] = {}
        self._free: list[int] = []
        self._used = 0
        self._subjects: list[UUID] = []
        self._vectors = {name: np.zeros((FIRST_ROWS, dim), dtype=np.float32) for name, dim in vectors.items()}
        self._has = {name: np.zeros(FIRST_ROWS, dtype=bool) for name in vectors}
        self._words = {word: np.zeros(FIRST_ROWS, dtype=np.int32) for word in WORDS}
        self._numbers: dict[str, dict[str, int]] = {word: {} for word in WORDS}
        self._closed_at = np.full(FIRST_ROWS, np.nan)

    def put(
        self,
        point: UUID,
        subject: UUID,
        *,
        vectors: Mapping[str, Vector],
        words: Mapping[str, str],
        closed_at: float | None,
    ) -> None:
        """The point stands, instead of one of its id."""
        row = self._row(point, subject)
        for name, has in self._has.items():
            has[row] = name in vectors
            if name in vectors:
                self._vectors[name][row] = _of_length_one(vectors[name])
        for word, column in self._words.items():
            numbers = self._numbers[word]
            column[row] = numbers.setdefault(words[word], len(numbers)) if word in words else NONE
        self._closed_at[row] = np.nan if closed_at is None else closed_at

    def remove(self, point: UUID) -> None:
        """No such point stands."""
        row = self._row_of.pop(point, None)
        if row is not None:
            self._free.append(row)
            for has in self._has.values():
                has[row] = False

    def search(self, questions: Sequence[Question], *, limit: int) -> list[list[Hit]]:
        """For each question up to `limit` points by falling cosine. Raises ValueError for a name or a dimension
        that the vectors do not have."""
        known: Cosines = {}
        return [self._search(one, limit, known) for one in questions]

    def _search(self, question: Question, limit: int, known: Cosines) -> list[Hit]:
        if question.name not in self._vectors or self._vectors[question.name].shape[1:] != question.vector.shape:
            raise ValueError(f"There are no vectors {question.name} of {len(question.vector)} numbers.")
        rows = np.flatnonzero(self._standing(question.name, question.where))
        if not len(rows) or limit < 1:
            return []
        scores = self._cosines(question, rows, known)
        if len(rows) > limit:
            best = np.argpartition(-scores, limit - 1)[:limit]
            rows, scores = rows[best], scores[best]
        order = np.argsort(-scores, kind="stable")
        return [Hit(self._subjects[row], score) for row, score in zip(rows[order], scores[order].tolist(), strict=True)]

    def _cosines(self, question: Question, rows: NDArray[np.intp], known: Cosines) -> Vector:
        """To these rows. Copying rows out costs more than multiplying by all, unless they are few; what was multiplied
        by all is `known` to a question of the same vector that is limited in another way."""
        vectors, key = self._vectors[question.name][: self._used], (question.name, id(question.vector))
        if key not in known:
            vector = _of_length_one(question.vector)
            if 4 * len(rows) < self._used:
                few: Vector = vectors[rows] @ vector
                return few
            known[key] = vectors @ vector
        return known[key][rows]

    def _standing(self, name: str, where: Where) -> NDArray[np.bool_]:
        mask = self._has[name][: self._used].copy()
        for word, values in where.words.items():
            numbers = [self._numbers[word][value] for value in values if value in self._numbers[word]]
            column = self._words[word][: self._used]
            mask &= column == numbers[0] if len(numbers) == 1 else np.isin(column, numbers)
        closed_at = self._closed_at[: self._used]
        if where.since is not None:
            mask &= closed_at >= where.since.timestamp()
        if where.until is not None:
            mask &= closed_at < where.until.timestamp()
        return mask

    def _row(self, point: UUID, subject: UUID) -> int:
        row = self._row_of.get(point)
        if row is None:
            if self._free:
                row = self._free.pop()
                self._subjects[row] = subject
            else:
                row = self._used
                self._used += 1
                self._subjects.append(subject)
                self._grow()
            self._row_of[point] = row
        return row

    def _grow(self) -> None:
        if self._used <= len(self._closed_at):
            return
        self._vectors = {name: _twice(vectors) for name, vectors in self._vectors.items()}
        self._has = {name: _twice(has) for name, has in self._has.items()}
        self._words = {word: _twice(column) for word, column in self._words.items()}
        self._closed_at = _twice(self._closed_at)


def _twice(array: NDArray[Kind]) -> NDArray[Kind]:
    return np.concatenate([array, np.zeros_like(array)])


def _of_length_one(vector: Vector) -> Vector:
    length = np.float32(np.linalg.norm(vector))
    return vector / length if length > 0 else vector
