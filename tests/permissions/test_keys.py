"""A key with every scope, tried at every door: it proposes, reads, reports and halts, and nothing else ever happens."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from apps.accounts.models import ApiKey, SecondPersonRequest, User
from apps.approvals.models import Vote
from apps.audit.models import Alarm
from apps.connectors.models import Connection, ConnectionGrant
from apps.policies.models import Latch, PolicyVersion, Rule, TradingState
from tests.permissions.conftest import Setting
from tests.permissions.doors import doors
from tests.permissions.test_doors import ELSEWHERE, path_of, rows

pytestmark = pytest.mark.django_db

# The only addresses that do something for a key, besides those that are open to everybody.
OPEN_TO_A_KEY = {
    "GET api/v1/candles",
    "GET api/v1/connectors",
    "GET api/v1/lessons/<str:lesson_id>",
    "GET api/v1/policies",
    "GET api/v1/positions",
    "GET api/v1/quotes",
    "GET api/v1/trades/proposals",
    "GET api/v1/trades/proposals/<str:proposal_id>",
    "GET api/v1/trading-state",
    "POST api/v1/trades/lessons/query",
    "POST api/v1/trades/orders/<str:order_id>/cancel",
    "POST api/v1/trades/outcome",
    "POST api/v1/knowledge",
    "POST api/v1/knowledge/query",
    "POST api/v1/trades/preview",
    "POST api/v1/trades/proposals",
    "POST api/v1/trades/proposals/batch",
    "POST api/v1/trades/proposals/<str:proposal_id>/withdraw",
    "POST api/v1/trading-state/halt",
    "POST api/v1/trading-state/reduce",
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
    assert found == OPEN_TO_A_KEY


def test_a_key_makes_no_vote_no_key_no_policy_and_lets_nothing_go(setting: Setting) -> None:
    before = everything()
    for route, door in doors().items():
        if route in ELSEWHERE or route.startswith("accounts/"):  # there a header is not even read
            continue
        path = path_of(setting, door)
        client = Client(raise_request_exception=False, headers=setting.headers["K"] | {"Idempotency-Key": str(uuid4())})
        vote = setting.votes.get(path.rstrip("/").rpartition("/")[2], {})
        reason = {"reason": "Because."} if "trading-state" in route else {}
        if path.startswith("/api/"):
            answer = client.post(path, json.dumps(vote | reason), content_type="application/json")
        else:
            answer = client.post(path, vote | reason)
        assert answer.status_code < 500, path
    after = everything()
    assert after == before
    assert set(TradingState.objects.values_list("state", flat=True)) <= {"HALTED", "REDUCING"}
