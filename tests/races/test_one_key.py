"""Eight requests at once with one Idempotency-Key: one proposal, and one answer for all of them."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from apps.accounts.models import IdempotencyRecord
from apps.accounts.services import idempotency
from apps.connectors.types import Side
from apps.trades.models import Proposal
from tests.factories.desk import BTC, PaperDesk
from tests.races.conftest import meet_after, together

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

RACERS = 8


def asking(desk: PaperDesk, key: str) -> Any:
    body = {
        "connection": desk.connection.slug,
        "instrument": BTC,
        "side": "BUY",
        "order_type": "LIMIT",
        "time_in_force": "GTC",
        "quantity": "0.01",
        "limit_price": str(desk.crossing_price(BTC, Side.BUY)),
    }

    def ask() -> tuple[int, Any, str | None]:
        answer = Client(raise_request_exception=False).post(
            "/api/v1/trades/proposals",
            json.dumps(body),
            content_type="application/json",
            headers={"Authorization": desk.authorization, "Idempotency-Key": key},
        )
        return answer.status_code, answer.json(), answer.get("Idempotent-Replayed")

    return ask


def test_one_key_makes_one_proposal(desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    meet_after(monkeypatch, idempotency, "settled", RACERS)
    answers = together([asking(desk, str(uuid4()))] * RACERS)

    assert {status for status, _, _ in answers} == {201}, answers
    assert len({json.dumps(said) for _, said, _ in answers}) == 1
    assert sorted(replayed or "" for _, _, replayed in answers) == ["", *["true"] * (RACERS - 1)]
    assert Proposal.objects.count() == IdempotencyRecord.objects.count() == 1


def test_without_the_key_that_race_would_make_many(desk: PaperDesk) -> None:
    """The mutant: a key of its own for each. What holds the race above is the key, and nothing else."""
    answers = together([asking(desk, str(uuid4())) for _ in range(3)])

    assert {status for status, _, _ in answers} == {201}, answers
    assert Proposal.objects.count() == 3
