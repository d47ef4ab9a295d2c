"""Two batches at once on one connection: what one makes counts against the other, and a key makes one proposal."""

import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from apps.accounts.models import IdempotencyRecord
from apps.accounts.services import idempotency
from apps.connectors.models import Connection
from apps.connectors.types import Side
from apps.trades.models import Proposal
from apps.trades.services import batches, judging
from tests.factories.desk import BTC, PaperDesk
from tests.factories.trading import change_policy, rules_with
from tests.races.conftest import meet_after, together

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

ALLOWED = 8
EACH = 6


def asking(desk: PaperDesk, keys: Sequence[str], *, first: int = 0) -> Callable[[], list[Any]]:
    """A batch with an item for each key, no two alike in quantity from `first` on."""
    price = str(desk.crossing_price(BTC, Side.BUY))
    items = [
        {
            "connection": desk.connection.slug,
            "instrument": BTC,
            "side": "BUY",
            "order_type": "LIMIT",
            "time_in_force": "GTC",
            "quantity": f"0.01{first + place:03d}1",
            "limit_price": price,
            "idempotency_key": key,
        }
        for place, key in enumerate(keys)
    ]

    def ask() -> list[Any]:
        answer = Client(raise_request_exception=False).post(
            "/api/v1/trades/proposals/batch",
            json.dumps({"items": items}),
            content_type="application/json",
            headers={"Authorization": desk.authorization},
        )
        assert answer.status_code == 207, answer.content
        found: list[Any] = answer.json()["items"]
        return found

    return ask


def keys(count: int) -> list[str]:
    return [str(uuid4()) for _ in range(count)]


def race(desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> int:
    """Two batches that meet once each has read how many came before: how many are not denied."""
    change_policy(desk, rules_with(rate_proposer={"max_count": str(ALLOWED)}))
    meet_after(monkeypatch, judging, "prepared", 2)
    works = [asking(desk, keys(EACH), first=100 * turn) for turn in range(2)]
    answers = together(works)
    states = [one["proposal"]["state"] for said in answers for one in said]
    assert len(states) == 2 * EACH
    return states.count("AWAITING_APPROVAL")


def test_what_one_batch_makes_counts_against_the_other(desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert race(desk, monkeypatch) == ALLOWED


def test_without_the_lock_both_would_pass(desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: the connection is read and not held."""

    def unlocked(connection_id: Any) -> Connection:
        return Connection.objects.select_related("desk").get(pk=connection_id)

    monkeypatch.setattr(batches, "locked_connection", unlocked)
    assert race(desk, monkeypatch) == 2 * EACH


def test_equal_batches_make_each_proposal_once(desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    meet_after(monkeypatch, idempotency, "settled_each", 2)
    wanted = keys(EACH)
    answers = together([asking(desk, wanted)] * 2)

    made = [[one["proposal"]["id"] for one in said] for said in answers]
    assert made[0] == made[1]
    assert sorted(sum(one["replayed"] for one in said) for said in answers) == [0, EACH]
    assert Proposal.objects.count() == IdempotencyRecord.objects.count() == EACH
