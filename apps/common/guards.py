"""Guards: what the database itself refuses, whoever asks. Installed by migrations, on both databases.

    operations = [
        migrations.CreateModel("Fill", ...),
        InstallGuards("trades_fill", guards=[append_only()]),
    ]

The last InstallGuards of a table says all its guards. Django rebuilds an altered table on SQLite and its triggers
vanish without a word: a later migration of that table lists InstallGuards first and last, so that both directions end
guarded. A table that another table's condition asks about cannot be rebuilt while that condition stands: lift it first
with `InstallGuards("other_table", guards=[])` and install it again at the end. `missing_guards` finds what was
forgotten.

On SQLite a guarded table also refuses whatever would replace a row in silence, so `ignore_conflicts` raises
IntegrityError there when a row is in the way: catch it in a savepoint instead.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from apps.common import guard_triggers
from apps.common.guard_triggers import Refusal


@dataclass(frozen=True)
class Guard:
    """A named set of refusals on one table. A refused statement raises IntegrityError "guard <name>: ..."."""

    name: str
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True)
class GuardProblem:
    """A guard that is not as the migrations left it. `problem` is missing, altered or unexpected."""

    table: str
    trigger: str
    problem: str

    def __str__(self) -> str:
        return f"{self.problem} trigger {self.trigger} on {self.table}"


def append_only(*, name: str = "append_only") -> Guard:
    """Rows are added and nothing else: no UPDATE, DELETE or TRUNCATE, no replacing."""
    return Guard(name, tuple(Refusal(name, event) for event in ("UPDATE", "DELETE", "TRUNCATE")))


def no_delete(*, name: str = "no_delete") -> Guard:
    """Rows change but never go: no DELETE or TRUNCATE."""
    return Guard(name, (Refusal(name, "DELETE"), Refusal(name, "TRUNCATE")))


def frozen_when(condition: str, *, name: str = "frozen") -> Guard:
    """UPDATE and DELETE are refused where the condition on OLD holds; TRUNCATE always.

    Written with `{row}` instead of OLD, the condition is asked of the old row and of the new one, and INSERT is refused
    too: `EXISTS (SELECT 1 FROM policies_policyversion v WHERE v.id = {row}.version_id AND v.state <> 'DRAFT')` keeps
    rules from being changed in, taken out of, moved into or added to a version that left draft.
    """
    if "{row}" not in condition:
        return Guard(
            name, (Refusal(name, "UPDATE", condition), Refusal(name, "DELETE", condition), Refusal(name, "TRUNCATE"))
        )
    old, new = condition.replace("{row}", "OLD"), condition.replace("{row}", "NEW")
    return Guard(
        name,
        (
            Refusal(name, "INSERT", new),
            Refusal(name, "UPDATE", f"({old}) OR ({new})"),
            Refusal(name, "DELETE", old),
            Refusal(name, "TRUNCATE"),
        ),
    )


def frozen_columns(*columns: str, when: str | None = None, name: str = "columns") -> Guard:
    """These columns never change after the insert, or never where `when` (a condition on OLD) holds."""
    if not columns:
        raise ValueError("Name the columns that are frozen.")
    changed = " OR ".join(f'OLD."{column}" IS DISTINCT FROM NEW."{column}"' for column in columns)
    return Guard(name, (Refusal(name, "UPDATE", f"({when}) AND ({changed})" if when else changed),))


def true_copies(*, name: str = "true_copies", **sources: str) -> Guard:
    """A new row says in each of these columns (NOT NULL) what its source says, a SELECT over NEW: a CHECK may trust it.

    Neither a copy nor its source may change afterwards; other guards hold that.
    """
    differs = (f'NEW."{column}" IS DISTINCT FROM ({source})' for column, source in sources.items())
    return Guard(name, (Refusal(name, "INSERT", " OR ".join(differs)),))


def transitions(
    column: str, pairs: Iterable[tuple[str, str]], *, initial: Sequence[str] = (), name: str | None = None
) -> Guard:
    """The column changes only along these pairs (from, to); new rows begin in one of `initial`, if any are named."""
    name = name or f"{column}_moves"
    allowed = " OR ".join(
        f'(OLD."{column}" = {_literal(old)} AND NEW."{column}" = {_literal(new)})' for old, new in sorted(set(pairs))
    )
    moved = f'OLD."{column}" IS DISTINCT FROM NEW."{column}" AND NOT COALESCE(({allowed or "1 = 0"}), 1 = 0)'
    refusals = [Refusal(name, "UPDATE", moved)]
    if initial:
        begins = ", ".join(_literal(state) for state in initial)
        refusals.append(Refusal(name, "INSERT", f'NEW."{column}" NOT IN ({begins})'))
    return Guard(name, tuple(refusals))


class InstallGuards(Operation):
    """Makes these the guards of the table, all of them; none lifts them. Reversing puts back the ones before."""

    reduces_to_sql = True
    reversible = True

    def __init__(self, table: str, guards: Sequence[Guard]) -> None:
        self.table = table
        self.guards = tuple(guards)
        if len({guard.name for guard in guards}) != len(self.guards):
            raise ValueError(f"Two guards of {table} have the same name.")
        for refusal in self.refusals:
            guard_triggers.trigger_name(table, refusal)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        return tuple(refusal for guard in self.guards for refusal in guard.refusals)

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Guards are no part of the models' state."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        self._replace(schema_editor, self.refusals)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        history = [item for _, item in _installations(MigrationLoader(None)) if item.table == self.table]
        before = [item for item, after in zip(history, history[1:], strict=False) if after is self]
        self._replace(schema_editor, before[0].refusals if before else ())

    def describe(self) -> str:
        names = ", ".join(guard.name for guard in self.guards) or "none"
        return f"Guards of {self.table}: {names}"

    def _replace(self, schema_editor: BaseDatabaseSchemaEditor, refusals: Sequence[Refusal]) -> None:
        connection = schema_editor.connection
        if connection.vendor == "sqlite":
            # The triggers are derived from the unique indexes, and Django keeps those back until the migration ends.
            pending = list(schema_editor.deferred_sql)
            schema_editor.deferred_sql.clear()
            for statement in pending:
                schema_editor.execute(statement, None)
        else:
            # Rows this migration wrote may have checks waiting for the commit, and PostgreSQL alters no such table.
            schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE", None)
            schema_editor.execute("SET CONSTRAINTS ALL DEFERRED", None)
        for sql in guard_triggers.drop_statements(connection, self.table):
            schema_editor.execute(sql, None)
        for sql in guard_triggers.create_statements(connection, self.table, refusals):
            schema_editor.execute(sql, None)


def expected_guards(connection: BaseDatabaseWrapper) -> dict[str, InstallGuards]:
    """For each table the last InstallGuards among the migrations applied to this database."""
    loader = MigrationLoader(connection)
    return {item.table: item for node, item in _installations(loader) if node in (loader.applied_migrations or {})}


def always_refused(connection: BaseDatabaseWrapper) -> dict[str, frozenset[str]]:
    """Guarded table -> the kinds of statement (UPDATE, DELETE, TRUNCATE) that its guards refuse whatever the row."""
    return {
        table: refused
        for table, item in expected_guards(connection).items()
        if (refused := frozenset(refusal.event for refusal in item.refusals if refusal.condition is None))
    }


def missing_guards(connection: BaseDatabaseWrapper) -> list[GuardProblem]:
    """Every trigger that is missing, altered (its text too), or stands unexpectedly on a guarded table."""
    problems = []
    for table, item in sorted(expected_guards(connection).items()):
        wanted = guard_triggers.expected(connection, table, item.refusals)
        standing = guard_triggers.found(connection, table)
        for trigger in sorted(wanted.keys() | standing.keys()):
            if trigger not in standing:
                problems.append(GuardProblem(table, trigger, "missing"))
            elif trigger not in wanted:
                problems.append(GuardProblem(table, trigger, "unexpected"))
            elif wanted[trigger] != standing[trigger]:
                problems.append(GuardProblem(table, trigger, "altered"))
    return problems


def unapplied_migrations(connection: BaseDatabaseWrapper) -> list[str]:
    """The migrations this code has and this database has not, as "app.name"."""
    loader = MigrationLoader(connection)
    applied = loader.applied_migrations or {}
    return sorted(f"{app}.{name}" for app, name in loader.graph.nodes if (app, name) not in applied)


def _installations(loader: MigrationLoader) -> Iterator[tuple[tuple[str, str], InstallGuards]]:
    """Every InstallGuards of the migration graph, in the order in which migrations run."""
    seen: set[tuple[str, str]] = set()
    for leaf in sorted(loader.graph.leaf_nodes()):
        for node in loader.graph.forwards_plan(leaf):
            if node not in seen:
                seen.add(node)
                yield from ((node, item) for item in _unpacked(loader.graph.nodes[node].operations))


def _unpacked(operations: Iterable[Operation]) -> Iterator[InstallGuards]:
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            yield from _unpacked(operation.database_operations)
        elif isinstance(operation, InstallGuards):
            yield operation


def _literal(text: str) -> str:
    return "'" + str(text).replace("'", "''") + "'"
