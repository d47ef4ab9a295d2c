"""What somebody with a shell on the database could do: rows changed behind the application's back.

Only for tests: the guards of a table are lifted, the row is changed by SQL, and the guards stand again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import uuid4

from django.db import connection, models
from django.db.models import Model
from django.utils import timezone

from apps.common import guard_triggers
from apps.common.guards import InstallGuards, expected_guards


@cache
def _guards() -> dict[str, InstallGuards]:
    return expected_guards(connection)


@contextmanager
def guards_lifted(*tables: str) -> Iterator[None]:
    """No guards on these tables inside the block."""
    guards = _guards()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # PostgreSQL alters no table whose foreign keys still wait to be checked.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for table in tables:
            for sql in guard_triggers.drop_statements(connection, table):
                cursor.execute(sql)
    yield
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for table in tables:
            for sql in guard_triggers.create_statements(connection, table, guards[table].refusals):
                cursor.execute(sql)


def tamper(row: Model, **columns: Any) -> None:
    """Change columns of one row by SQL, its guards lifted meanwhile. The object in memory stays as it was."""
    table = row._meta.db_table
    with guards_lifted(table):
        sql_update(row, **columns)


def sql_update(row: Model, **columns: Any) -> None:
    """UPDATE of one row, past the ORM and with every guard standing."""
    meta = row._meta
    fields = {field.attname: field for field in meta.concrete_fields}
    names = ", ".join(f'"{fields[name].column}" = %s' for name in columns)
    values = [fields[name].get_db_prep_save(value, connection) for name, value in columns.items()]
    assert meta.pk is not None
    key = meta.pk.get_db_prep_save(row.pk, connection)
    with connection.cursor() as cursor:
        cursor.execute(f'UPDATE "{meta.db_table}" SET {names} WHERE "{meta.pk.column}" = %s', [*values, key])  # noqa: S608  a test's own names
        assert cursor.rowcount == 1


def another(row: Model, name: str, targets: Mapping[type[Model], Model]) -> object:
    """Another value the column could hold; `targets` has a row for each kind of foreign key that cannot be empty."""
    field = next(field for field in row._meta.concrete_fields if field.attname == name)
    value = getattr(row, name)
    if field.related_model is not None:
        target = targets.get(field.related_model)  # type: ignore[arg-type]
        return None if target is None else target.pk
    if isinstance(field, models.UUIDField):
        return uuid4()
    if isinstance(field, models.BinaryField):
        return bytes(value)[:-2] + b" }"
    if isinstance(field, models.DateTimeField):
        return value + timedelta(microseconds=1) if value else timezone.now()
    if isinstance(field, models.JSONField):
        return [*value, "more"]
    if isinstance(field, models.IntegerField):
        return value + 1
    if isinstance(field, models.CharField | models.TextField):
        return value[:-1] + ("x" if value[-1] != "x" else "y") if value else "x"
    return value + Decimal("0.00000001") if value is not None else Decimal(1)


@contextmanager
def undone() -> Iterator[None]:
    """Everything in the block is rolled back. A bare savepoint: inside `atomic` no venue may be called."""
    point = connection.savepoint()
    try:
        yield
    finally:
        connection.savepoint_rollback(point)
