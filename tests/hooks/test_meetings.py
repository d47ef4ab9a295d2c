"""Two same deliveries that meet, on either database: the second comes whole between the first one's look and its write.

Threads do the same on PostgreSQL (test_races.py); here the order is set, so that SQLite shows it too.
"""

from typing import Any

import pytest

from apps.trades.models import HookCall, Proposal
from apps.trades.selectors import hooks as selectors
from apps.trades.services import hook_intake
from tests.factories.desk import PaperDesk
from tests.hooks.conftest import Sender, make_sender

pytestmark = pytest.mark.django_db


def overtaken(monkeypatch: pytest.MonkeyPatch, name: str, other: Any) -> list[Any]:
    """`selectors.name` answers, then `other` happens, once, before the caller goes on."""
    original, answers = getattr(selectors, name), []

    def slow(*args: Any) -> Any:
        found = original(*args)
        if not answers:
            answers.append(None)
            answers[0] = other()
        return found

    monkeypatch.setattr(selectors, name, slow)
    return answers


def test_a_signed_request_that_is_overtaken_by_itself(signing: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    body = signing.body()
    signature = signing.signed(body)
    first = overtaken(monkeypatch, "is_signature_used", lambda: signing.send(body, signature=signature))
    status, said = signing.send(body, signature=signature)

    assert first[0][0] == 201
    assert (status, said["code"]) == (409, "HOOK_REPLAYED")
    assert Proposal.objects.count() == 1
    assert sorted(signing.codes) == [("PROPOSED", "PROPOSED"), ("REFUSED", "HOOK_REPLAYED")]


def test_one_signature_overtaken_under_another_name(signing: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    body = signing.body()
    signature = signing.signed(body)
    overtaken(monkeypatch, "is_signature_used", lambda: signing.send(body, signature=signature, delivery="one"))
    status, said = signing.send(body, signature=signature, delivery="two")

    assert (status, said["code"]) == (409, "HOOK_REPLAYED")
    assert Proposal.objects.count() == 1


def test_a_refused_request_that_is_overtaken_by_itself(signing: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    body = signing.body(ticker="NOPE")
    signature = signing.signed(body)
    overtaken(monkeypatch, "is_signature_used", lambda: signing.send(body, signature=signature))
    status, said = signing.send(body, signature=signature)

    assert (status, said["code"]) == (422, "HOOK_VALUE_UNMAPPED")
    assert HookCall.objects.count() == 2
    assert HookCall.objects.exclude(signature_digest="").count() == 1


def test_a_body_with_its_secret_that_is_overtaken_by_itself(charting: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    first = overtaken(monkeypatch, "last_delivery", charting.send)
    status, said = charting.send()

    assert (status, said["id"]) == (201, first[0][1]["id"])
    assert charting.last["Idempotent-Replayed"] == "true"
    assert Proposal.objects.count() == 1


def test_looking_first_would_not_be_enough(paper: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: each call names its delivery itself, and only a look tells that the body was there before."""
    sender, numbers = make_sender(paper, "body_secret"), iter(range(9))
    original = hook_intake._delivery_key

    def naive(*args: Any) -> str:
        return f"{original(*args)}:{next(numbers)}"

    monkeypatch.setattr(hook_intake, "_delivery_key", naive)
    overtaken(monkeypatch, "last_delivery", sender.send)
    assert sender.send()[0] == 201
    assert Proposal.objects.count() == 2
