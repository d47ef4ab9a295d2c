"""One `Idempotency-Key`, one proposal: the first answer again, byte for byte."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.models import IdempotencyRecord
from apps.trades.models import Proposal
from apps.trades.services import intake, proposals
from tests.api.conftest import Caller, with_header
from tests.factories.accounts import issue_key
from tests.factories.desk import PaperDesk

pytestmark = pytest.mark.django_db

Make = Callable[..., dict[str, Any]]


def test_the_key_is_needed(bot: Caller, body: Make) -> None:
    status, said = bot.post("/trades/proposals", body())
    assert (status, said["code"], said["field"]) == (400, "IDEMPOTENCY_KEY_MISSING", "Idempotency-Key")
    for wrong in ("", "a b", "ä", "x" * 256):
        status, said = bot.post("/trades/proposals", body(), Idempotency_Key=wrong)
        assert (status, said["code"]) == (400, "IDEMPOTENCY_KEY_MALFORMED"), wrong
    assert not Proposal.objects.exists()


def test_the_same_request_gets_the_first_answer(bot: Caller, body: Make) -> None:
    asked, key = body(), str(uuid4())
    bot.propose(asked, key)
    first = bot.last
    assert "Idempotent-Replayed" not in first

    # The same meaning in other bytes is the same request.
    bot.propose(json.dumps(dict(reversed(asked.items())), indent=2), key)

    again = bot.last
    assert (again.status_code, again.content) == (201, first.content)
    assert again["Idempotent-Replayed"] == "true"
    assert again["Location"] == first["Location"]
    assert Proposal.objects.count() == IdempotencyRecord.objects.count() == 1


def test_a_denial_is_kept_too(bot: Caller, body: Make) -> None:
    asked, key = body(quantity="0.4"), str(uuid4())
    _, first = bot.propose(asked, key)
    status, again = bot.propose(asked, key)
    assert (status, again, again["state"]) == (201, first, "DENIED")
    assert Proposal.objects.count() == 1


def test_the_key_for_something_else_is_refused(bot: Caller, body: Make) -> None:
    key = str(uuid4())
    _, first = bot.propose(body(), key)
    status, said = bot.propose(body(quantity="0.02"), key)
    assert (status, said["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    status, said = bot.post(f"/trades/proposals/{first['id']}/withdraw", {}, Idempotency_Key=key)
    assert (status, said["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert Proposal.objects.get().state == "AWAITING_APPROVAL"


def test_a_refused_request_leaves_the_key_free(bot: Caller, body: Make) -> None:
    key = str(uuid4())
    assert bot.propose(body(quantity="-1"), key)[0] == 400
    assert bot.propose(body(), key)[0] == 201


def test_keys_of_two_programs_do_not_meet(bot: Caller, body: Make, paper: PaperDesk) -> None:
    from django.utils import timezone

    from apps.accounts.services import people
    from apps.connectors.services import connections

    other, header = issue_key(owner=paper.trader, now=timezone.now())
    connections.grant(connection=paper.connection, api_key=other, actor=people.actor_of(paper.risk), now=timezone.now())
    key = str(uuid4())
    assert bot.propose(body(), key)[0] == 201
    assert with_header(header).propose(body(quantity="0.02"), key)[0] == 201
    assert Proposal.objects.count() == 2


def test_a_withdrawal_may_be_repeated_with_a_key(bot: Caller, body: Make) -> None:
    _, proposal = bot.propose(body())
    path, key = f"/trades/proposals/{proposal['id']}/withdraw", str(uuid4())
    status, first = bot.post(path, {"reason": "Late."}, Idempotency_Key=key)
    assert (status, first["state"]) == (200, "WITHDRAWN")
    status, again = bot.post(path, {"reason": "Late."}, Idempotency_Key=key)
    assert (status, again) == (200, first)
    assert bot.last["Idempotent-Replayed"] == "true"
    assert bot.post(path, {"reason": "Late."})[0] == 409


def test_who_loses_the_race_gets_the_winners_answer(bot: Caller, body: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loser has looked and found nothing; the winner commits while the loser is being judged."""
    asked, key = body(), str(uuid4())
    real, winner = proposals.propose, {}

    def slow(**arguments: Any) -> Proposal:
        monkeypatch.setattr(intake.proposals, "propose", real)
        winner["answer"] = bot.propose(asked, key)
        return real(**arguments)

    monkeypatch.setattr(intake.proposals, "propose", slow)
    status, said = bot.propose(asked, key)

    assert (status, said) == winner["answer"]
    assert bot.last["Idempotent-Replayed"] == "true"
    assert Proposal.objects.count() == 1
