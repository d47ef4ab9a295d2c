"""The SQL behind `guards`: triggers of SQLite and PostgreSQL, written and read back. Used by `guards` only."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper

NAME_CHARS_MAX = 63  # PostgreSQL cuts longer names off without a word
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII)

# pg_trigger.tgtype: BEFORE is 2, FOR EACH ROW is 1, and one bit for each event.
_PG_TYPE = {"INSERT": 1 | 2 | 4, "DELETE": 1 | 2 | 8, "UPDATE": 1 | 2 | 16, "TRUNCATE": 2 | 32}
_PG_FOUND = """
SELECT t.tgname, t.tgtype, t.tgenabled, p.proname, l.lanname, p.prosecdef, t.tgqual IS NULL, t.tgattr::text, p.prosrc
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang
WHERE t.tgrelid = to_regclass(%s) AND NOT t.tgisinternal
"""


@dataclass(frozen=True)
class Refusal:
    """One event on one table that a guard refuses, always or where `condition` (SQL over OLD and NEW) holds.

    A condition that comes out NULL refuses: in doubt, no.
    """

    guard: str
    event: str
    condition: str | None = None


def trigger_name(table: str, refusal: Refusal) -> str:
    """The trigger's name. Raises ValueError for one that PostgreSQL would cut off."""
    name = f"guard_{table}_{refusal.guard}_{refusal.event.lower()}"
    if len(name) > NAME_CHARS_MAX or not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"{name} must be a plain lower-case name of at most {NAME_CHARS_MAX} characters.")
    return name


def expected(connection: BaseDatabaseWrapper, table: str, refusals: Sequence[Refusal]) -> dict[str, str]:
    """Trigger name -> what `found` returns where all is as it should be."""
    if connection.vendor == "postgresql":
        return {trigger_name(table, refusal): _pg_definition(table, refusal) for refusal in refusals}
    return {
        trigger_name(table, refusal): _sqlite_create(table, refusal)
        for refusal in (*refusals, *_sqlite_replacements(connection, table, refusals))
        if refusal.event != "TRUNCATE"
    }


