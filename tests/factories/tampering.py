"""What somebody with a shell on the database could do: rows changed behind the application's back.

Only for tests: the guards of a table are lifted, the row is changed by SQL, and the guards stand again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Model

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


@contextmanager
def undone() -> Iterator[None]:
    """Everything in the block is rolled back. A bare savepoint: inside `atomic` no venue may be called."""
    point = connection.savepoint()
    try:
        yield
    finally:
        connection.savepoint_rollback(point)
