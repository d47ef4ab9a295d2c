"""SQL that is written once and run many times, several statements to a round trip.

Django writes its SQL anew for every query. Where the same is asked of every proposal, that costs more than the answer
does. A `Select` keeps what Django wrote for a queryset and fills in the parameters; `ask` puts many such questions to
the database at once; `inserts` stores rows the same way. On PostgreSQL the questions are one prepared statement that
answers in JSON; SQLite runs them one by one.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache, partial
from itertools import count
from typing import Any, Final, Generic, NamedTuple, TypeVar
from uuid import UUID

import orjson
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import RawCursor

from apps.common.decimals import decimal_text

R = TypeVar("R")
M = TypeVar("M", bound=models.Model)
Param = UUID | datetime | date | Decimal | str
Converters = dict[int, tuple[list[Callable[..., Any]], Any]]

POSTGRESQL: Final = "postgresql"
# Nobody's id, name or time: they mark where a parameter stands in the SQL that Django writes.
_MARK: Final = 0x6D61726B
_PLACE: Final = re.compile("%[s%]")


class Statement(NamedTuple):
    """SQL and what its places hold, as the database driver takes it. One that `comes_again` is worth preparing."""

    sql: str
    params: list[Any]
    comes_again: bool = True


@dataclass
class Question(Generic[R]):
    """A `Select` with its parameters. `ask` fills it; reading the answer before that asks it alone."""

    select: "Select[R]"
    params: dict[str, Param]
    _rows: list[R] | None = field(default=None, repr=False)

    @property
    def answer(self) -> list[R]:
        """The rows."""
        if self._rows is None:
            ask(self)
        assert self._rows is not None  # noqa: S101  asked just above
        return self._rows

    @property
    def is_answered(self) -> bool:
        return self._rows is not None

    @property
    def key(self) -> tuple[object, ...]:
        """What is the same for two questions that ask for the same rows."""
        return self.select, *self.params.items()

    def answer_as(self, other: "Question[R]") -> None:
        """Take over the answer of an equal question."""
        self._rows = other.answer

    def statement(self, connection: BaseDatabaseWrapper) -> Statement:
        return self.select.written(connection).statement(connection, self.params)

    def take(self, connection: BaseDatabaseWrapper, rows: list[Any]) -> None:
        """Keep what the database answered."""
        self._rows = self.select.read(connection, rows)


@dataclass(frozen=True, eq=False, slots=True)
class _Written:
    """What Django wrote for one kind of database: the SQL, what stands at each place, and how columns are read."""

    sql: str
    places: tuple[tuple[str | None, object], ...]
    converters: tuple[tuple[int, tuple[Callable[..., Any], ...], Any], ...]
    from_text: tuple[Callable[[str], Any], ...]

    def statement(self, connection: BaseDatabaseWrapper, params: dict[str, Param]) -> Statement:
        return Statement(
            self.sql, [fixed if name is None else _adapted(connection, params[name]) for name, fixed in self.places]
        )


class Select(Generic[R]):
    """A queryset of `values_list`, as a function of its parameters, written once for each kind of database.

    `row` makes an answer of one row's columns. `params` names the parameters with their types: UUID, datetime, date,
    Decimal (of an exact column) or str, each used by the queryset as it is given, and deciding nothing else about it.
    """

    def __init__(
        self, queryset: Callable[..., "models.QuerySet[Any, Any]"], row: Callable[..., R], **params: type[Param]
    ) -> None:
        self._queryset = queryset
        self._row = row
        self._params = params
        self._kept: dict[str, _Written] = {}

    def __call__(self, **params: Param) -> Question[R]:
        """The question with these parameters."""
        return Question(self, params)

    def written(self, connection: BaseDatabaseWrapper) -> _Written:
        found = self._kept.get(connection.vendor)
        if found is None:
            found = self._kept[connection.vendor] = self._write(connection)
        return found

    def read(self, connection: BaseDatabaseWrapper, rows: list[Any]) -> list[R]:
        """The database's rows as answers."""
        converters, row = self.written(connection).converters, self._row
        if not converters:
            return [row(*columns) for columns in rows]
        answers = []
        for columns in rows:
            values = list(columns)
            for position, functions, expression in converters:
                for convert in functions:
                    values[position] = convert(values[position], expression, connection)
            answers.append(row(*values))
        return answers

    def _write(self, connection: BaseDatabaseWrapper) -> _Written:
        marks = {name: _mark(kind, number) for number, (name, kind) in enumerate(self._params.items())}
        compiler = self._queryset(**marks).query.get_compiler(connection=connection)
        sql, values = compiler.as_sql()
        names = {_adapted(connection, mark): name for name, mark in marks.items()}
        places = tuple(
            (names[value], None) if isinstance(value, Param) and value in names else (None, value) for value in values
        )
        if missing := set(self._params) - {name for name, _ in places}:
            raise TypeError(f"The queryset does not hold {', '.join(sorted(missing))} as given.")
        columns = [item[0] for item in compiler.select]
        found: Converters = compiler.get_converters(columns)
        converters = tuple((place, tuple(functions), column) for place, (functions, column) in found.items())
        return _Written(sql, places, converters, tuple(_FROM_TEXT[_kind(column)] for column in columns))


