"""The PostgreSQL roles: what the application and an auditor may do to each table, and no more.

The rights follow from the guards: what a guard refuses always, the application's role may not even try. A trigger can
be taken off by the owner of its table; so the application is not the owner.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from apps.audit.services import events
from apps.audit.types import Actor
from apps.common.errors import Invalid, Misconfigured
from apps.common.guards import always_refused

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)
_EVERYTHING = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
# Written by migrations alone.
_READ_ONLY = frozenset({"django_migrations", "django_content_type", "auth_permission"})
_AUDITED = ("audit_", "django_migrations")
_HELD = """
SELECT c.relname, a.privilege_type FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'S')
AND a.grantee = (SELECT oid FROM pg_roles WHERE rolname = %s)
"""
_TOO_MIGHTY = """
SELECT c.relname FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(%s)
AND (pg_has_role(%s, c.relowner, 'MEMBER') OR EXISTS (
    SELECT 1 FROM unnest(%s::text[], %s::text[]) AS refused(relname, privilege)
    WHERE refused.relname = c.relname AND has_table_privilege(%s, c.oid, refused.privilege)))
ORDER BY c.relname
"""


@dataclass(frozen=True)
class Granted:
    """The statements that were run, or would be; passwords are not among them."""

    statements: tuple[str, ...]


def grant(
    *, application: str, auditor: str | None, password: str | None, dry_run: bool, by: Actor, now: datetime
) -> Granted:
    """Gives the two roles exactly the rights they need on the tables as they are now; safe to repeat.

    `password` lets a missing application role be made, with LOGIN; a missing auditor is made without one, for the
    auditor's own login to be granted. To be run as the owner of the tables, after every migration; what was changed is
    an event. Raises Misconfigured ROLES_NEED_POSTGRESQL, ROLE_MISSING, ROLE_IS_OWNER; Invalid ROLE_NAME.
    """
    if connection.vendor != "postgresql":
        raise Misconfigured("ROLES_NEED_POSTGRESQL", "SQLite has no roles: whoever holds the file may do everything.")
    with transaction.atomic():
        statements = [
            *_make(application, password, login=True),
            *(_make(auditor, "", login=False) if auditor else ()),
            *_rights(application, dict(_application_rights())),
            *(_rights(auditor, dict(_auditor_rights())) if auditor else ()),
        ]
        if statements and not dry_run:
            _record(application, auditor, statements, by=by, now=now)
        if problems := _too_mighty(application):
            raise Misconfigured(
                "ROLE_IS_OWNER",
                f"{application} can do to {', '.join(problems)} what no role of an application may.",
                fix="Name a role in DATABASE_URL that owns no table and is no superuser.",
            )
        if dry_run:
            transaction.set_rollback(True)
    return Granted(tuple(statements))


def too_mighty() -> list[str]:
    """Guarded tables to which the connected role may do what a guard refuses: as owner, superuser or by a grant."""
    if connection.vendor != "postgresql":
        return []
    return _too_mighty(current_role())


def current_role() -> str:
    """The role this process is connected as; empty on SQLite, which has none."""
    if connection.vendor != "postgresql":
        return ""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return str(cursor.fetchone()[0])


def _too_mighty(role: str) -> list[str]:
    refused = [(table, event) for table, events_ in sorted(always_refused(connection).items()) for event in events_]
    tables, privileges = [table for table, _ in refused], [event for _, event in refused]
    with connection.cursor() as cursor:
        cursor.execute(_TOO_MIGHTY, [tables, role, tables, privileges, role])
        return [str(row[0]) for row in cursor.fetchall()]


def _make(role: str, password: str | None, *, login: bool) -> Iterator[str]:
    """Makes a role that is missing. The password is put in by the client, as a literal, and is never shown."""
    if not _NAME.fullmatch(role):
        raise Invalid("ROLE_NAME", "A role's name is lower-case letters, digits and underscores.", field="role")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
        if cursor.fetchone():
            return
        if password is None:
            raise Misconfigured(
                "ROLE_MISSING", f"There is no role {role}.", fix="Make it, or let grant_roles: --create."
            )
        if login:
            cursor.execute(f'CREATE ROLE "{role}" LOGIN PASSWORD %s', [password])
        else:
            cursor.execute(f'CREATE ROLE "{role}" NOLOGIN')
    yield f'CREATE ROLE "{role}" {"LOGIN PASSWORD ..." if login else "NOLOGIN"}'


def _application_rights() -> Iterator[tuple[str, frozenset[str]]]:
    refused = always_refused(connection)
    for table in _relations("rp"):
        yield table, frozenset({"SELECT"}) if table in _READ_ONLY else _EVERYTHING - refused.get(table, frozenset())
    for sequence in _relations("S"):
        yield sequence, frozenset({"USAGE"})


def _auditor_rights() -> Iterator[tuple[str, frozenset[str]]]:
    for table in _relations("rp"):
        if table.startswith(_AUDITED):
            yield table, frozenset({"SELECT"})


def _rights(role: str, wanted: dict[str, frozenset[str]]) -> list[str]:
    """Grants what is missing and revokes what is too much."""
    held: dict[str, set[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema(), has_schema_privilege(%s, current_schema(), 'USAGE')", [role])
        schema, may_enter = cursor.fetchone()
        cursor.execute(_HELD, [role])
        for table, privilege in cursor.fetchall():
            held.setdefault(str(table), set()).add(str(privilege))
        sequences = set(_relations("S"))
        statements = [] if may_enter else [f'GRANT USAGE ON SCHEMA {connection.ops.quote_name(schema)} TO "{role}"']
        for relation in sorted(wanted.keys() | held.keys()):
            kind = "SEQUENCE" if relation in sequences else "TABLE"
            should, has = wanted.get(relation, frozenset()), held.get(relation, set())
            on = f"ON {kind} {connection.ops.quote_name(relation)}"
            if missing := sorted(should - has):
                statements.append(f'GRANT {", ".join(missing)} {on} TO "{role}"')
            if extra := sorted(has - should):
                statements.append(f'REVOKE {", ".join(extra)} {on} FROM "{role}"')
        for statement in statements:
            cursor.execute(statement)
    return statements


def _relations(kinds: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
            "AND relkind = ANY(%s) ORDER BY relname",
            [list(kinds)],
        )
        return [str(row[0]) for row in cursor.fetchall()]


def _record(application: str, auditor: str | None, statements: Iterable[str], *, by: Actor, now: datetime) -> None:
    events.record(
        stream="database:roles",
        kind="database.granted",
        actor=by,
        subject="database:roles",
        payload={"application": application, "auditor": auditor, "statements": list(statements)},
        now=now,
    )
