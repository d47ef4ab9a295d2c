"""Who asks and who decides at the demo desk under load: traders with a key each, approvers, and limits that so many
orders stay within; and what the installation says of itself in the end.

Run inside the installation (`manage.py shell`), through the services that people use.
"""

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.accounts.models import Desk, User
from apps.accounts.services import api_keys, seating, second_person
from apps.accounts.types import Role, Scope
from apps.audit.types import Actor
from apps.connectors.selectors import connection_by_slug
from apps.connectors.services import connections
from apps.dashboard.services.demo import CONNECTIONS, POLICY_SLUG
from apps.dashboard.services.demo_people import DESK_SLUG
from apps.dashboard.services.demo_policy import DEMO_RULES
from apps.policies.models import PolicySet
from apps.policies.selectors import trading_state
from apps.policies.services import versions
from apps.policies.types import RuleRow

PROOFS: Final = ("audit_verify", "check_reservations", "replay_decisions")
SEATING: Final = Actor.system("load")
# What an ordinary desk never reaches, and one order a second does. All else is the demo's policy as it is.
WIDER: Final[dict[str, dict[str, object]]] = {
    "daily-notional": {"max_notional": "50000000"},
    "daily-loss": {"max_loss": "1000000"},
    "rate-connection": {"max_count": "100000"},
}
# It would ask for a second approver as soon as three of the soak's own trades have lost: one decides on each here.
WITHOUT: Final = frozenset({"similar-losses"})


def rules() -> list[RuleRow]:
    """The demo's, wider where so many orders need it."""
    return [
        replace(rule, params={**rule.params, **WIDER.get(rule.key, {})})
        for rule in DEMO_RULES
        if rule.key not in WITHOUT
    ]


def seat(agents: int, approvers: int) -> dict[str, list[dict[str, str]]]:
    """So many new traders, a name and a key each, and so many new approvers, a username and a password each."""
    now, desk = timezone.now(), Desk.objects.get(slug=DESK_SLUG)
    connection = connection_by_slug(CONNECTIONS[0][0])
    assert connection is not None
    keys: list[dict[str, str]] = []
    for number in range(agents):
        name = f"load-{number:02d}"
        owner = person(name, Role.TRADER, desk, secrets.token_urlsafe(24), now=now)
        key, secret = api_keys.issue(
            owner=owner, name=name, scopes=[Scope.PROPOSE, Scope.READ], expires_at=now + timedelta(days=2),
            actor=SEATING, now=now,
        )  # fmt: skip
        connections.grant(connection=connection, api_key=key, actor=SEATING, now=now)
        keys.append({"name": name, "key": secret})
    accounts = [
        {"username": f"load-approver-{number}", "password": secrets.token_urlsafe(24)} for number in range(approvers)
    ]
    for account in accounts:
        person(account["username"], Role.APPROVER, desk, account["password"], now=now)
    widen(now=now)
    return {"agents": keys, "approvers": accounts}


def person(name: str, role: Role, desk: Desk, password: str, *, now: datetime) -> User:
    """Somebody new at the desk."""
    return seating.seat_person(
        username=name, display_name=name.title(), email=f"{name}@demo.invalid", password=password, roles=(role,),
        desk=desk, is_superuser=False, actor=SEATING, now=now,
    )  # fmt: skip


def widen(*, now: datetime) -> None:
    """The soak's limits in force, by two people as always."""
    author, second = (User.objects.get(username=name) for name in ("approver2", "operator"))
    found = PolicySet.objects.get(slug=POLICY_SLUG)
    draft = versions.create_draft(policy_set_id=found.pk, author=author, now=now, rules=rules(), note="For the soak.")
    request = versions.request_activation(version_id=draft.pk, requester=author, now=now)
    second_person.second(request_id=request.pk, seconder=second, now=now)
    versions.activate(version_id=draft.pk, person=author, now=now)


def prove() -> dict[str, Any]:
    """The exit codes of the commands that prove something, and the state trading is in."""
    return {"proofs": {name: _exit_code(name) for name in PROOFS}, "trading_state": str(trading_state(None))}


def _exit_code(command: str) -> int:
    try:
        call_command(command)
    except CommandError as refused:
        return refused.returncode
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0