def found(connection: BaseDatabaseWrapper, table: str) -> dict[str, str]:
    """Trigger name -> its definition, for every trigger that stands on the table now, ours or not."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_PG_FOUND, [connection.ops.quote_name(table)])
            return {row[0]: _pg_line(*row[1:]) for row in cursor.fetchall()}
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [table])
        return {str(name): str(sql) for name, sql in cursor.fetchall()}


def create_statements(connection: BaseDatabaseWrapper, table: str, refusals: Sequence[Refusal]) -> list[str]:
    if connection.vendor == "postgresql":
        return [statement for refusal in refusals for statement in _pg_create(table, refusal)]
    return list(expected(connection, table, refusals).values())


def drop_statements(connection: BaseDatabaseWrapper, table: str) -> list[str]:
    """Drops every guard that stands on the table, whichever migration put it there; other triggers stay."""
    names = sorted(name for name in found(connection, table) if name.startswith(f"guard_{table}_"))
    if connection.vendor != "postgresql":
        return [f'DROP TRIGGER "{name}"' for name in names]
    return [sql for name in names for sql in (f'DROP TRIGGER "{name}" ON "{table}"', f'DROP FUNCTION "{name}"()')]


def _message(table: str, refusal: Refusal) -> str:
    return f"guard {refusal.guard}: {refusal.event} on {table} is refused"


def _sqlite_create(table: str, refusal: Refusal) -> str:
    when = ""
    if refusal.condition is not None:
        # The same operator under the name that SQLite before 3.39 knows.
        condition = refusal.condition.replace(" IS DISTINCT FROM ", " IS NOT ")
        when = f" WHEN COALESCE(({condition}), 1)"
    return (
        f'CREATE TRIGGER "{trigger_name(table, refusal)}" BEFORE {refusal.event} ON "{table}"{when} '
        f"BEGIN SELECT RAISE(ABORT, '{_message(table, refusal)}'); END"
    )


def _sqlite_replacements(connection: BaseDatabaseWrapper, table: str, refusals: Sequence[Refusal]) -> list[Refusal]:
    """INSERT OR REPLACE and UPDATE OR REPLACE delete the row in their way, and no DELETE trigger fires.

    So a row that would be in the way of any unique key, or of the rowid behind every table, refuses the statement.
    """
    if not refusals:
        return []
    same = " OR ".join(["held.rowid = NEW.rowid", *_sqlite_unique_keys(connection, table)])
    # The table's name is a migration author's, checked by trigger_name.
    held = f'EXISTS (SELECT 1 FROM "{table}" AS held WHERE '  # noqa: S608  no input of anybody reaches this text
    return [
        Refusal("replace", "INSERT", f"{held}({same}))"),
        Refusal("replace", "UPDATE", f"{held}held.rowid <> OLD.rowid AND ({same}))"),
    ]


def _sqlite_unique_keys(connection: BaseDatabaseWrapper, table: str) -> list[str]:
    keys = []
    with connection.cursor() as cursor:
        cursor.execute(f'PRAGMA table_info("{table}")')
        columns = [str(row[1]) for row in cursor.fetchall()]
        cursor.execute(f'PRAGMA index_list("{table}")')
        indexes = [str(row[1]) for row in cursor.fetchall() if row[2]]
        for index in indexes:
            cursor.execute(f'PRAGMA index_info("{index}")')
            names = [row[2] for row in cursor.fetchall()]
            if None in names:
                raise ValueError(f"{table}: a unique index on an expression cannot be guarded; use plain columns.")
            cursor.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND name = %s", [index])
            created = cursor.fetchone()
            where = _sqlite_index_condition(str(created[0] or "") if created else "", columns)
            equal = " AND ".join(f'held."{name}" = NEW."{name}"' for name in sorted(names))
            keys.append(f"({equal}{where})")
    return sorted(keys)


def _sqlite_index_condition(created: str, columns: Sequence[str]) -> str:
    """The condition of a partial unique index, asked of both rows: only then are they in each other's way."""
    *_, condition = re.split(r"\sWHERE\s", created, maxsplit=1, flags=re.IGNORECASE)
    if condition == created:
        return ""
    quoted = re.compile('"(' + "|".join(re.escape(column) for column in columns) + ')"')
    held, new = (quoted.sub(rf'{side}."\1"', condition) for side in ("held", "NEW"))
    return f" AND ({held}) AND ({new})"


def _pg_create(table: str, refusal: Refusal) -> list[str]:
    name = trigger_name(table, refusal)
    scope = "STATEMENT" if refusal.event == "TRUNCATE" else "ROW"
    body = f"$guard${_pg_body(table, refusal)}$guard$"
    return [
        f'CREATE OR REPLACE FUNCTION "{name}"() RETURNS trigger LANGUAGE plpgsql AS {body}',
        f'CREATE TRIGGER "{name}" BEFORE {refusal.event} ON "{table}" FOR EACH {scope} EXECUTE FUNCTION "{name}"()',
        # ALWAYS: session_replication_role = replica does not silence it.
        f'ALTER TABLE "{table}" ENABLE ALWAYS TRIGGER "{name}"',
    ]


def _pg_body(table: str, refusal: Refusal) -> str:
    refuse = f"RAISE EXCEPTION '{_message(table, refusal)}' USING ERRCODE = 'integrity_constraint_violation';"
    if refusal.condition is None:
        return f"BEGIN {refuse} END"
    kept = "OLD" if refusal.event == "DELETE" else "NEW"
    return f"BEGIN IF COALESCE(({refusal.condition}), TRUE) THEN {refuse} END IF; RETURN {kept}; END"


def _pg_definition(table: str, refusal: Refusal) -> str:
    return _pg_line(
        _PG_TYPE[refusal.event], "A", trigger_name(table, refusal), "plpgsql", False, True, "", _pg_body(table, refusal)
    )


def _pg_line(
    kind: int,
    enabled: str | bytes,
    function: str,
    language: str,
    definer: bool,
    unconditional: bool,
    columns: str,
    body: str,
) -> str:
    mode = enabled.decode() if isinstance(enabled, bytes) else enabled
    return f"{kind} {mode} {function} {language} {definer} {unconditional} [{columns}] {body}"
