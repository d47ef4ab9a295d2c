"""Statements written once: the same answers as Django's own."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.db.models import Count, Max, Value
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import Desk, IdempotencyRecord
from apps.common.inserts import store
from apps.common.statements import (
    Figure,
    Question,
    Select,
    Statement,
    Together,
    ask,
    first_row,
    instance,
)
from apps.connectors.models import Connection, Instrument
from tests.factories.accounts import DeskFactory
from tests.factories.connectors import InstrumentFactory

pytestmark = pytest.mark.django_db

DESKS: Select[tuple[UUID, str]] = Select(
    lambda slug: Desk.objects.filter(slug=slug).values_list("id", "name"), lambda *row: row, slug=str
)
INSTRUMENTS: Select[tuple[object, ...]] = Select(
    lambda connection, step, since: Instrument.objects.filter(
        connection=connection, price_increment=step, fetched_at__gte=since
    ).values_list("code", "price_increment", "tradable", "fetched_at", "connection_id"),
    lambda *row: row,
    connection=UUID,
    step=Decimal,
    since=datetime,
)
WHOLE: Select[Connection] = Select(
    lambda slug: Connection.objects.select_related("desk").filter(slug=slug),
    instance(Connection, beside="desk"),
    slug=str,
)
KEPT: Select[tuple[object, ...]] = Select(
    lambda key: IdempotencyRecord.objects.filter(key=key).values_list("id", "body", "status", "created_at", "key"),
    lambda pk, body, *rest: (pk, bytes(body), *rest),
    key=str,
)
HOW_MANY: Figure[int] = Figure(
    lambda slug: (
        Desk.objects.filter(slug=slug).order_by().annotate(all=Value(1)).values("all").annotate(n=Count("pk"))
    ).values_list("n"),
    lambda n: n,
    slug=str,
)
# Django writes the percent sign twice, as drivers want it.
LIKE: Select[str] = Select(
    lambda slug: Desk.objects.filter(slug=slug, name__contains="100 %").values_list("name"), lambda name: name, slug=str
)
LATEST: Figure[object] = Figure(
    lambda connection: (
        Instrument.objects.filter(connection=connection)
        .order_by()
        .annotate(all=Value(1))
        .values("all")
        .annotate(at=Max("fetched_at"))
    ).values_list("at"),
    lambda at: at,
    connection=UUID,
)


def record(key: str) -> IdempotencyRecord:
    return IdempotencyRecord(
        principal="user:1", key=key, fingerprint="f", status=201, body=b"{}", created_at=timezone.now()
    )


def test_it_answers_what_the_queryset_answers() -> None:
    row = InstrumentFactory(price_increment=Decimal("0.01000"))
    since = row.fetched_at - timedelta(seconds=1)
    found = INSTRUMENTS(connection=row.connection_id, step=Decimal("0.01"), since=since).answer
    wanted = Instrument.objects.filter(pk=row.pk).values_list(
        "code", "price_increment", "tradable", "fetched_at", "connection_id"
    )
    assert found == list(wanted)
    assert [type(value) for value in found[0]] == [type(value) for value in wanted[0]]
    for changed in (
        {"connection": uuid4()},
        {"step": Decimal("0.02")},
        {"since": row.fetched_at + timedelta(microseconds=1)},
    ):
        params = {"connection": row.connection_id, "step": Decimal("0.01"), "since": since, **changed}
        assert INSTRUMENTS(**params).answer == []


def test_questions_are_asked_together_and_each_once() -> None:
    desk = DeskFactory()
    first, second, third = DESKS(slug=desk.slug), DESKS(slug="nobody"), HOW_MANY(slug=desk.slug)
    with CaptureQueriesContext(connection) as asked:
        ask(first, second, third)
        assert (first.answer, second.answer, third.answer) == ([(desk.pk, desk.name)], [], [1])
    assert len(asked) == (1 if connection.vendor == "postgresql" else 3)


def test_what_is_asked_together_reads_as_what_is_asked_alone() -> None:
    """Every kind of column, also those that hold nothing."""
    row = InstrumentFactory(
        connection__secret="s3cret", connection__fee_taker=Decimal("0.0060"), connection__verified_at=timezone.now()
    )
    desk = row.connection.desk
    record_of = 'a quote " a backslash \\ ünïcode'
    with transaction.atomic():
        store(record(record_of))
    params = {"connection": row.connection_id, "step": Decimal("0.01"), "since": row.fetched_at}

    def questions() -> tuple[Question[Any], ...]:
        return INSTRUMENTS(**params), WHOLE(slug=row.connection.slug), KEPT(key=record_of), DESKS(slug=desk.slug)

    alone, together = questions(), questions()
    for one in alone:
        ask(one)
    ask(*together)
    for one, other in zip(alone, together, strict=True):
        assert one.answer == other.answer != []
        assert [type(value) for value in _plain(one.answer[0])] == [type(value) for value in _plain(other.answer[0])]
    assert together[1].answer[0].secret.reveal() == "s3cret"
    assert [value for value in _plain(together[1].answer[0]) if value is not None] == [
        value for value in _plain(Connection.objects.get(pk=row.connection_id)) if value is not None
    ]


def _plain(row: Any) -> list[object]:
    if isinstance(row, Connection):
        return [getattr(row, one.attname) for one in Connection._meta.concrete_fields if one.name != "secret"]
    return list(row)


def test_a_percent_sign_is_one() -> None:
    DeskFactory.create(slug="whole", name="All 100 % of it")
    DeskFactory.create(slug="half", name="All 50 % of it")
    whole, half = LIKE(slug="whole"), LIKE(slug="half")
    ask(whole, half)
    assert (whole.answer, half.answer) == (["All 100 % of it"], [])
    assert LIKE(slug="whole").answer == whole.answer


def test_figures_travel_as_one_statement() -> None:
    row = InstrumentFactory()
    desk = row.connection.desk
    figures = (HOW_MANY(slug=desk.slug), HOW_MANY(slug="nobody"), LATEST(connection=row.connection_id))
    nothing = LATEST(connection=uuid4())
    with CaptureQueriesContext(connection) as asked:
        ask(*figures, nothing)
    assert len(asked) == 1
    assert [one.answer for one in figures] == [[1], [0], [row.fetched_at]]
    assert nothing.answer == [None]


def test_a_parameter_the_queryset_does_not_hold_is_refused() -> None:
    lost: Select[UUID] = Select(
        lambda slug, day: Desk.objects.filter(slug=slug).values_list("id"), lambda pk: pk, slug=str, day=date
    )
    with pytest.raises(TypeError, match="day"):
        _ = lost(slug="x", day=date(2026, 1, 1)).answer


def test_whoever_wraps_execution_meets_these_statements_too() -> None:
    met: list[tuple[str, int]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        met.append((sql, len(params)))
        return execute(sql, params, many, context)

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        raise PermissionError(sql)

    with transaction.atomic(), connection.execute_wrapper(note):
        store(record("one"), record("two"))
        assert first_row(Statement("SELECT COUNT(*), %s FROM accounts_idempotencyrecord", ["x"])) == (2, "x")
    inserted = [12] if connection.vendor == "postgresql" else [6, 6]
    assert [places for sql, places in met if "INSERT" in sql] == inserted
    assert (met[-1][0].split()[0], met[-1][1]) == ("SELECT", 1)
    with pytest.raises(PermissionError), transaction.atomic(), connection.execute_wrapper(refuse):
        store(record("three"))
    assert IdempotencyRecord.objects.count() == 2


def test_a_statement_without_a_row_answers_none() -> None:
    assert first_row(Statement("SELECT name FROM accounts_desk WHERE slug = %s", ["nobody's"])) is None


def test_what_is_equal_is_asked_once_for_all_that_goes_together() -> None:
    desk = DeskFactory()
    together = Together()
    one, same, other = DESKS(slug=desk.slug), DESKS(slug=desk.slug), DESKS(slug="nobody")
    with CaptureQueriesContext(connection) as queries:
        together.ask(one, same)
    assert (len(queries), one.answer, same.answer) == (1, [(desk.pk, desk.name)], [(desk.pk, desk.name)])
    Desk.objects.filter(pk=desk.pk).update(name="Another name")
    later = DESKS(slug=desk.slug)
    with CaptureQueriesContext(connection) as queries:
        together.ask(later, other)
    assert (len(queries), later.answer, other.answer) == (1, one.answer, [])
    assert DESKS(slug=desk.slug).answer == [(desk.pk, "Another name")]
