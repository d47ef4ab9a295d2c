"""The brakes over the API: a key may pull them whatever else is broken, and no key lets go."""

from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from apps.policies.models import TradingState
from apps.policies.selectors import trading_state
from tests.api.conftest import Caller, with_header
from tests.factories.accounts import issue_key
from tests.factories.desk import PaperDesk

pytestmark = pytest.mark.django_db

NOWHERE = "redis://127.0.0.1:1/0"


def test_reducing_is_at_once_and_the_trading_state_says_it(bot: Caller, paper: PaperDesk) -> None:
    status, said = bot.post("/trading-state/reduce", {"connection": paper.connection.slug, "reason": "Thin book."})
    assert (status, said["state"], said["reason"]) == (200, "REDUCING", "Thin book.")
    (after,) = bot.get("/trading-state")[1]["items"]
    assert after["state"] == "REDUCING"
    assert "ONLY_REDUCING" in {finding["code"] for finding in after["would_deny"]}
    assert bot.post("/trading-state/halt", {"connection": paper.connection.slug})[1]["state"] == "HALTED"
    assert bot.post("/trading-state/reduce", {"connection": paper.connection.slug})[1]["state"] == "HALTED"


@pytest.mark.parametrize("verb", ["halt", "reduce"])
def test_a_key_needs_the_scope(paper: PaperDesk, verb: str) -> None:
    _, header = issue_key(owner=paper.trader, now=timezone.now(), scopes=("propose", "read", "report"))
    assert with_header(header).post(f"/trading-state/{verb}")[0] == 403
    assert trading_state(None) == "ACTIVE"


@pytest.mark.parametrize("verb", ["halt", "reduce"])
def test_a_full_bucket_does_not_stand_between_a_program_and_the_brake(
    bot: Caller, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    from rest_framework.settings import api_settings

    for name in ("read", "write"):
        monkeypatch.setitem(api_settings.DEFAULT_THROTTLE_RATES, name, "1/min")
    cache.clear()
    assert [bot.post("/trades/preview")[0] for _ in range(2)] == [400, 429]
    assert bot.post(f"/trading-state/{verb}")[0] == 200
    assert trading_state(None) != "ACTIVE"


def test_halting_works_while_broker_and_cache_are_dead(bot: Caller, settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": NOWHERE}}
    settings.CELERY_BROKER_URL = NOWHERE
    status, said = bot.post("/trading-state/halt", {"reason": "All is dead."})
    assert (status, said["state"]) == (200, "HALTED"), said
    assert TradingState.objects.get(scope="global").reason == "All is dead."


def test_no_address_of_the_api_loosens(bot: Caller) -> None:
    bot.post("/trading-state/halt")
    for verb in ("resume", "activate", "loosen", "reset", "unhalt"):
        assert bot.post(f"/trading-state/{verb}")[0] == 404
    assert bot.post("/trading-state", {"state": "ACTIVE"})[0] == 405
    assert trading_state(None) == "HALTED"
