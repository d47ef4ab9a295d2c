"""What each role may do. The table is the only source: `manage.py sync_roles` makes the groups equal to it."""

from datetime import datetime

from django.contrib.auth.models import Group, Permission
from django.db import transaction

from apps.accounts.types import Role
from apps.audit.services import events
from apps.audit.types import Actor
from apps.common.errors import Misconfigured

_READ_LEDGER = frozenset(
    {
        "accounts.view_ledger",
        "approvals.view_*",
        "connectors.view_*",
        "lessons.view_*",
        "policies.view_*",
        "quotes.view_*",
        "trades.view_*",
    }
)
_READ_EVERYTHING = _READ_LEDGER | {
    "accounts.view_apikey",
    "accounts.view_desk",
    "accounts.view_secondpersonrequest",
    "accounts.view_user",
    "audit.view_*",
}
_SECOND = frozenset({"accounts.second_request", "accounts.view_secondpersonrequest", "audit.acknowledge_alarm"})

ROLE_PERMISSIONS: dict[Role, frozenset[str]] = {
    Role.TRADER: _READ_LEDGER | {"accounts.propose_trade", "accounts.halt_trading"},
    Role.APPROVER: _READ_LEDGER
    | _SECOND
    | {
        "accounts.cancel_order",
        "accounts.decide_proposal",
        "accounts.halt_trading",
        "audit.view_*",
        "lessons.review_lesson",
    },
    Role.RISK: _READ_EVERYTHING
    | _SECOND
    | {
        "accounts.activate_policy",
        "accounts.cancel_order",
        "accounts.decide_proposal",
        "accounts.halt_trading",
        "lessons.add_knowledgedocument",
        "lessons.review_lesson",
        "policies.add_policyset",
        "policies.add_policyversion",
        "policies.add_rule",
        "policies.change_policyset",
        "policies.change_policyversion",
        "policies.change_rule",
        "policies.delete_rule",
    },
    Role.OPERATOR: _READ_EVERYTHING
    | _SECOND
    | {
        "accounts.add_apikey",
        "accounts.cancel_order",
        "accounts.change_apikey",
        "accounts.halt_trading",
        "accounts.manage_connections",
        "django_celery_beat.add_crontabschedule",
        "django_celery_beat.add_intervalschedule",
        "django_celery_beat.change_periodictask",
        "django_celery_beat.view_*",
        "lessons.add_knowledgedocument",
        "lessons.add_knowledgesource",
        "lessons.change_knowledgesource",
    },
    Role.AUDITOR: _READ_EVERYTHING,
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
