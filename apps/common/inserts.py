"""Rows of one transaction, inserted together: one statement on PostgreSQL, however many tables and rows there are.

What is stored of every proposal goes to the same tables. Each statement costs the processor a fixed part, whatever it
carries; so the rows of all tables travel in one, and those of several proposals in the same one. SQLite takes one
statement for each table. Foreign keys are looked at when the transaction ends, so the tables may come in any order;
rows of one table are inserted in the order they were given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, ClassVar, Final, NamedTuple

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.common import faults
from apps.common.fault_places import Commit
from apps.common.statements import POSTGRESQL, Statement, database, run

# PostgreSQL numbers the places of a statement in 16 bits, SQLite in 15.
PLACES_MAX: Final = 32_000


class Follower(NamedTuple):
    """For each row that is inserted, one of another table: its beginning (INSERT INTO ...), and the columns of the row
    that it takes, the database's id among them."""

    insert: str
    columns: str


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """Where rows of one kind go. Names of our own tables and columns: no input of anybody reaches their text."""

    name: str
    columns: tuple[str, ...]
    follower: Follower | None = None

    def sql(self, count: int) -> str:
        """The statement that inserts so many rows."""
        columns, one = ", ".join(f'"{name}"' for name in self.columns), ", ".join(["%s"] * len(self.columns))
        return f'INSERT INTO "{self.name}" ({columns}) VALUES {", ".join([f"({one})"] * count)}'  # noqa: S608  see above


class Row(NamedTuple):
    """One row, as its table's columns are to hold it: values as the database driver takes them."""

    table: Table
    values: Sequence[Any]


class Insert:
    """Rows of one model as `Row`s."""

    _made: ClassVar[dict[type[models.Model], "Insert"]] = {}

    def __init__(self, model: type[models.Model]) -> None:
        # An id that the database gives is left to it.
        self._fields = [one for one in model._meta.local_concrete_fields if not isinstance(one, models.AutoField)]
        self._table = Table(model._meta.db_table, tuple(str(one.column) for one in self._fields))

    @classmethod
    def of(cls, model: type[models.Model]) -> "Insert":
        """The insert of a model."""
        found = cls._made.get(model)
        if found is None:
            found = cls._made[model] = cls(model)
        return found

    def row(self, row: models.Model, connection: BaseDatabaseWrapper) -> Row:
        """What is to be inserted of it; the row counts as stored from now on."""
        values = [one.get_db_prep_save(one.pre_save(row, add=True), connection) for one in self._fields]
        row._state.adding, row._state.db = False, connection.alias
        return Row(self._table, values)


def store(*rows: models.Model | Row) -> None:
    """Insert rows that belong together, inside the caller's transaction.

    Raises IntegrityError where the database refuses any of them: then none is stored, and the transaction must end.
    """
    store_each([rows])


def store_alone(*rows: models.Model | Row, place: Commit) -> None:
    """Insert rows that belong together, and commit: nothing else is written with them. Raises as `store`.

    On PostgreSQL that is one statement, and so a transaction by itself: saying where it begins and ends would take two
    more round trips.
    """
    connection = database()
    if connection.vendor != POSTGRESQL or connection.in_atomic_block:
        with faults.commit(place):
            store(*rows)
        return
    faults.point(place.before)
    _insert([rows], connection)
    faults.point(place.after)


def store_each(groups: Sequence[Sequence[models.Model | Row]]) -> None:
    """As `store`, for several that each have rows of their own: those that follow each other and go to the same tables
    travel together."""
    connection = database()
    if not connection.in_atomic_block:
        raise TypeError("Rows that belong together are stored in one transaction.")
    _insert(groups, connection)


def _insert(groups: Sequence[Sequence[models.Model | Row]], connection: BaseDatabaseWrapper) -> None:
    ready = [
        tuple(row if isinstance(row, Row) else Insert.of(type(row)).row(row, connection) for row in group)
        for group in groups
    ]
    statements: list[Statement] = []
    for tables, alike in groupby(ready, lambda group: tuple(row.table for row in group)):
        if tables:
            statements += _together(tables, list(alike), is_one=connection.vendor == POSTGRESQL)
    if statements:
        run(connection, statements, fetch=False)


def _together(tables: tuple[Table, ...], groups: list[tuple[Row, ...]], *, is_one: bool) -> list[Statement]:
    """The statements that insert these, as few as there can be. One group alone is what comes again and again, and is
    prepared; of many, no number is common enough for that."""
    most = max(PLACES_MAX // sum(len(table.columns) for table in tables), 1)
    found: list[Statement] = []
    for begin in range(0, len(groups), most):
        some = groups[begin : begin + most]
        values = [[value for group in some for value in group[place].values] for place in range(len(tables))]
        if is_one:
            sql = _sql_at_once(tables, len(some))
            found.append(Statement(sql, [value for one in values for value in one], comes_again=len(some) == 1))
        else:
            for table, of_table in zip(tables, values, strict=True):
                found.append(Statement(table.sql(len(some)), of_table))
                if table.follower is not None:
                    found.append(Statement(_sql_after(table, table.follower, len(some)), []))
    return found


@lru_cache(maxsize=256)
def _sql_at_once(tables: tuple[Table, ...], count: int) -> str:
    """One statement for all tables: every insert but the last is a part of its own, and runs whether it is read or
    not."""
    parts: list[str] = []
    for table in tables:
        sql = table.sql(count)
        if table.follower is not None:
            insert, columns = table.follower
            parts.append(f"{sql} RETURNING {columns}")
            sql = f"{insert} SELECT {columns} FROM r{len(parts) - 1}"  # noqa: S608  see `Table`
        parts.append(sql)
    *before, last = parts
    named = ", ".join(f"r{number} AS ({part})" for number, part in enumerate(before))
    return f"WITH {named} {last}" if named else last


@lru_cache(maxsize=256)
def _sql_after(table: Table, follower: Follower, count: int) -> str:
    """The follower of the rows that were inserted last. A transaction of SQLite is alone, so their ids are the last."""
    rows = f'"{table.name}" WHERE rowid > last_insert_rowid() - {count} ORDER BY rowid'
    return f"{follower.insert} SELECT {follower.columns} FROM {rows}"  # noqa: S608  see `Table`
