"""What the database refuses, on whichever database the tests run."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.migrations.loader import MigrationLoader

from apps.common import guard_triggers
from apps.common.guards import (
    Guard,
    InstallGuards,
    append_only,
    expected_guards,
    frozen_columns,
    frozen_when,
    missing_guards,
    no_delete,
    transitions,
    unapplied_migrations,
)

Install = Callable[[str, list[Guard]], InstallGuards]
on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite replaces rows in silence")
on_postgres = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="PostgreSQL only")


def run(sql: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


def assert_refused(sql: str, guard: str) -> None:
    with pytest.raises(IntegrityError, match=f"guard {guard}: "):
        run(sql)


@pytest.fixture
def tables(db: None) -> Iterator[None]:
    """A version with rules, and an order: the shapes that are guarded."""
    run("CREATE TABLE g_version (id integer PRIMARY KEY, state varchar(10), note varchar(20))")
    run("CREATE TABLE g_rule (id integer PRIMARY KEY, version_id integer, text varchar(20), slot integer, "
        "UNIQUE (version_id, slot))")  # fmt: skip
    run('CREATE UNIQUE INDEX g_rule_live ON g_rule (text) WHERE "slot" IN (1, 2)')
    yield


@pytest.mark.usefixtures("tables")
class TestAppendOnly:
    def test_rows_are_added_and_nothing_else(self, install: Install) -> None:
        install("g_rule", [append_only()])
        run("INSERT INTO g_rule VALUES (1, 1, 'a', 1)")
        run("INSERT INTO g_rule VALUES (2, 1, 'b', 2)")
        assert_refused("UPDATE g_rule SET text = 'z'", "append_only")
        assert_refused("UPDATE g_rule SET text = 'z' WHERE id = 1", "append_only")
        assert_refused("DELETE FROM g_rule", "append_only")
        assert_refused("DELETE FROM g_rule WHERE id = 2", "append_only")
        run("UPDATE g_rule SET text = 'z' WHERE id = 9")  # touches no row

    def test_an_upsert_is_an_update(self, install: Install) -> None:
        install("g_rule", [append_only()])
        run("INSERT INTO g_rule VALUES (1, 1, 'a', 1)")
        with pytest.raises(IntegrityError, match="guard"):
            run("INSERT INTO g_rule VALUES (1, 1, 'z', 1) ON CONFLICT (id) DO UPDATE SET text = 'z'")

    @on_sqlite
    @pytest.mark.parametrize(
        "row",
        [
            "(id, version_id, text, slot) VALUES (1, 9, 'z', 9)",
            "(id, version_id, text, slot) VALUES (9, 1, 'z', 1)",
            "(id, version_id, text, slot) VALUES (9, 9, 'a', 2)",
            "(rowid, version_id, text, slot) VALUES (1, 9, 'z', 9)",
        ],
    )
    def test_no_row_is_replaced_whichever_key_is_in_the_way(self, install: Install, row: str) -> None:
        install("g_rule", [append_only()])
        run("INSERT INTO g_rule VALUES (1, 1, 'a', 1)")
        assert_refused(f"INSERT OR REPLACE INTO g_rule {row}", "replace")
        assert_refused(f"REPLACE INTO g_rule {row}", "replace")
        run("INSERT OR REPLACE INTO g_rule VALUES (2, 1, 'b', 2)")  # in nobody's way

    @on_sqlite
    def test_no_row_is_replaced_through_an_update(self, install: Install) -> None:
        install("g_rule", [no_delete()])
        run("INSERT INTO g_rule VALUES (1, 1, 'a', 1)")
        run("INSERT INTO g_rule VALUES (2, 1, 'b', 2)")
        assert_refused("UPDATE OR REPLACE g_rule SET id = 1 WHERE id = 2", "replace")
        assert_refused("UPDATE OR REPLACE g_rule SET slot = 1 WHERE id = 2", "replace")
        run("UPDATE g_rule SET text = 'c', slot = 5 WHERE id = 2")

    def test_a_partial_key_counts_only_where_it_holds(self, install: Install) -> None:
        install("g_rule", [append_only()])
        run("INSERT INTO g_rule VALUES (1, 1, 'a', 1)")
        run("INSERT INTO g_rule VALUES (2, 2, 'a', 7)")
        with pytest.raises(IntegrityError):
            run("INSERT INTO g_rule VALUES (3, 3, 'a', 2)")

    @pytest.mark.postgres
    @on_postgres
    def test_truncate_is_refused(self, install: Install) -> None:
        install("g_rule", [append_only()])
        assert_refused("TRUNCATE g_rule", "append_only")
        assert_refused("TRUNCATE g_rule CASCADE", "append_only")
        install("g_version", [no_delete()])
        assert_refused("TRUNCATE g_version", "no_delete")

    @pytest.mark.postgres
    @on_postgres
    def test_the_replica_role_silences_no_guard(self, install: Install) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
            if not cursor.fetchone()[0]:
                pytest.skip("only a superuser may try this")
        install("g_rule", [append_only()])
        run("INSERT INTO g_rule VALUES (1, 1, 'a', 1)")
        assert_refused("SET LOCAL session_replication_role = replica; DELETE FROM g_rule", "append_only")


@pytest.mark.usefixtures("tables")
class TestFrozen:
    CONDITION = "EXISTS (SELECT 1 FROM g_version v WHERE v.id = {row}.version_id AND v.state <> 'DRAFT')"

    @pytest.fixture(autouse=True)
    def versions(self, tables: None) -> None:
        run("INSERT INTO g_version VALUES (1, 'DRAFT', 'a')")
        run("INSERT INTO g_version VALUES (2, 'DRAFT', 'b')")
        run("INSERT INTO g_rule VALUES (1, 1, 'a', 1)")
        run("INSERT INTO g_rule VALUES (2, 2, 'b', 1)")

    def test_rules_of_a_version_that_left_draft_stay_as_they_are(self, install: Install) -> None:
        install("g_rule", [frozen_when(self.CONDITION)])
        run("UPDATE g_rule SET text = 'c' WHERE id = 1")
        run("UPDATE g_version SET state = 'ACTIVE' WHERE id = 1")
        assert_refused("UPDATE g_rule SET text = 'd' WHERE id = 1", "frozen")
        assert_refused("DELETE FROM g_rule WHERE id = 1", "frozen")
        assert_refused("UPDATE g_rule SET version_id = 2, slot = 3 WHERE id = 1", "frozen")
        assert_refused("UPDATE g_rule SET version_id = 1, slot = 3 WHERE id = 2", "frozen")
        assert_refused("INSERT INTO g_rule VALUES (5, 1, 'e', 5)", "frozen")
        run("UPDATE g_rule SET text = 'd' WHERE id = 2")
        run("INSERT INTO g_rule VALUES (5, 2, 'e', 5)")
        run("DELETE FROM g_rule WHERE id = 2")

    def test_a_condition_on_the_old_row_alone_lets_rows_in(self, install: Install) -> None:
        install("g_rule", [frozen_when("OLD.slot = 1")])
        run("INSERT INTO g_rule VALUES (5, 5, 'e', 1)")
        assert_refused("DELETE FROM g_rule WHERE id = 5", "frozen")

    def test_a_condition_without_an_answer_refuses(self, install: Install) -> None:
        install("g_version", [frozen_when("OLD.state <> 'DRAFT'")])
        run("UPDATE g_version SET note = 'n' WHERE id = 1")
        run("UPDATE g_version SET state = NULL WHERE id = 1")
        assert_refused("UPDATE g_version SET note = 'm' WHERE id = 1", "frozen")

    def test_columns_stay_always_or_under_a_condition(self, install: Install) -> None:
        install("g_version", [frozen_columns("id"), frozen_columns("note", when="OLD.state <> 'DRAFT'", name="note")])
        run("UPDATE g_version SET note = 'x', id = 1 WHERE id = 1")
        assert_refused("UPDATE g_version SET id = 7 WHERE id = 1", "columns")
        run("UPDATE g_version SET state = 'ACTIVE' WHERE id = 1")
        assert_refused("UPDATE g_version SET note = 'y' WHERE id = 1", "note")
        assert_refused("UPDATE g_version SET note = NULL WHERE id = 1", "note")
        run("UPDATE g_version SET state = 'RETIRED' WHERE id = 1")

    def test_a_state_moves_along_its_pairs_only(self, install: Install) -> None:
        pairs = [("DRAFT", "ACTIVE"), ("ACTIVE", "RETIRED")]
        install("g_version", [transitions("state", pairs, initial=["DRAFT"]), no_delete()])
        assert_refused("INSERT INTO g_version VALUES (3, 'ACTIVE', 'c')", "state_moves")
        assert_refused("INSERT INTO g_version VALUES (3, NULL, 'c')", "state_moves")
        assert_refused("UPDATE g_version SET state = 'RETIRED' WHERE id = 1", "state_moves")
        assert_refused("UPDATE g_version SET state = NULL WHERE id = 1", "state_moves")
        run("UPDATE g_version SET state = 'ACTIVE' WHERE id = 1")
        run("UPDATE g_version SET note = 'n' WHERE id = 1")
        assert_refused("UPDATE g_version SET state = 'DRAFT' WHERE id = 1", "state_moves")
        assert_refused("DELETE FROM g_version", "no_delete")
        run("UPDATE g_version SET state = 'RETIRED' WHERE id = 1")


@pytest.mark.usefixtures("tables")
class TestInstalling:
    def test_the_last_one_says_all_guards_and_none_lifts_them(self, install: Install) -> None:
        install("g_rule", [append_only()])
        install("g_rule", [no_delete()])
        run("INSERT INTO g_rule VALUES (1, 1, 'a', 1)")
        run("UPDATE g_rule SET text = 'b'")
        assert_refused("DELETE FROM g_rule", "no_delete")
        install("g_rule", [])
        run("DELETE FROM g_rule")
        assert guard_triggers.found(connection, "g_rule") == {}

    def test_what_is_installed_is_what_is_expected(self, install: Install) -> None:
        operation = install("g_rule", [append_only(), transitions("text", [("a", "b'c")])])
        expected = guard_triggers.expected(connection, "g_rule", operation.refusals)
        assert expected == guard_triggers.found(connection, "g_rule")
        assert len(expected) >= 4

    def test_reversing_an_operation_outside_the_graph_lifts_the_guards(self, install: Install) -> None:
        operation = install("g_rule", [append_only()])
        editor = connection.schema_editor()
        editor.deferred_sql = []
        operation.database_backwards("common", editor, None, None)
        assert guard_triggers.found(connection, "g_rule") == {}

    def test_names_are_plain_short_and_told_apart(self) -> None:
        with pytest.raises(ValueError):
            InstallGuards("t" * 60, guards=[append_only()])
        with pytest.raises(ValueError):
            InstallGuards('t"; DROP TABLE x', guards=[append_only()])
        with pytest.raises(ValueError):
            InstallGuards("t", guards=[append_only(), append_only()])
        with pytest.raises(ValueError):
            frozen_columns()
        assert InstallGuards("t", guards=[append_only()]).describe() == "Guards of t: append_only"

    @on_sqlite
    def test_a_unique_index_on_an_expression_is_refused(self, install: Install) -> None:
        run("CREATE UNIQUE INDEX g_rule_lower ON g_rule (lower(text))")
        with pytest.raises(ValueError, match="expression"):
            install("g_rule", [append_only()])


@pytest.mark.django_db
class TestMissing:
    def test_after_all_migrations_every_guard_stands(self) -> None:
        assert missing_guards(connection) == []
        assert "audit_event" in expected_guards(connection)
        assert unapplied_migrations(connection) == []

    def test_a_dropped_one_is_missing(self) -> None:
        for sql in guard_triggers.drop_statements(connection, "audit_event"):
            run(sql)
        found = missing_guards(connection)
        assert {(problem.table, problem.problem) for problem in found} == {("audit_event", "missing")}
        assert "missing trigger guard_audit_event_append_only_update on audit_event" in map(str, found)

    @on_sqlite
    def test_a_rebuilt_table_has_lost_its_guards(self) -> None:
        run("CREATE TABLE new_head AS SELECT * FROM audit_streamhead")
        run("DROP TABLE audit_streamhead")
        run("ALTER TABLE new_head RENAME TO audit_streamhead")
        assert {problem.table for problem in missing_guards(connection)} == {"audit_streamhead"}

    @on_sqlite
    def test_a_hollowed_one_is_altered(self) -> None:
        run("DROP TRIGGER guard_audit_event_append_only_update")
        run("CREATE TRIGGER guard_audit_event_append_only_update BEFORE UPDATE ON audit_event BEGIN SELECT 1; END")
        assert [problem.problem for problem in missing_guards(connection)] == ["altered"]

    @on_sqlite
    def test_a_new_unique_key_without_new_guards_is_altered(self) -> None:
        run("CREATE UNIQUE INDEX audit_event_later ON audit_event (hash)")
        assert {problem.problem for problem in missing_guards(connection)} == {"altered"}

    @pytest.mark.postgres
    @on_postgres
    @pytest.mark.parametrize(
        "sql",
        [
            "CREATE OR REPLACE FUNCTION guard_audit_event_append_only_update() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RETURN NEW; END$$",
            "ALTER TABLE audit_event DISABLE TRIGGER guard_audit_event_append_only_update",
            "ALTER TABLE audit_event ENABLE REPLICA TRIGGER guard_audit_event_append_only_update",
            "DROP TRIGGER guard_audit_event_append_only_update ON audit_event; "
            "CREATE TRIGGER guard_audit_event_append_only_update BEFORE UPDATE ON audit_event FOR EACH ROW "
            "WHEN (OLD.id < 0) EXECUTE FUNCTION guard_audit_event_append_only_update(); "
            "ALTER TABLE audit_event ENABLE ALWAYS TRIGGER guard_audit_event_append_only_update",
            "DROP TRIGGER guard_audit_event_append_only_update ON audit_event; "
            "CREATE TRIGGER guard_audit_event_append_only_update BEFORE UPDATE OF kind ON audit_event FOR EACH ROW "
            "EXECUTE FUNCTION guard_audit_event_append_only_update(); "
            "ALTER TABLE audit_event ENABLE ALWAYS TRIGGER guard_audit_event_append_only_update",
        ],
    )
    def test_a_hollowed_one_is_altered_on_postgresql(self, sql: str) -> None:
        run(sql)
        assert [problem.problem for problem in missing_guards(connection)] == ["altered"]

    def test_a_strangers_trigger_is_unexpected(self) -> None:
        if connection.vendor == "sqlite":
            run("CREATE TRIGGER stranger AFTER INSERT ON audit_event BEGIN SELECT 1; END")
        else:
            run("CREATE FUNCTION stranger() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$")
            run("CREATE TRIGGER stranger BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION stranger()")
        assert [str(problem) for problem in missing_guards(connection)] == [
            "unexpected trigger stranger on audit_event"
        ]

    def test_the_system_check_says_so(self) -> None:
        from apps.audit.checks import guards_stand

        assert guards_stand(None, databases=["default"]) == []
        for sql in guard_triggers.drop_statements(connection, "audit_event"):
            run(sql)
        assert {error.id for error in guards_stand(None, databases=["default"])} == {"audit.E001"}
        assert guards_stand(None) == []

    def test_an_unapplied_migration_is_named_and_its_guards_are_not_expected(self) -> None:
        run("DELETE FROM django_migrations WHERE app = 'audit'")
        assert "audit.0001_initial" in unapplied_migrations(connection)
        assert "audit_event" not in expected_guards(connection)


@pytest.mark.django_db(transaction=True)
def test_reversing_a_migration_puts_back_the_guards_before_it() -> None:
    """Walks the whole graph's InstallGuards backwards; each must leave what the one before it installed."""
    from apps.common.guards import _installations

    history = [item for _, item in _installations(MigrationLoader(None))]
    assert history
    standing = set(connection.introspection.table_names())
    last = {item.table: item for item in history if item.table in standing}
    for item in last.values():
        before = [earlier for earlier in history if earlier.table == item.table][:-1]
        with connection.schema_editor() as editor:
            item.database_backwards("x", editor, None, None)
        wanted = guard_triggers.expected(connection, item.table, before[-1].refusals) if before else {}
        assert guard_triggers.found(connection, item.table) == wanted
        with connection.schema_editor() as editor:
            item.database_forwards("x", editor, None, None)
    assert missing_guards(connection) == []


@pytest.mark.django_db(transaction=True)
class TestFlush:
    """Only the test settings have it; both tests leave rows behind, and both find the tables empty and guarded."""

    @pytest.mark.parametrize("round_", [1, 2])
    def test_a_flush_empties_guarded_tables_and_guards_them_again(self, round_: int) -> None:
        run("INSERT INTO audit_streamhead (stream, seq, hash, last_id) VALUES ('s', 0, '0', 0)")
        assert_refused("DELETE FROM audit_streamhead", "no_delete")
        call_command("flush", interactive=False, verbosity=0, inhibit_post_migrate=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM audit_streamhead")
            assert cursor.fetchone() == (0,)
        assert missing_guards(connection) == []


def test_only_the_test_settings_can_take_guards_off(settings: Any) -> None:
    from config.settings import base

    assert "tests.guarded_flush" in settings.INSTALLED_APPS
    assert not [app for app in base.INSTALLED_APPS if app.startswith("tests")]
