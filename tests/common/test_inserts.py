"""Rows that are stored together: as Django stores them, in few statements, and all or none."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import Desk, IdempotencyRecord
from apps.audit.models import Event, StreamHead
from apps.audit.services import events, verification
from apps.audit.types import Actor, ActorKind
from apps.common import fault_places as places
from apps.common import faults, inserts
from apps.common.inserts import Insert, Row, store, store_alone, store_each
from apps.connectors.models import Connection
from tests.factories.accounts import DeskFactory
from tests.factories.connectors import ConnectionFactory

pytestmark = pytest.mark.django_db

# What the migrations wrote down has streams of its own.
OURS, HEADS = (model.objects.filter(stream__startswith="s:") for model in (Event, StreamHead))


def record(key: str) -> IdempotencyRecord:
    return IdempotencyRecord(
        principal="user:1", key=key, fingerprint="f", status=201, body=b"{}", created_at=timezone.now()
    )


def opened(stream: str) -> Row:
    """The first fact of a stream."""
    return events.opening(
        stream=stream,
        kind="proposal.proposed",
        actor=Actor(kind=ActorKind.USER, id="1", name="One"),
        subject=stream,
        payload={"state": "x"},
        now=timezone.now(),
    )


def desk(slug: str) -> Desk:
    return DeskFactory.build(slug=slug)


def test_rows_are_stored_as_django_stores_them() -> None:
    made = ConnectionFactory.build(desk=DeskFactory(), secret="s3cret", fee_taker=Decimal("0.0060"))
    with transaction.atomic():
        store(made)
    kept = Connection.objects.get(pk=made.pk)
    assert (kept.secret.reveal(), kept.fee_taker, kept.created_at) == ("s3cret", Decimal("0.006"), made.created_at)
    assert not made._state.adding


def test_one_row_refused_and_none_is_stored() -> None:
    with transaction.atomic():
        store(record("taken"))
    with pytest.raises(IntegrityError), transaction.atomic():
        store(record("free"), record("taken"), record("later"))
    assert list(IdempotencyRecord.objects.values_list("key", flat=True)) == ["taken"]
    # The session goes on: nothing of the refused ones is left in its way.
    with transaction.atomic():
        store(record("free"), Insert.of(IdempotencyRecord).row(record("later"), connection))
    assert IdempotencyRecord.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_alone_they_commit_all_or_none_between_the_points_of_their_place() -> None:
    passed: list[str] = []
    faults.install(passed.append)
    try:
        store_alone(record("taken"), desk("one"), place=places.PROPOSE)
        assert passed == [places.PROPOSE.before, places.PROPOSE.after]
        with pytest.raises(IntegrityError):
            store_alone(desk("two"), record("taken"), place=places.PROPOSE)
        assert places.PROPOSE.after not in passed[2:]
    finally:
        faults.install(None)
    assert not connection.in_atomic_block
    assert set(Desk.objects.filter(slug__in=("one", "two")).values_list("slug", flat=True)) == {"one"}
    assert list(IdempotencyRecord.objects.values_list("key", flat=True)) == ["taken"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_alone_they_are_one_statement_and_a_missing_row_is_seen_at_its_end() -> None:
    with CaptureQueriesContext(connection) as queries:
        store_alone(record("one"), opened("s:alone"), place=places.PROPOSE)
    assert len(queries) == 1
    with pytest.raises(IntegrityError):
        store_alone(ConnectionFactory.build(desk=desk("nowhere")), record("two"), place=places.PROPOSE)
    assert list(IdempotencyRecord.objects.values_list("key", flat=True)) == ["one"]


@pytest.mark.django_db(transaction=True)
def test_nothing_is_stored_outside_a_transaction() -> None:
    with pytest.raises(TypeError, match="transaction"):
        store(record("alone"))
    assert not IdempotencyRecord.objects.exists()


def test_several_are_stored_in_as_many_statements_as_one() -> None:
    """Each with rows in the same tables; the last has another table, and the ids are given in the order of the rows."""

    def groups(names: str) -> Sequence[Sequence[models.Model | Row]]:
        return [(desk(f"d-{name}"), opened(f"s:{name}"), record(name)) for name in names]

    for names in ("a", "bcdefg"):
        with transaction.atomic(), CaptureQueriesContext(connection) as queries:
            store_each(groups(names))
        assert len(queries) == (1 if connection.vendor == "postgresql" else 4)
    with transaction.atomic():
        store_each([*groups("hi"), (record("alone"),), (), *groups("j")])

    wanted = list("abcdefghij")
    assert sorted(Desk.objects.values_list("slug", flat=True)) == [f"d-{name}" for name in wanted]
    assert list(OURS.order_by("id").values_list("stream", flat=True)) == [f"s:{name}" for name in wanted]
    assert list(IdempotencyRecord.objects.order_by("id").values_list("key", flat=True)) == [*wanted[:9], "alone", "j"]
    for event in OURS.all():
        head = StreamHead.objects.get(stream=event.stream)
        assert (head.seq, head.hash, head.last_id) == (event.seq, event.hash, event.pk)
    assert verification.verify().exit_code == 0


def test_more_than_a_statement_may_hold_goes_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [(record(f"{number:02d}"),) for number in range(7)]
    monkeypatch.setattr(inserts, "PLACES_MAX", 3 * 6 + 1)
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        store_each(groups)
    assert len(queries) == 3
    assert list(IdempotencyRecord.objects.order_by("id").values_list("key", flat=True)) == [
        f"{number:02d}" for number in range(7)
    ]


def test_one_refused_among_several_and_none_is_stored() -> None:
    """A key that is taken, and a stream that somebody began, in the middle of others."""
    with transaction.atomic():
        store(opened("s:taken"), record("taken"))
    for wrong in ((opened("s:free"), record("taken")), (opened("s:taken"), record("free"))):
        with pytest.raises(IntegrityError), transaction.atomic():
            store_each([(opened("s:first"), record("first")), wrong, (opened("s:last"), record("last"))])
        assert (OURS.count(), HEADS.count(), IdempotencyRecord.objects.count()) == (1, 1, 1)


def test_what_differs_in_what_is_unknown_travels_together() -> None:
    """A number, and none where it may be missing: the columns say of what kind the values are."""
    shared = DeskFactory()
    made = [
        (ConnectionFactory.build(desk=shared, fee_taker=fee),) for fee in (None, Decimal("0.006"), None, Decimal(0))
    ]
    with transaction.atomic():
        store_each(made)
    kept = {one.pk: one.fee_taker for one in Connection.objects.all()}
    assert [kept[one.pk] for (one,) in made] == [None, Decimal("0.006"), None, Decimal(0)]