def instance(model: type[M], *, beside: str) -> Callable[..., M]:
    """A row as an instance of the model with the one its foreign key `beside` names, as `select_related` gives them."""

    @cache
    def known() -> tuple[Any, list[str], list[str]]:
        """The other model, and the columns of both: only known once all models are."""
        other: Any = model._meta.get_field(beside).related_model
        names, others = ([one.attname for one in kind._meta.concrete_fields] for kind in (model, other))
        return other, names, others

    def made(*columns: Any) -> M:
        other, names, others = known()
        found = model.from_db(DEFAULT_DB_ALIAS, names, columns[: len(names)])
        setattr(found, beside, other.from_db(DEFAULT_DB_ALIAS, others, columns[len(names) :]))
        return found

    return made


class Figure(Select[R]):
    """A `Select` of one column and at most one row. Those asked together travel as one statement; of one without a row
    the answer is then a row of NULL, or none: ask for the value that is there."""


def ask(*questions: Question[Any]) -> None:
    """Put the questions to the database together and keep each answer in its question."""
    connection = database()
    if len(questions) > 1 and connection.vendor == POSTGRESQL:
        return _ask_at_once(connection, questions)
    figures = [one for one in questions if isinstance(one.select, Figure)]
    others = [one for one in questions if not isinstance(one.select, Figure)]
    statements = [one.statement(connection) for one in others]
    if figures:
        statements.append(_together([one.statement(connection) for one in figures]))
    answers = run(connection, statements, fetch=True)
    if figures:
        (row,) = answers.pop()
        answers += [[(value,)] for value in row]
    for question, rows in zip(others + figures, answers, strict=True):
        question.take(connection, rows)
    return None


class Together:
    """What is asked for several things at one moment: of questions that are equal, one is put to the database.

    Forget it as soon as a row they ask for may have changed.
    """

    def __init__(self) -> None:
        self._put: dict[tuple[object, ...], Question[Any]] = {}

    def ask(self, *questions: Question[Any]) -> None:
        """As `ask`; what was answered here before is not asked again."""
        new = {one.key: one for one in questions if one.key not in self._put}
        if new:
            ask(*new.values())
            self._put |= new
        for one in questions:
            one.answer_as(self._put[one.key])


def _together(figures: Sequence[Statement]) -> Statement:
    """One statement with a column for each figure."""
    columns = ", ".join(f"({one.sql})" for one in figures)
    return Statement(f"SELECT {columns}", [value for one in figures for value in one.params])


def _ask_at_once(connection: BaseDatabaseWrapper, questions: Sequence[Question[Any]]) -> None:
    """One statement: the rows of each question are JSON, lists of texts, read back by the kinds of their columns."""
    written = tuple(question.select.written(connection) for question in questions)
    params: list[Any] = []
    for one, question in zip(written, questions, strict=True):
        params += one.statement(connection, question.params).params
    ((*answers,),) = run(connection, [Statement(_at_once(written), params)], fetch=True)[0]
    for one, question, rows in zip(written, questions, answers, strict=True):
        readers = one.from_text
        question.take(
            connection,
            [
                tuple([None if text is None else read(text) for read, text in zip(readers, row, strict=True)])
                for row in (orjson.loads(rows) if rows else ())
            ],
        )


@lru_cache(maxsize=256)
def _at_once(written: tuple[_Written, ...]) -> str:
    """The statement that asks these together. The same ones are asked together again and again."""
    parts = []
    for number, one in enumerate(written):
        names = [f"c{place}" for place in range(len(one.from_text))]
        texts = ", ".join(f"{name}::text" for name in names)
        # Written by Django, and names made here.
        parts.append(
            f"(SELECT json_agg(json_build_array({texts}))::text FROM ({one.sql}) AS q{number} ({', '.join(names)}))"  # noqa: S608  see above
        )
    return f"SELECT {', '.join(parts)}"


