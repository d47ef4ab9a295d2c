"""The past of a desk, many times over, in SQL: what the services made is copied with new ids, further and further back.

Only for a database that is thrown away. The guards of its tables are lifted and do not come back; its foreign keys do,
and are checked over every row. Of the audit log the copies keep the columns and not the chain.

A copy's UUIDs are derived from those of the original and its number, so that what pointed to each other still does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.apps import apps
from django.db import connection, models

# Each after what it points to.
CHAIN: Final = (
    "policies.Decision",
    "trades.Proposal",
    "trades.ProposalFacts",
    "approvals.Vote",
    "trades.Authority",
    "trades.Order",
    "trades.Fill",
    "trades.Inquiry",
    "trades.Outcome",
    "policies.Reservation",
    "policies.ReservedAmount",
    "lessons.Case",
    "lessons.CaseTag",
    "lessons.CaseViolation",
    "lessons.Lesson",
    "lessons.Recall",
    "lessons.RecallItem",
    "lessons.IndexEntry",
    "audit.Event",
)
# A desk asks so often: a copy is so much older than the one before.
UNIT_MINUTES: Final = 300
# Numbers of copies are further apart than the originals have rows.
STRIDE: Final = 10_000
# For sorting what an index is built of.
MEMORY: Final = "1GB"
UUID_TEXT: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
FUNCTIONS: Final = f"""
CREATE OR REPLACE FUNCTION scale_id(uuid, bigint) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT md5($1::text || $2)::uuid $$;
CREATE OR REPLACE FUNCTION scale_text(text, bigint) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT regexp_replace($1, '{UUID_TEXT}',
        coalesce(md5(substring($1 from '{UUID_TEXT}') || $2)::uuid::text, '')) $$;
"""  # noqa: S608  a constant


@dataclass(frozen=True)
class Sizes:
    """How many rows there are to be. What is closed follows from the proposals: two outcomes for twenty of them."""

    proposals: int
    events: int
    candles: int


@dataclass
class Multiplier:
    """Takes what there is now as the original. `unit` is how many proposals that is."""

    unit: int = 0
    copies: int = 0

    def take(self) -> "Multiplier":
        """Remember the rows that are there."""
        for sql in FUNCTIONS, "CREATE SCHEMA scale":
            _run(sql)
        _without_log()
        for model in _chain():
            _run(f'CREATE TABLE scale."{model._meta.db_table}" AS SELECT * FROM "{model._meta.db_table}"')  # noqa: S608  names of models
        self.unit = _count("SELECT count(*) FROM scale.trades_proposal")
        _run("CREATE TABLE scale.ids AS SELECT id::text FROM scale.trades_proposal")
        for table in ("trades_order", "trades_outcome", "lessons_case", "policies_decision"):
            _run(f"INSERT INTO scale.ids SELECT id::text FROM scale.{table}")  # noqa: S608  names of tables
        # What is said of people, keys and connections is no part of any proposal.
        subject = f"substring(subject from '{UUID_TEXT}')"
        named = "(SELECT id FROM scale.ids)"
        _run(f"DELETE FROM scale.audit_event WHERE {subject} IS NULL OR {subject} NOT IN {named}")  # noqa: S608  constants
        return self

    def grow(self, sizes: Sizes) -> None:
        """Copies until there are so many proposals, candles and events; then the foreign keys again, and ANALYZE."""
        target = sizes.proposals // self.unit
        tables = [model._meta.db_table for model in _chain()]
        with _bare(tables):
            for model in _chain():
                _run(copy_statement(model, first=self.copies + 1, last=target))
            self.copies = target
            _more_events(sizes.events)
        _candles(sizes.candles)
        for table in (*tables, "quotes_candle"):
            _run(f'ANALYZE "{table}"')


def copy_statement(model: type[models.Model], *, first: int, last: int) -> str:
    """The INSERT of these copies of a table's originals, the oldest first."""
    table = model._meta.db_table
    columns = [field.column for field in model._meta.concrete_fields]
    values = [copied(field) for field in model._meta.concrete_fields]
    names = ", ".join(f'"{column}"' for column in columns)
    return (
        # Each copy by itself, which keeps their order: sorting all of them would write them to disk once more.
        f'INSERT INTO "{table}" ({names}) OVERRIDING SYSTEM VALUE SELECT {", ".join(values)} '  # noqa: S608  names of models
        f"FROM generate_series({last}, {first}, -1) AS k CROSS JOIN LATERAL "
        f'(SELECT * FROM scale."{table}" WHERE k IS NOT NULL ORDER BY "{columns[0]}") AS o'
    )


