"""Who asks at the demo desk under load: traders with a key each, and limits that so many orders stay within.

Run inside the installation (`manage.py shell`), through the services that people use.
"""

import json
import secrets
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

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
from apps.policies.services import versions
from apps.policies.types import RuleRow

SEATING: Final = Actor.system("load")
# What an ordinary desk never reaches, and one order a second does. All else is the demo's policy as it is.
WIDER: Final[dict[str, dict[str, object]]] = {
    "daily-notional": {"max_notional": "50000000"},
    "daily-loss": {"max_loss": "1000000"},
    "rate-connection": {"max_count": "100000"},
}
# It would ask for a second approver as soon as three of the soak's own trades have lost: one person decides here.
WITHOUT: Final = frozenset({"similar-losses"})


def rules() -> list[RuleRow]:
    """The demo's, wider where so many orders need it."""
    return [
        replace(rule, params={**rule.params, **WIDER.get(rule.key, {})})
        for rule in DEMO_RULES
        if rule.key not in WITHOUT
    ]


def seat(agents: int, file: str) -> None:
    """Write the keys of so many new traders to `file`, as JSON."""
    now, desk = timezone.now(), Desk.objects.get(slug=DESK_SLUG)
    connection = connection_by_slug(CONNECTIONS[0][0])
    assert connection is not None
    keys: list[dict[str, Any]] = []
    for number in range(agents):
        name = f"load-{number:02d}"
        owner = seating.seat_person(
            username=name, display_name=name.title(), email=f"{name}@demo.invalid", password=secrets.token_urlsafe(24),
            roles=(Role.TRADER,), desk=desk, is_superuser=False, actor=SEATING, now=now,
        )  # fmt: skip
        key, secret = api_keys.issue(
            owner=owner, name=name, scopes=[Scope.PROPOSE, Scope.READ], expires_at=now + timedelta(days=2),
            actor=SEATING, now=now,
        )  # fmt: skip
        connections.grant(connection=connection, api_key=key, actor=SEATING, now=now)
        keys.append({"name": name, "key": secret})
    author, second = (User.objects.get(username=name) for name in ("approver2", "operator"))
    found = PolicySet.objects.get(slug=POLICY_SLUG)
    draft = versions.create_draft(policy_set_id=found.pk, author=author, now=now, rules=rules(), note="For the soak.")
    request = versions.request_activation(version_id=draft.pk, requester=author, now=now)
    second_person.second(request_id=request.pk, seconder=second, now=now)
    versions.activate(version_id=draft.pk, person=author, now=now)
    Path(file).write_text(json.dumps(keys), encoding="utf-8")
