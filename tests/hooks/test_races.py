"""Deliveries that meet: the same one at the same moment makes one proposal, whatever way its sender proves itself."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.trades.models import HookCall, Proposal
from apps.trades.selectors import hooks as selectors
from apps.trades.services import hook_intake
from tests.factories.desk import PaperDesk
from tests.hooks.conftest import Sender, make_sender
from tests.races.conftest import desk as desk
from tests.races.conftest import meet_after, together

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
RACERS = 6


def sending(sender: Sender, body: bytes, signature: str = "", delivery: str = "") -> Callable[[], tuple[int, Any]]:
    headers = {"Aika-Signature": signature, "Aika-Delivery": delivery}
    headers = {name: value for name, value in headers.items() if value}

    def send() -> tuple[int, Any]:
        answer = Client(raise_request_exception=False).post(
            sender.hook.path, body, content_type="application/json", headers=headers
        )
        return answer.status_code, answer.json()

    return send


def test_one_signed_request_at_once_makes_one_proposal(desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = make_sender(desk)
    body = sender.body()
    signature = sender.signed(body)
    meet_after(monkeypatch, selectors, "is_signature_used", RACERS)
    answers = together([sending(sender, body, signature)] * RACERS)

    assert sorted(status for status, _ in answers) == [201, *[409] * (RACERS - 1)], answers
    assert {said["code"] for status, said in answers if status == 409} == {"HOOK_REPLAYED"}
    assert Proposal.objects.count() == 1
    assert HookCall.objects.exclude(signature_digest="").count() == 1
    assert HookCall.objects.count() == RACERS


def test_one_signature_under_many_names_makes_one_proposal(desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a delivery is not signed: who overhears a request cannot make another of it by another name."""
    sender = make_sender(desk)
    body = sender.body()
    signature = sender.signed(body)
    meet_after(monkeypatch, selectors, "is_signature_used", RACERS)
    answers = together([sending(sender, body, signature, f"name-{number}") for number in range(RACERS)])

    assert sorted(status for status, _ in answers) == [201, *[409] * (RACERS - 1)], answers
    assert Proposal.objects.count() == 1


def test_one_delivery_signed_anew_at_once_makes_one_proposal(desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = make_sender(desk)
    body = sender.body()
    signatures = [sender.signed(body, at=moment) for moment in _moments()]
    meet_after(monkeypatch, selectors, "is_signature_used", RACERS)
    answers = together([sending(sender, body, signature, "d-1") for signature in signatures])

    assert {status for status, _ in answers} == {201}, answers
    assert len({said["id"] for _, said in answers}) == 1
    assert Proposal.objects.count() == 1
    assert sorted(HookCall.objects.values_list("outcome", flat=True)) == ["PROPOSED", *["REPEATED"] * (RACERS - 1)]


def test_one_body_with_its_secret_at_once_makes_one_proposal(desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = make_sender(desk, "body_secret")
    meet_after(monkeypatch, selectors, "last_delivery", RACERS)
    answers = together([sending(sender, sender.body())] * RACERS)

    assert {status for status, _ in answers} == {201}, answers
    assert len({said["id"] for _, said in answers}) == 1
    assert Proposal.objects.count() == 1


def test_looking_first_would_not_be_enough(desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: each call has a name of its own, and only a look whether the body was there before. All look before
    one has written."""
    sender = make_sender(desk, "body_secret")
    numbers = iter(range(RACERS))
    monkeypatch.setattr(
        hook_intake, "_delivery_key", lambda call, hook, delivery_id, now: f"body:{call.body_digest}:{next(numbers)}"
    )
    answers = together([sending(sender, sender.body())] * 3)

    assert {status for status, _ in answers} == {201}, answers
    assert Proposal.objects.count() == 3


def _moments() -> list[float]:
    return [time.time() - number for number in range(RACERS)]
