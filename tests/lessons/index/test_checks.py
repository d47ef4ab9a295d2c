"""The index beside the database: what it lacks is queued, what nobody knows is deleted at the second look."""

from uuid import uuid4

import numpy as np
import pytest

from apps.accounts.models import Desk
from apps.lessons import index
from apps.lessons.index.values import Point, collection_of, point_id
from apps.lessons.models import Case, IndexEntry, IndexLook, IndexSpace
from apps.lessons.services import index_checks, indexing, outbox
from apps.lessons.services.index_checks import LOOKS_APART_S, Drift, Sweep
from apps.lessons.types import EntryKind, EntryState
from tests.factories.lessons import CaseFactory
from tests.lessons.index.conftest import Clock
from tests.lessons.index.standing import active, is_right, points, states

pytestmark = pytest.mark.django_db


@pytest.fixture
def space(desk: Desk, clock: Clock) -> IndexSpace:
    """A space in use with four cases."""
    for _ in range(4):
        CaseFactory(desk=desk)
    indexing.embed_pending(clock=clock)
    index_checks.check_drift(now=clock.now)
    return active()


def collection(space: IndexSpace, kind: EntryKind = EntryKind.CASE) -> str:
    return collection_of(kind, space.name)


def stray(space: IndexSpace, kind: EntryKind = EntryKind.CASE) -> Point:
    vector = np.zeros(space.dim, dtype=np.float32)
    vector[0] = 1
    point = Point(
        kind=kind,
        subject=uuid4(),
        content_hash="x",
        vectors={"text" if kind is EntryKind.CHUNK else "thesis": vector},
        words={"desk": "nobody"},
    )
    index.store().upsert(collection(space, kind), [point])
    return point


def test_what_is_in_order_is_left_alone(space: IndexSpace, clock: Clock) -> None:
    found = index_checks.compare(space=space, kind=EntryKind.CASE)
    assert (found.agrees, found.indexed, found.standing) == (True, 4, 4)
    assert index_checks.check_drift(now=clock.now) == Drift()
    assert index_checks.sweep_orphans(now=clock.now) == Sweep()


def test_points_that_were_lost_are_found_and_queued(space: IndexSpace, clock: Clock) -> None:
    lost = sorted(points(space), key=str)[:2]
    index.store().delete(collection(space), [point_id(EntryKind.CASE, one) for one in lost if one])

    assert index_checks.compare(space=space, kind=EntryKind.CASE).missing == frozenset(lost)
    assert index_checks.check_drift(now=clock.now).lost == 2
    assert states(space) == {EntryState.INDEXED: 2, EntryState.PENDING: 2}
    indexing.embed_pending(clock=clock)
    assert is_right(space)


def test_a_dropped_collection_is_made_and_filled_again(space: IndexSpace, clock: Clock) -> None:
    for kind in EntryKind:
        index.store().drop_collection(collection(space, kind))
    drift = index_checks.check_drift(now=clock.now)
    assert (drift.lost, drift.aliases_moved) == (4, True)
    indexing.embed_pending(clock=clock)
    assert is_right(space)


def test_rows_that_no_entry_is_of_are_queued(space: IndexSpace, clock: Clock) -> None:
    IndexEntry.objects.filter(pk=IndexEntry.objects.first().pk).delete()  # type: ignore[union-attr]
    changed = Case.objects.filter(pk__in=IndexEntry.objects.values("subject")).first()
    assert changed is not None
    Case.objects.filter(pk=changed.pk).update(narrative_text="Other words.", content_hash="0" * 64)

    assert index_checks.check_drift(now=clock.now).unqueued == 2
    indexing.embed_pending(clock=clock)
    assert is_right(space)
    assert index_checks.check_drift(now=clock.now) == Drift()


def test_a_point_written_with_another_text_is_out_of_date(space: IndexSpace, clock: Clock) -> None:
    case = Case.objects.first()
    assert case is not None
    Case.objects.filter(pk=case.pk).update(content_hash="0" * 64)
    IndexEntry.objects.filter(subject=case.pk).update(content_hash="0" * 64)

    found = index_checks.compare(space=space, kind=EntryKind.CASE)
    assert (found.stale, found.missing, found.orphans) == (frozenset({case.pk}), frozenset(), frozenset())
    assert index_checks.check_drift(now=clock.now) == Drift(), "there are as many points as there should be"
    assert index_checks.sweep_orphans(now=clock.now) == Sweep(queued=1)
    indexing.embed_pending(clock=clock)
    assert is_right(space)
    assert index_checks.sweep_orphans(now=clock.now) == Sweep()


def test_a_lost_point_is_found_behind_one_that_nobody_knows(space: IndexSpace, clock: Clock) -> None:
    lost = next(iter(points(space)))
    assert lost is not None
    index.store().delete(collection(space), [point_id(EntryKind.CASE, lost)])
    stray(space)
    assert index_checks.check_drift(now=clock.now) == Drift(), "there are as many points as there should be"
    assert index_checks.sweep_orphans(now=clock.now) == Sweep(noticed=1, queued=1)
    indexing.embed_pending(clock=clock)
    clock.step(LOOKS_APART_S)
    assert index_checks.sweep_orphans(now=clock.now) == Sweep(deleted=1)
    assert is_right(space)


@pytest.mark.parametrize("kind", list(EntryKind))
def test_a_point_nobody_knows_is_deleted_at_the_second_look(space: IndexSpace, clock: Clock, kind: EntryKind) -> None:
    point = stray(space, kind)
    assert index_checks.sweep_orphans(now=clock.now) == Sweep(noticed=1)
    assert IndexLook.objects.get().point == point.id

    clock.step(LOOKS_APART_S - 1)
    assert index_checks.sweep_orphans(now=clock.now) == Sweep()
    clock.step(1)
    assert index_checks.sweep_orphans(now=clock.now) == Sweep(deleted=1)

    assert point.subject not in points(space, kind)
    assert not IndexLook.objects.exists()
    assert is_right(space)


def test_one_that_is_known_by_the_second_look_stays(space: IndexSpace, clock: Clock) -> None:
    entry = IndexEntry.objects.first()
    assert entry is not None
    IndexEntry.objects.filter(pk=entry.pk).delete()
    assert index_checks.sweep_orphans(now=clock.now) == Sweep(noticed=1)
    outbox.enqueue(kind=EntryKind.CASE, subject=entry.subject, content_hash=entry.content_hash, now=clock.now)
    clock.step(LOOKS_APART_S)
    assert index_checks.sweep_orphans(now=clock.now) == Sweep()
    assert not IndexLook.objects.exists()
    assert entry.subject in points(space)


def test_a_point_in_the_wrong_place_is_nobodys(space: IndexSpace) -> None:
    """Its payload names a case that is known, but it does not stand where that case stands."""
    known = IndexEntry.objects.first()
    assert known is not None
    point = stray(space, EntryKind.CHUNK)
    moved = Point(
        kind=EntryKind.CHUNK, subject=known.subject, content_hash="x", vectors=point.vectors, words=point.words
    )
    index.store().upsert(collection(space), [])
    index.store().upsert(collection(space, EntryKind.CHUNK), [moved])
    found = index_checks.compare(space=space, kind=EntryKind.CHUNK)
    assert found.orphans == {point.id, moved.id}
