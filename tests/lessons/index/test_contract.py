"""What every index promises, whichever runs behind it."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import numpy as np
import pytest

from apps.common.errors import Misconfigured, Unavailable
from apps.lessons.index import vector_store
from apps.lessons.index.values import Point, Question, Vector, Where, point_id
from apps.lessons.index.vector_store import VectorStore
from apps.lessons.types import EntryKind

NOW = datetime(2026, 3, 2, 14, 46, tzinfo=UTC)
YEAR = timedelta(days=365)


def vector(*numbers: float) -> Vector:
    return np.array(numbers, dtype=np.float32)


def point(
    thesis: Vector | None = None, narrative: Vector | None = None, *, subject: UUID | None = None, **fields: object
) -> Point:
    named = {"thesis": thesis, "narrative": narrative}
    closed_at = fields.pop("closed_at", NOW)
    assert isinstance(closed_at, datetime)
    return Point(
        kind=EntryKind.CASE,
        subject=subject or uuid4(),
        content_hash="a hash",
        vectors={name: one for name, one in named.items() if one is not None},
        words={name: str(value) for name, value in fields.items()},
        closed_at=closed_at.timestamp(),
    )


EAST, NORTH = vector(1, 0, 0, 0), vector(0, 1, 0, 0)


def found(store: VectorStore, collection: str, where: Where | None = None, limit: int = 10) -> list[UUID]:
    (hits,) = store.search(collection, [Question("thesis", EAST, where or Where())], limit=limit)
    return [hit.subject for hit in hits]


def all_ids(store: VectorStore, collection: str) -> Iterator[UUID]:
    after = None
    while True:
        page, after = store.scroll(collection, after=after)
        yield from (one.id for one in page)
        if after is None:
            return


def test_the_most_similar_comes_first_and_its_score_is_the_cosine(vectors: VectorStore, collection: str) -> None:
    near, far, opposite = point(vector(1, 1, 0, 0)), point(vector(1, 4, 0, 0)), point(vector(-1, 0, 0, 0))
    vectors.upsert(collection, [far, opposite, near])

    (hits,) = vectors.search(collection, [Question("thesis", vector(3, 0, 0, 0))], limit=10)

    assert [hit.subject for hit in hits] == [near.subject, far.subject, opposite.subject]
    assert [hit.score for hit in hits] == pytest.approx([0.5**0.5, 17**-0.5, -1], abs=1e-5)


def test_as_many_as_asked_for(vectors: VectorStore, collection: str) -> None:
    points = [point(vector(10 - angle, angle, 0, 0)) for angle in range(7)]
    vectors.upsert(collection, points)
    assert found(vectors, collection, limit=3) == [one.subject for one in points[:3]]


def test_each_question_is_asked_of_its_own_vector(vectors: VectorStore, collection: str) -> None:
    before, after = point(EAST, NORTH), point(NORTH, EAST)
    vectors.upsert(collection, [before, after])

    thesis, narrative = vectors.search(collection, [Question("thesis", EAST), Question("narrative", EAST)], limit=1)

    assert ([one.subject for one in thesis], [one.subject for one in narrative]) == ([before.subject], [after.subject])


def test_each_question_has_its_own_limits(vectors: VectorStore, collection: str) -> None:
    theirs, ours, old = point(EAST, desk="a"), point(EAST, desk="b"), point(EAST, desk="b", closed_at=NOW - YEAR)
    vectors.upsert(collection, [theirs, ours, old])
    asked = (Where(words={"desk": ["a"]}), Where(words={"desk": ["b"]}), Where(until=NOW), Where(words={"desk": ["c"]}))

    answers = vectors.search(collection, [Question("thesis", EAST, where) for where in asked], limit=9)

    met = [{hit.subject for hit in hits} for hits in answers]
    assert met == [{theirs.subject}, {ours.subject, old.subject}, {old.subject}, set()]


def test_a_point_without_that_text_is_no_answer(vectors: VectorStore, collection: str) -> None:
    whole, without = point(EAST, NORTH), point(None, EAST)
    vectors.upsert(collection, [whole, without])
    assert found(vectors, collection) == [whole.subject]


def test_a_written_point_replaces_the_one_before_with_all_its_fields(vectors: VectorStore, collection: str) -> None:
    first = point(EAST, NORTH, desk="a", side="BUY")
    vectors.upsert(collection, [first])
    vectors.upsert(collection, [point(EAST, subject=first.subject, desk="b")])

    assert vectors.count(collection) == 1
    assert found(vectors, collection, Where(words={"desk": ["a"]})) == []
    assert found(vectors, collection, Where(words={"desk": ["b"]})) == [first.subject]
    assert found(vectors, collection, Where(words={"side": ["BUY"]})) == []
    assert vectors.search(collection, [Question("narrative", NORTH)], limit=9) == [[]]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Where(words={"desk": ["a"]}), [0, 1]),
        (Where(words={"desk": ["a", "b"]}), [0, 1, 2]),
        (Where(words={"desk": ["a"], "side": ["BUY"]}), [0]),
        (Where(words={"desk": ["nobody"]}), []),
        (Where(words={"desk": []}), []),
        (Where(since=NOW), [0]),
        (Where(until=NOW), [1, 2]),
        (Where(since=NOW - timedelta(days=1), until=NOW), [1]),
        (Where(words={"desk": ["b"]}, since=NOW), []),
    ],
)
def test_an_answer_is_limited_to_what_was_asked(
    vectors: VectorStore, collection: str, where: Where, expected: Sequence[int]
) -> None:
    points = [
        point(vector(3, 0, 0, 0), desk="a", side="BUY", closed_at=NOW),
        point(vector(3, 1, 0, 0), desk="a", side="SELL", closed_at=NOW - timedelta(days=1)),
        point(vector(3, 2, 0, 0), desk="b", side="BUY", closed_at=NOW - timedelta(days=2)),
    ]
    vectors.upsert(collection, points)
    assert found(vectors, collection, where) == [points[place].subject for place in expected]


def test_a_field_the_index_has_not_is_refused_before_it_is_asked() -> None:
    with pytest.raises(ValueError, match="colour"):
        Where(words={"colour": ["red"]})


def test_what_is_deleted_is_gone_and_the_rest_stays(vectors: VectorStore, collection: str) -> None:
    stays, goes = point(EAST), point(EAST)
    vectors.upsert(collection, [stays, goes])
    assert len(found(vectors, collection)) == 2

    vectors.delete(collection, [goes.id, uuid4()])
    assert (found(vectors, collection), vectors.count(collection)) == ([stays.subject], 1)

    vectors.upsert(collection, [goes])
    assert set(found(vectors, collection)) == {stays.subject, goes.subject}


def test_scrolling_meets_every_point_once(
    vectors: VectorStore, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_store, "SCROLL_MAX", 4)
    points = [point(EAST) for _ in range(13)]
    vectors.upsert(collection, points)

    met = list(all_ids(vectors, collection))

    assert len(met) == 13
    assert set(met) == {point_id(EntryKind.CASE, one.subject) for one in points}


def test_a_standing_point_says_what_it_is_of(vectors: VectorStore, collection: str) -> None:
    one = point(EAST)
    vectors.upsert(collection, [one])
    page, after = vectors.scroll(collection)
    assert ([(it.id, it.subject, it.content_hash) for it in page], after) == ([(one.id, one.subject, "a hash")], None)


def test_an_empty_collection_answers_nothing(vectors: VectorStore, collection: str) -> None:
    vectors.upsert(collection, [])
    vectors.delete(collection, [])
    assert (found(vectors, collection), vectors.count(collection), vectors.scroll(collection)) == ([], 0, ([], None))


def test_a_collection_may_be_asked_for_again_but_not_in_another_form(vectors: VectorStore, collection: str) -> None:
    vectors.upsert(collection, [point(EAST)])
    vectors.ensure_collection(collection, {"narrative": 4, "thesis": 4})
    assert vectors.count(collection) == 1

    for other in ({"thesis": 4, "narrative": 8}, {"thesis": 4}, {"thesis": 4, "narrative": 4, "text": 4}):
        with pytest.raises(Misconfigured, match="INDEX_DIFFERS"):
            vectors.ensure_collection(collection, other)


def test_aliases_move_together_and_are_asked_like_collections(vectors: VectorStore, collection: str) -> None:
    lessons, knowledge, other = (f"{collection}_{word}" for word in ("lessons", "knowledge", "other"))
    vectors.ensure_collection(other, {"thesis": 4})
    old, new = point(EAST), point(EAST)
    vectors.upsert(collection, [old])
    vectors.upsert(other, [new])

    vectors.point_aliases({lessons: collection, knowledge: collection})
    assert (found(vectors, lessons), found(vectors, knowledge)) == ([old.subject], [old.subject])
    vectors.point_aliases({lessons: other, knowledge: other})
    assert (found(vectors, lessons), found(vectors, knowledge)) == ([new.subject], [new.subject])

    assert {alias: vectors.aliases()[alias] for alias in (lessons, knowledge)} == {lessons: other, knowledge: other}
    vectors.drop_collection(other)
    assert not {lessons, knowledge} & set(vectors.aliases())


def test_a_dropped_collection_is_missing_and_may_be_dropped_again(vectors: VectorStore, collection: str) -> None:
    assert collection in vectors.collections()
    found(vectors, collection)
    vectors.drop_collection(collection)
    vectors.drop_collection(collection)

    assert collection not in vectors.collections()
    for ask in (
        lambda: found(vectors, collection),
        lambda: vectors.count(collection),
        lambda: vectors.scroll(collection),
        lambda: vectors.upsert(collection, [point(EAST)]),
        lambda: vectors.point_aliases({"lessons_of_nothing": collection}),
    ):
        with pytest.raises(Unavailable, match="INDEX_MISSING"):
            ask()


def test_a_vector_of_another_length_is_refused(vectors: VectorStore, collection: str) -> None:
    vectors.upsert(collection, [point(EAST)])
    with pytest.raises(Misconfigured, match="INDEX_REFUSED"):
        vectors.search(collection, [Question("thesis", vector(1, 0))], limit=3)
    with pytest.raises(Misconfigured, match="INDEX_REFUSED"):
        vectors.search(collection, [Question("text", EAST)], limit=3)
