"""A key with every scope, tried at every door: it proposes, reads, reports and halts, and nothing else ever happens."""

from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import ApiKey, SecondPersonRequest, User
from apps.accounts.services.people import actor_of
from apps.accounts.types import Scope
from apps.approvals.models import Vote
from apps.audit.models import Alarm
from apps.connectors.models import Connection, ConnectionGrant
from apps.connectors.services import connections
from apps.policies.models import Latch, PolicyVersion, Rule, TradingState
from tests.factories.accounts import issue_key
from tests.permissions.bodies import REASON, body_for
from tests.permissions.doors import doors
from tests.permissions.setting import Setting
from tests.permissions.test_doors import ELSEWHERE, asked, path_of, rows

pytestmark = pytest.mark.django_db

# The only addresses that do something for a key, besides those that are open to everybody; and the scope each needs.
OPEN_TO_A_KEY = {
    "GET api/v1/candles": Scope.READ,
    "GET api/v1/connectors": Scope.READ,
    "GET api/v1/feed": Scope.READ,
    "GET api/v1/lessons/<str:lesson_id>": Scope.READ,
    "GET api/v1/policies": Scope.READ,
    "GET api/v1/positions": Scope.READ,
    "GET api/v1/quotes": Scope.READ,
    "GET api/v1/trades/proposals": Scope.READ,
    "GET api/v1/trades/proposals/<str:proposal_id>": Scope.READ,
    "GET api/v1/trading-state": Scope.READ,
    "POST api/v1/trades/lessons/query": Scope.READ,
    "POST api/v1/trades/orders/<str:order_id>/cancel": Scope.PROPOSE,
    "POST api/v1/trades/outcome": Scope.REPORT,
    "POST api/v1/knowledge": Scope.REPORT,
    "POST api/v1/knowledge/query": Scope.READ,
    "POST api/v1/trades/preview": Scope.PROPOSE,
    "POST api/v1/trades/proposals": Scope.PROPOSE,
    "POST api/v1/trades/proposals/batch": Scope.PROPOSE,
    "POST api/v1/trades/proposals/<str:proposal_id>/withdraw": Scope.PROPOSE,
    "POST api/v1/trading-state/halt": Scope.HALT,
    "POST api/v1/trading-state/reduce": Scope.HALT,
}
KEPT = (ApiKey, ConnectionGrant, Connection, PolicyVersion, Rule, SecondPersonRequest, User, Vote, Alarm, Latch)


def everything() -> dict[str, list[dict[str, Any]]]:
    """Every row of what a key must never make or change."""
    skipped = {"secret", "last_used_at", "last_login"}
    found = {}
    for model in KEPT:
        names = [field.name for field in model._meta.concrete_fields if field.name not in skipped]
        found[model.__name__] = list(model._default_manager.order_by("pk").values(*names))
    return found


def test_a_key_opens_what_is_named_here_and_no_other_door() -> None:
    written = rows()
    found = {f"{method} {route}" for (method, route), who in written.items() if "K" in who and "N" not in who}
    assert found == set(OPEN_TO_A_KEY)


@pytest.mark.slow
def test_each_scope_opens_its_own_doors_and_no_other(prepared: Setting) -> None:
    """Of four keys, each with one scope, on complete bodies: one is answered, and three are told what they lack."""
    paper, known, now, wrong = prepared.paper, doors(), timezone.now(), []
    for scope in Scope:
        key, header = issue_key(owner=paper.trader, now=now, scopes=[scope.value], name=scope.value)
        connections.grant(connection=paper.connection, api_key=key, actor=actor_of(paper.risk), now=now)
        prepared.headers[scope.value] = {"Authorization": header}
    for name, needed in OPEN_TO_A_KEY.items():
        method, _, route = name.partition(" ")
        path = path_of(prepared, known[route])
        for scope in Scope:
            said = asked(prepared, known[route], scope.value, method, path)
            wanted = range(200, 300) if scope is needed else {403}
            if said.status not in wanted or (scope is not needed and "SCOPE_MISSING" not in said.text):
                wrong.append(f"{name} with {scope.value}: {said.status} {said.text[:200]}")
    assert not wrong, "\n".join(wrong)


def test_a_key_makes_no_vote_no_key_no_policy_and_lets_nothing_go(setting: Setting) -> None:
    before = everything()
    opened = set()
    for route, door in doors().items():
        if route in ELSEWHERE or route.startswith("accounts/"):  # there a header is not even read
            continue
        body = body_for(setting, route, "K") if route.startswith("api/") else REASON
        answer = setting.send("K", "POST", path_of(setting, door), body)
        assert answer.status_code < 500, route
        opened |= {f"POST {route}"} if answer.status_code < 300 else set()
    assert opened >= {name for name in OPEN_TO_A_KEY if name.startswith("POST")}, "their bodies are complete"
    assert everything() == before
    assert set(TradingState.objects.values_list("state", flat=True)) <= {"HALTED", "REDUCING"}