def first_row(statement: Statement) -> tuple[Any, ...] | None:
    """The first row that a statement answers, as the database driver gives it; None where it answers none."""
    rows = run(database(), [statement], fetch=True)[0]
    return rows[0] if rows else None


def database() -> BaseDatabaseWrapper:
    """The connection of this thread to the database."""
    return connections[DEFAULT_DB_ALIAS]


def run(connection: BaseDatabaseWrapper, statements: Sequence[Statement], *, fetch: bool) -> list[list[Any]]:
    """Run them in this order, on PostgreSQL in one round trip; the rows of each, where they are fetched."""
    connection.validate_no_broken_transaction()
    connection.ensure_connection()
    if connection.vendor == POSTGRESQL:
        return _run_in_pipeline(connection, statements, fetch)
    rows: list[list[Any]] = []
    with connection.cursor() as cursor:
        for sql, params, _ in statements:
            cursor.execute(sql, params)
            rows.append(cursor.fetchall() if fetch else [])
    return rows


def _run_in_pipeline(connection: Any, statements: Sequence[Statement], fetch: bool) -> list[list[Any]]:
    with connection.wrap_database_errors:
        if len(statements) == 1:
            cursor = _execute(connection, statements[0])
            return [cursor.fetchall() if fetch else []]
        with connection.connection.pipeline() as pipeline:
            cursors = [_execute(connection, statement) for statement in statements]
            pipeline.sync()
            return [cursor.fetchall() if fetch else [] for cursor in cursors]


def _execute(connection: Any, statement: Statement) -> Any:
    """A cursor of psycopg's own that has run it. Unlike Django's, it leaves the parameters to the server, without which
    no statement can be prepared, and takes SQL as PostgreSQL writes it, so that nothing is parsed again."""
    cursor = RawCursor(connection.connection)
    send: Callable[..., None] = partial(_send, prepare=None if statement.comes_again else False)
    for wrapper in reversed(connection.execute_wrappers):  # as Django's own cursor asks them
        send = partial(wrapper, send)
    send(statement.sql, statement.params, False, {"connection": connection, "cursor": cursor})
    if connection.queries_logged:
        said = connection.ops.compose_sql(statement.sql, statement.params)
        connection.queries_log.append({"sql": said, "time": "not told: not by Django's own cursor"})
    return cursor


def _send(sql: str, params: Any, many: bool, context: Any, *, prepare: bool | None) -> None:
    context["cursor"].execute(_numbered(sql), params, prepare=prepare)


@lru_cache(maxsize=1024)
def _numbered(sql: str) -> bytes:
    """SQL as PostgreSQL itself reads it: places are numbered, and a percent sign is one."""
    numbers = count(1)
    return _PLACE.sub(lambda found: f"${next(numbers)}" if found[0] == "%s" else "%", sql).encode()


def _adapted(connection: BaseDatabaseWrapper, value: Param) -> Any:
    """The value as Django would hand it to this database for a column of its type."""
    if isinstance(value, UUID):
        return value if connection.features.has_native_uuid_field else value.hex
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, date):
        return connection.ops.adapt_datefield_value(value)
    if isinstance(value, Decimal) and connection.vendor != POSTGRESQL:
        return decimal_text(value)
    return value


def _kind(column: Any) -> str:
    found = column.output_field
    while found.is_relation:
        found = found.target_field  # a foreign key holds what it points to
    kind: str = found.get_internal_type()
    return kind if kind in _FROM_TEXT else "TextField"


_FROM_TEXT: Final[dict[str, Callable[[str], Any]]] = {
    "UUIDField": UUID,
    "DateTimeField": lambda text: datetime.fromisoformat(text).astimezone(UTC),
    "DateField": date.fromisoformat,
    "BooleanField": lambda text: text == "true",
    "BinaryField": lambda text: bytes.fromhex(text.removeprefix("\\x")),
    "TextField": str,
    **dict.fromkeys(
        (
            "AutoField",
            "BigAutoField",
            "BigIntegerField",
            "IntegerField",
            "PositiveBigIntegerField",
            "PositiveIntegerField",
            "PositiveSmallIntegerField",
            "SmallIntegerField",
        ),
        int,
    ),
}


def _mark(kind: type[Param], number: int) -> Param:
    if kind is UUID:
        return UUID(int=_MARK + number)
    if kind is datetime:
        return datetime(1801, 1, 1, 1, 1, 1, 1, tzinfo=UTC) + timedelta(days=number)
    if kind is date:
        return date(1701, 1, 1) + timedelta(days=number)
    if kind is Decimal:
        return Decimal(_MARK + number).scaleb(-18)
    return f"\x01{number}"
