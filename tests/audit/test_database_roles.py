"""On PostgreSQL the application's role cannot do what the guards refuse, and can do everything it is there for."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import IntegrityError, ProgrammingError, connection, transaction

from apps.audit.models import Event
from apps.audit.services import database_roles
from apps.audit.services.verification import verify
from apps.audit.types import Actor
from apps.common.errors import Invalid, Misconfigured
from apps.common.guards import always_refused
from apps.trades.models import Fill
from apps.trades.types import OrderState, ProposalState
from tests.factories.desk import PaperDesk

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db,
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no roles"),
]
# Roles belong to the whole cluster: every worker of every run has names of its own, so that none meets another's role,
# or one that a killed run of another owner has left.
APPLICATION, AUDITOR = (f"aika_test_{part}_{uuid4().hex[:12]}" for part in ("application", "auditor"))
KEYS = {model._meta.db_table: model._meta.pk.column for model in apps.get_models()}
BY = Actor.system("grant_roles")


def grant(now: datetime, **facts: Any) -> tuple[str, ...]:
    given = {"application": APPLICATION, "auditor": AUDITOR, "password": "x", "dry_run": False, "by": BY, "now": now}
    return database_roles.grant(**{**given, **facts}).statements


@pytest.fixture
def granted(now: datetime, db: None) -> None:
    """Both roles with their rights, the tests' role a member of them; gone with the test's transaction.

    Only a superuser may SET ROLE without membership. An owner with CREATEROLE may make itself a member of what it has
    made: up to PostgreSQL 15 by that right, since 16 by the ADMIN option its CREATE ROLE gave it.
    """
    grant(now)
    for role in (APPLICATION, AUDITOR):
        run(f'GRANT "{role}" TO CURRENT_USER')


@contextmanager
def as_role(role: str) -> Iterator[None]:
    """The connection as that role sees it."""
    with connection.cursor() as cursor:
        cursor.execute(f'SET ROLE "{role}"')
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def refused(statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied|must be owner"), transaction.atomic():
        run(statement)


def test_the_application_cannot_change_cut_or_unguard_the_log(sealed: list[Event], granted: None) -> None:
    assert set(KEYS) >= set(always_refused(connection))
    append_only = {table for table, events in always_refused(connection).items() if "UPDATE" in events}
    assert append_only >= {"audit_event", "audit_seal", "audit_checkpoint", "trades_fill", "approvals_vote"}
    with as_role(APPLICATION):
        for table in sorted(append_only):
            refused(f'UPDATE "{table}" SET "{KEYS[table]}" = "{KEYS[table]}"')  # noqa: S608  names of ours
            refused(f'DELETE FROM "{table}"')  # noqa: S608  a table's name
        for table in sorted(always_refused(connection)):
            refused(f'TRUNCATE "{table}" CASCADE')
            refused(f'ALTER TABLE "{table}" DISABLE TRIGGER ALL')
            refused(f'DROP TABLE "{table}"')
        for table in ("audit_streamhead", "audit_alarm", "trades_order"):
            refused(f'DELETE FROM "{table}"')  # noqa: S608  a table's name
        refused("SET session_replication_role = replica")
        refused("DROP TRIGGER guard_audit_event_append_only_update ON audit_event")
        refused("DROP FUNCTION guard_audit_event_append_only_update()")
        refused("CREATE OR REPLACE FUNCTION guard_audit_event_append_only_update() RETURNS trigger "
                "LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")  # fmt: skip
        refused("INSERT INTO django_migrations (app, name, applied) VALUES ('audit', 'x', now())")
        assert database_roles.too_mighty() == []
        assert verify().exit_code == 0


def test_the_owner_is_stopped_by_triggers_alone(log: list[Event], granted: None) -> None:
    """The same statements without the role: refused by the guards, and by nothing once these are off."""
    with pytest.raises(IntegrityError, match="guard append_only"), transaction.atomic():
        run("DELETE FROM audit_event")
    run("ALTER TABLE audit_event DISABLE TRIGGER ALL")
    run("DELETE FROM audit_event")
    assert verify().exit_code == 1


def test_the_ordinary_path_works_as_the_application(paper: PaperDesk, granted: None) -> None:
    with as_role(APPLICATION):
        proposal = paper.propose()
        assert proposal.state == ProposalState.AWAITING_APPROVAL, proposal.end_code
        paper.approve(proposal)
        assert paper.execute(proposal) == OrderState.ACCEPTED
        assert paper.poll(proposal) == OrderState.FILLED
        assert Fill.objects.filter(order=paper.order_of(proposal)).exists()
        assert verify().findings == []


def test_the_auditor_reads_the_log_and_nothing_else(sealed: list[Event], granted: None) -> None:
    with as_role(AUDITOR):
        call_command("audit_verify", "--no-record", stdout=io.StringIO())
        out = io.StringIO()
        call_command("audit_export", stdout=out)
        assert len(out.getvalue().splitlines()) > 23
        refused("INSERT INTO audit_seal VALUES (99, 99)")
        refused("SELECT * FROM accounts_user")
        refused("SELECT * FROM connectors_connection")


def test_granting_twice_does_nothing_and_too_much_is_taken_back(granted: None, now: datetime) -> None:
    assert grant(now) == ()
    run(f"GRANT DELETE, UPDATE ON audit_event TO {APPLICATION}")
    run(f"GRANT SELECT ON accounts_user TO {AUDITOR}")
    with as_role(APPLICATION):
        assert database_roles.too_mighty() == ["audit_event"]
    assert grant(now) == (
        f'REVOKE DELETE, UPDATE ON TABLE "audit_event" FROM "{APPLICATION}"',
        f'REVOKE SELECT ON TABLE "accounts_user" FROM "{AUDITOR}"',  # noqa: S608  a name of ours
    )
    event = Event.objects.filter(kind="database.granted").latest("id")
    assert b"REVOKE DELETE, UPDATE" in bytes(event.body)
    assert b"PASSWORD 'x'" not in b"".join(bytes(e.body) for e in Event.objects.filter(kind="database.granted"))


def test_a_dry_run_changes_nothing(db: None, now: datetime) -> None:
    said = grant(now, dry_run=True)
    assert f'CREATE ROLE "{APPLICATION}" LOGIN PASSWORD ...' in said
    assert f'GRANT INSERT, SELECT ON TABLE "audit_event" TO "{APPLICATION}"' in said
    assert f'GRANT INSERT, SELECT, UPDATE ON TABLE "audit_streamhead" TO "{APPLICATION}"' in said
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APPLICATION])
        assert cursor.fetchone() is None
    assert not Event.objects.filter(kind="database.granted").exists()


def test_a_role_that_is_missing_mighty_or_misnamed_is_refused(db: None, now: datetime) -> None:
    with pytest.raises(Misconfigured, match="ROLE_MISSING"):
        grant(now, password=None)
    with pytest.raises(Invalid, match="ROLE_NAME"):
        grant(now, application='x"; DROP TABLE audit_event; --')
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        owner = cursor.fetchone()[0]
    with pytest.raises(Misconfigured, match="ROLE_IS_OWNER"):
        grant(now, application=owner)


def test_the_command_says_what_it_did(db: None, settings: Any) -> None:
    settings.DATABASE_URL = f"postgres://{APPLICATION}:secret-word@127.0.0.1/aika"
    out = io.StringIO()
    call_command("grant_roles", "--create", "--dry-run", stdout=out)
    assert f'GRANT INSERT, SELECT ON TABLE "audit_checkpoint" TO "{APPLICATION}";' in out.getvalue()
    assert out.getvalue().endswith("dry run: nothing was changed\n")
    assert "secret-word" not in out.getvalue()
    with pytest.raises(CommandError, match="ROLE_MISSING"):
        call_command("grant_roles", stdout=out)


def test_in_production_a_check_says_when_the_application_is_too_mighty(granted: None, settings: Any) -> None:
    def found() -> set[str]:
        return {str(message.id) for message in run_checks(databases=["default"])} & {"audit.E002"}

    assert found() == set()
    settings.ENVIRONMENT = "production"
    assert found() == {"audit.E002"}
    settings.CONNECTED_AS_OWNER = True
    assert found() == set()
    settings.CONNECTED_AS_OWNER = False
    with as_role(APPLICATION):
        assert found() == set()
