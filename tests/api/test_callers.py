"""Who may do what: the trader, an approver, a stranger, and keys. The refused beside the allowed, with one set-up."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import api_keys, people
from apps.connectors.services import connections
from apps.policies.models import TradingState
from apps.trades.models import Proposal
from tests.api.conftest import Caller, with_header
from tests.factories.accounts import UserFactory, issue_key
from tests.factories.desk import PaperDesk, connect_paper

pytestmark = pytest.mark.django_db

Make = Callable[..., dict[str, Any]]
SignIn = Callable[[User], Caller]


def key_with(paper: PaperDesk, *scopes: str, owner: User | None = None, granted: bool = True) -> Caller:
    """A program of the trader's (or `owner`'s) with these scopes."""
    key, header = issue_key(owner=owner or paper.trader, now=timezone.now(), scopes=scopes)
    if granted:
        connections.grant(
            connection=paper.connection, api_key=key, actor=people.actor_of(paper.risk), now=timezone.now()
        )
    return with_header(header)


def refusal(answer: tuple[int, Any]) -> tuple[int, str]:
    status, said = answer
    return status, said["code"]


def test_nobody_gets_in_without_showing_who_they_are(db: None) -> None:
    nobody = Caller(Client(raise_request_exception=False))
    reads = (
        "/trades/proposals",
        "/approvals",
        "/connectors",
        "/policies",
        "/positions",
        "/quotes",
        "/candles",
        "/trading-state",
    )
    for path in (*reads, "/candles"):
        assert refusal(nobody.get(path)) == (401, "NOT_SIGNED_IN"), path
        assert nobody.last["WWW-Authenticate"].startswith("Bearer")
    writes = ("/trades/proposals", "/trades/preview", "/trading-state/halt", f"/approvals/{uuid4()}/approve")
    for path in writes:
        assert refusal(nobody.post(path, {})) == (401, "NOT_SIGNED_IN"), path


def test_a_key_that_is_wrong_old_or_revoked_is_told_apart_only_to_who_holds_it(paper: PaperDesk) -> None:
    good = paper.authorization
    wrong = {
        "KEY_UNKNOWN": good[:-1] + ("0" if good[-1] != "0" else "1"),
        "KEY_MALFORMED": good[:-1],
    }
    for code, header in wrong.items():
        assert refusal(with_header(header).get("/connectors")) == (401, code)
    assert with_header(good).get("/connectors")[0] == 200

    _, old = issue_key(owner=paper.trader, now=timezone.now() - timedelta(days=31), days=30)
    assert refusal(with_header(old).get("/connectors")) == (401, "KEY_EXPIRED")
    api_keys.revoke(key_id=paper.key.pk, actor=people.actor_of(paper.risk), now=timezone.now())
    assert refusal(with_header(good).get("/connectors")) == (401, "KEY_REVOKED")


def test_a_key_beside_a_session_is_not_overlooked(paper: PaperDesk, signed_in: SignIn) -> None:
    person = signed_in(paper.trader)
    assert person.get("/connectors")[0] == 200
    assert refusal(person.get("/connectors", Authorization="Bearer nonsense")) == (401, "KEY_MALFORMED")


def test_each_scope_opens_its_own_doors_only(paper: PaperDesk, body: Make) -> None:
    reader, proposer, halter = (key_with(paper, scope) for scope in ("read", "propose", "halt"))

    assert proposer.propose(body())[0] == 201
    assert refusal(reader.propose(body(quantity="0.02"))) == (403, "SCOPE_MISSING")
    assert refusal(halter.propose(body(quantity="0.02"))) == (403, "SCOPE_MISSING")
    assert reader.get("/trades/proposals")[0] == 200
    assert refusal(proposer.get("/trades/proposals")) == (403, "SCOPE_MISSING")
    assert refusal(reader.post("/trading-state/halt", {})) == (403, "SCOPE_MISSING")
    assert halter.post("/trading-state/halt", {"reason": "Enough."})[0] == 200
    assert TradingState.objects.get(scope="global").state == "HALTED"


def test_a_key_never_decides(bot: Caller, body: Make, paper: PaperDesk) -> None:
    _, proposal = bot.propose(body())
    owned_by_approver = key_with(paper, "read", "halt", owner=paper.approver)
    for caller in (bot, owned_by_approver):
        for answer in (
            caller.get("/approvals"),
            caller.get(f"/approvals/{proposal['id']}"),
            caller.post(f"/approvals/{proposal['id']}/approve", {}),
            caller.post(f"/approvals/{proposal['id']}/decline", {}),
        ):
            assert refusal(answer) == (403, "PERSON_REQUIRED")
    assert Proposal.objects.get(pk=proposal["id"]).state == "AWAITING_APPROVAL"


def test_a_trader_may_propose_in_the_browser_and_an_approver_may_not(
    paper: PaperDesk, body: Make, signed_in: SignIn
) -> None:
    status, said = signed_in(paper.trader).propose(body())
    assert status == 201, said
    assert Proposal.objects.get(pk=said["id"]).api_key_id is None
    for person in (paper.approver, UserFactory(username="stranger")):
        assert refusal(signed_in(person).propose(body(quantity="0.02"))) == (403, "NOT_PERMITTED")


def test_a_browser_needs_the_csrf_token(paper: PaperDesk, body: Make) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(paper.trader, backend="allauth.account.auth_backends.AuthenticationBackend")
    person = Caller(client)
    assert refusal(person.propose(body())) == (403, "CSRF_FAILED")

    token = "a" * 32
    client.cookies["csrftoken"] = token
    person.headers["X-CSRFToken"] = token
    assert person.propose(body())[0] == 201


def test_another_desks_proposal_is_not_there(bot: Caller, body: Make, paper: PaperDesk, signed_in: SignIn) -> None:
    _, proposal = bot.propose(body())
    path = f"/trades/proposals/{proposal['id']}"
    assert bot.get(path)[0] == 200
    assert signed_in(paper.approver).get(path)[0] == 200

    stranger = UserFactory(username="stranger-approver", role="approver")
    ungranted = key_with(paper, "read", "propose", granted=False)
    colleague = UserFactory(username="colleague", role="trader", desk=paper.desk)
    colleagues_key = key_with(paper, "read", "propose", owner=colleague)
    for caller in (signed_in(stranger), ungranted, colleagues_key):
        assert refusal(caller.get(path)) == (404, "PROPOSAL_UNKNOWN")
        assert caller.get("/trades/proposals")[1]["items"] == []
    assert refusal(signed_in(stranger).get(f"/approvals/{proposal['id']}")) == (404, "PROPOSAL_UNKNOWN")


def test_only_its_proposer_withdraws_a_proposal(bot: Caller, body: Make, paper: PaperDesk, signed_in: SignIn) -> None:
    _, proposal = bot.propose(body())
    path = f"/trades/proposals/{proposal['id']}/withdraw"
    colleague = UserFactory(username="colleague", role="trader", desk=paper.desk)
    assert refusal(signed_in(colleague).post(path)) == (404, "PROPOSAL_UNKNOWN")
    assert refusal(signed_in(paper.approver).post(path)) == (403, "NOT_PERMITTED")
    assert refusal(bot.post(f"/trades/proposals/{uuid4()}/withdraw")) == (404, "PROPOSAL_UNKNOWN")

    status, said = bot.post(path, {"reason": "The wind changed."})
    assert (status, said["state"], said["end_reason"]) == (200, "WITHDRAWN", "The wind changed.")
    assert refusal(bot.post(path)) == (409, "PROPOSAL_NOT_WAITING")


def test_a_key_proposes_only_where_it_is_granted(bot: Caller, body: Make, paper: PaperDesk) -> None:
    other = connect_paper(paper.desk, paper.simulator, f"other-{uuid4().hex[:6]}", timezone.now())
    assert bot.propose(body())[0] == 201
    assert refusal(bot.propose(body(connection=other.slug))) == (404, "CONNECTION_UNKNOWN")
    assert [item["connection"] for item in bot.get("/connectors")[1]["items"]] == [paper.connection.slug]


def test_who_loses_the_role_loses_it_in_every_program(bot: Caller, body: Make, paper: PaperDesk) -> None:
    assert bot.propose(body())[0] == 201
    paper.trader.groups.clear()
    assert refusal(bot.propose(body(quantity="0.02"))) == (403, "NOT_PERMITTED")
    User.objects.filter(pk=paper.trader.pk).update(is_active=False)
    assert refusal(bot.propose(body(quantity="0.02"))) == (401, "OWNER_INACTIVE")


def test_each_caller_has_a_rate_of_its_own(paper: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    from rest_framework.settings import api_settings

    monkeypatch.setattr("apps.common.api.rates.time.time", lambda: 1_000_000_020.0)
    monkeypatch.setitem(api_settings.DEFAULT_THROTTLE_RATES, "read", "3/min")
    cache.clear()
    busy, calm = key_with(paper, "read"), key_with(paper, "read")
    assert [busy.get("/connectors")[0] for _ in range(5)] == [200, 200, 200, 429, 429]
    status, said = busy.get("/connectors")
    assert (status, said["code"]) == (429, "RATE_EXCEEDED")
    assert 1 <= int(busy.last["Retry-After"]) <= 60
    assert calm.get("/connectors")[0] == 200

    # The next minute begins with most of the last one still counted, and ends free.
    monkeypatch.setattr("apps.common.api.rates.time.time", lambda: 1_000_000_080.0)
    assert busy.get("/connectors")[0] == 429
    monkeypatch.setattr("apps.common.api.rates.time.time", lambda: 1_000_000_200.0)
    assert busy.get("/connectors")[0] == 200


def test_no_secret_reaches_the_log_or_an_answer(
    body: Make, paper: PaperDesk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = "c0ffee" * 10 + "beef"
    caplog.set_level(logging.DEBUG)
    said = []
    for header in (
        f"Bearer aika_{'a' * 12}_{canary}",
        f"Bearer {canary}",
        f"Basic {canary}",
        paper.authorization,
    ):
        caller = with_header(header)
        caller.get("/connectors")
        said.append(caller.last.content.decode())
        caller.propose(body(side=canary, connection="x"))
        caller.post("/trades/proposals", b"{", Idempotency_Key="k")
        said.append(caller.last.content.decode())
    monkeypatch.setattr("apps.connectors.api.views.connections_for", lambda principal: 1 / 0)
    status, broken = with_header(paper.authorization).get("/connectors")
    assert (status, broken["code"]) == (500, "INTERNAL_ERROR")
    assert "ZeroDivisionError" in caplog.text
    assert "division" not in broken["detail"]
    texts = caplog.text + "".join(said)
    assert canary not in texts
    assert paper.authorization.rpartition("_")[2] not in texts