def copied(field: "models.Field[Any, Any]") -> str:
    """A column of a copy, as SQL over the original `o` and the number of the copy `k`."""
    own = f'o."{field.column}"'
    target = field.target_field if isinstance(field, models.ForeignKey) else field
    if isinstance(field, models.ForeignKey) and field.related_model not in _chain():
        return own
    if isinstance(target, models.UUIDField):
        return own if field.name in PEOPLE else f"scale_id({own}, k)"
    if isinstance(target, models.AutoField | models.BigAutoField):
        return f"{own} - k * {STRIDE}"
    if field.name == "seq":
        return f"{own} + k * {STRIDE}"
    if isinstance(field, models.DateTimeField):
        return f"{own} - k * interval '{UNIT_MINUTES} minutes'"
    if field.name in NAMED:
        return f"scale_text({own}, k)"
    if field.name in NUMBERED:
        return f"CASE WHEN {own} = '' THEN '' ELSE left({own}, 40) || '-' || k END"
    if field.name == "digest":
        return f"md5({own} || k) || md5(k || {own})"
    return own


# Ids of people; texts with the id of a row in them; texts that are unique.
PEOPLE: Final = {"proposer_id"}
NAMED: Final = {"subject", "source", "source_id", "stream", "client_order_id"}
NUMBERED: Final = {"idempotency_key", "venue_order_id", "venue_fill_id"}


def _more_events(count: int) -> None:
    """Of other things that happen: until there are so many in all."""
    missing = count - _count("SELECT count(*) FROM audit_event")
    if missing <= 0:
        return
    names = "stream, seq, kind, actor_kind, actor_id, subject, body, prev_hash, hash, recorded_at"
    _run(
        f"INSERT INTO audit_event (id, {names}) OVERRIDING SYSTEM VALUE "  # noqa: S608  numbers
        f"SELECT low.id - n, 'scale', n + low.seq, o.kind, o.actor_kind, o.actor_id, 'scale:' || n, o.body, "
        "o.prev_hash, o.hash, low.recorded_at - n * interval '1 second' "
        f"FROM generate_series(1, {missing}) AS n, "
        "(SELECT * FROM scale.audit_event ORDER BY id LIMIT 1) AS o, (SELECT min(id) AS id, min(recorded_at) AS "
        "recorded_at, coalesce(max(seq) FILTER (WHERE stream = 'scale'), 0) AS seq FROM audit_event) AS low"
    )


def _candles(count: int) -> None:
    """Older minutes of the series that is there."""
    missing = count - _count("SELECT count(*) FROM quotes_candle")
    if missing > 0:
        fields = [field for field in apps.get_model("quotes.Candle")._meta.concrete_fields if field.column]
        names = ", ".join(f'"{field.column}"' for field in fields)
        values = ", ".join(
            f"o.\"{field.column}\" - n * interval '1 minute'"
            if isinstance(field, models.DateTimeField)
            else f'o."{field.column}"'
            for field in fields
        )
        _run(
            f"INSERT INTO quotes_candle ({names}) SELECT {values} FROM generate_series({missing}, 1, -1) AS n, "  # noqa: S608  names of fields
            "(SELECT * FROM quotes_candle WHERE series_id = (SELECT id FROM quotes_candleseries WHERE seconds = 60 "
            "ORDER BY id LIMIT 1) ORDER BY start LIMIT 1) AS o"
        )


def _without_log() -> None:
    """No table of the database is written to the write-ahead log from now on: a crash would empty them all."""
    keys = _rows(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'f' AND connamespace = 'public'::regnamespace",
        [],
    )
    tables = _rows(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = %s::regnamespace", ["public"]
    )
    _run("SET CONSTRAINTS ALL IMMEDIATE")
    for table, name, _definition in keys:
        _run(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    for (table,) in tables:
        _run(f"ALTER TABLE {table} SET UNLOGGED")
    for table, name, definition in keys:
        _run(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')


class _bare:
    """These tables without guards, foreign keys and indexes for reading. The last two come back."""

    def __init__(self, tables: Sequence[str]) -> None:
        self._tables = list(tables)
        self._again: list[str] = []

    def __enter__(self) -> None:
        _run("SET CONSTRAINTS ALL IMMEDIATE")
        for setting in "work_mem", "maintenance_work_mem":
            _run(f"SET {setting} = '{MEMORY}'")
        for table in self._tables:
            _run(f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
        keys = _rows(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE contype = 'f' AND conrelid = ANY(%s::regclass[])",
            [self._tables],
        )
        indexes = _rows(
            "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i WHERE i.indrelid = "
            "ANY(%s::regclass[]) AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)",
            [self._tables],
        )
        for table, name, definition in keys:
            _run(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
            self._again.append(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
        for name, definition in indexes:
            _run(f"DROP INDEX {name}")
            self._again.append(definition)

    def __exit__(self, *raised: object) -> None:
        if raised[0] is None:
            # The indexes first: the foreign keys are checked by them.
            for sql in reversed(self._again):
                _run(sql)
        for setting in "work_mem", "maintenance_work_mem":
            _run(f"RESET {setting}")


def _chain() -> list[type[models.Model]]:
    return [apps.get_model(name) for name in CHAIN]


def _run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(sql)


def _rows(sql: str, values: list[object]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def _count(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])
