"""What each role may do. The table is the only source: `manage.py sync_roles` makes the groups equal to it."""

from datetime import datetime

from django.contrib.auth.models import Group, Permission
from django.db import transaction

from apps.accounts.types import Role
from apps.audit.services import events
from apps.audit.types import Actor
from apps.common.errors import Misconfigured

ROLE_PERMISSIONS: dict[Role, frozenset[str]] = {
    Role.TRADER: frozenset({"accounts.propose_trade", "accounts.halt_trading", "accounts.view_ledger"}),
    Role.APPROVER: frozenset(
        {
            "accounts.decide_proposal",
            "accounts.halt_trading",
            "accounts.second_request",
            "accounts.view_ledger",
            "accounts.view_secondpersonrequest",
        }
    ),
    Role.RISK: frozenset(
        {
            "accounts.activate_policy",
            "accounts.decide_proposal",
            "accounts.halt_trading",
            "accounts.second_request",
            "accounts.view_ledger",
            "accounts.view_secondpersonrequest",
        }
    ),
    Role.OPERATOR: frozenset(
        {
            "accounts.add_apikey",
            "accounts.change_apikey",
            "accounts.halt_trading",
            "accounts.manage_connections",
            "accounts.second_request",
            "accounts.view_apikey",
            "accounts.view_desk",
            "accounts.view_ledger",
            "accounts.view_secondpersonrequest",
            "accounts.view_user",
        }
    ),
    Role.AUDITOR: frozenset(
        {
            "accounts.view_apikey",
            "accounts.view_desk",
            "accounts.view_ledger",
            "accounts.view_secondpersonrequest",
            "accounts.view_user",
        }
    ),
}
"""Names as `app.codename`, or `app.view_*` for every model of an app. Only a superuser edits people."""


@transaction.atomic
def sync_roles(*, now: datetime) -> dict[str, tuple[list[str], list[str]]]:
    """Make the groups and their permissions equal to the table; safe to repeat.

    Returns what was added and removed per role that changed, which is also written as one audit event.
    Raises `Misconfigured` PERMISSION_MISSING naming every permission of the table that no installed model declares.
    """
    known = _known_permissions()
    wanted = {role: _expand(names, known) for role, names in ROLE_PERMISSIONS.items()}
    _refuse_missing(wanted, known)
    changes: dict[str, tuple[list[str], list[str]]] = {}
    for role, names in wanted.items():
        group, _ = Group.objects.get_or_create(name=role.value)
        held = {
            f"{app}.{codename}"
            for app, codename in group.permissions.values_list("content_type__app_label", "codename")
        }
        if held != names:
            group.permissions.set([known[name] for name in names])
            changes[role.value] = (sorted(names - held), sorted(held - names))
    if changes:
        payload = {role: {"added": added, "removed": removed} for role, (added, removed) in changes.items()}
        events.record(
            stream="roles",
            kind="roles.synced",
            actor=Actor.system("sync_roles"),
            subject="roles",
            payload=payload,
            now=now,
        )
    return changes


def _known_permissions() -> dict[str, Permission]:
    return {f"{p.content_type.app_label}.{p.codename}": p for p in Permission.objects.select_related("content_type")}


def _expand(names: frozenset[str], known: dict[str, Permission]) -> set[str]:
    expanded: set[str] = set()
    for name in names:
        matches = {one for one in known if one.startswith(name[:-1])} if name.endswith(".view_*") else set()
        expanded |= matches or {name}
    return expanded


def _refuse_missing(wanted: dict[Role, set[str]], known: dict[str, Permission]) -> None:
    missing = sorted({name for names in wanted.values() for name in names} - set(known))
    if missing:
        raise Misconfigured(
            "PERMISSION_MISSING",
            f"Roles name permissions that do not exist: {', '.join(missing)}.",
            fix="Run `manage.py migrate`, or correct the table in apps/accounts/services/roles.py.",
        )
