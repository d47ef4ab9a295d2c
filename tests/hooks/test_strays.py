"""Calls of names that no hook has: each is kept or counted, people read it, and a stranger cannot fill the table."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.selectors import open_alarms
from apps.common.api import rates
from apps.trades.api import hooks as door
from apps.trades.models import HookCall, Proposal
from apps.trades.services import hook_counting
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.alarms import swept
from tests.factories.desk import PaperDesk
from tests.hooks.conftest import Sender

pytestmark = pytest.mark.django_db
CALLS = "admin:trades_hookcall_changelist"
WRONG = "t=1,v1=" + "0" * 64


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    """What other tests called counts for nothing here."""
    cache.clear()


def call(name: str, address: str = "192.0.2.1", body: bytes = b'{"a": 1}') -> tuple[int, str]:
    """A stranger's call: its status and code."""
    client = Client(raise_request_exception=False, REMOTE_ADDR=address)
    answer = client.post(f"/hooks/{name}", body, content_type="application/json")
    return answer.status_code, answer.json()["code"]


def strays() -> list[HookCall]:
    return list(HookCall.objects.filter(hook=None).order_by("called_at"))


def told() -> int:
    """How many calls the rows speak of."""
    rows = HookCall.objects.filter(hook=None)
    return rows.count() + (rows.aggregate(Sum("counted"))["counted__sum"] or 0)


def opened(person: User, url: str) -> str:
    client = Client()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client.get(url).content.decode()


@contextmanager
def clock(at: datetime, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The door's clock; the cache forgets what it was to remember for an hour, as it has by then."""
    cache.delete("hook:over:strays")
    with monkeypatch.context() as patch:
        patch.setattr(door.timezone, "now", lambda: at)
        yield


def test_what_was_called_by_whom_and_why_nothing_came_of_it_is_kept() -> None:
    assert call("btc-alert", body=b'{"secret": "s3cret"}') == (401, "HOOK_NOT_AUTHENTIC")
    (kept,) = strays()
    assert (kept.name, kept.address, kept.outcome, kept.status, kept.code) == (
        *("btc-alert", "192.0.2.1", "REFUSED", 401, "HOOK_NOT_AUTHENTIC"),
    )
    assert kept.reason == "No hook has this name."
    assert (kept.body_bytes, len(kept.body_digest), kept.payload) == (20, 64, ""), "nobody vouches for what was sent"
    assert (kept.proposal, Proposal.objects.count()) == (None, 0)
    assert call("x" * 300, body=b" " * 70_000) == (413, "BODY_TOO_LARGE")
    assert strays()[-1].name == "x" * 50


def test_a_call_of_a_hook_is_none_of_nobody(signing: Sender) -> None:
    signing.send(signature=WRONG)
    assert (strays(), [row.name for row in signing.calls]) == ([], [""])


def test_the_database_takes_no_call_of_neither_a_hook_nor_a_name(signing: Sender) -> None:
    row = {"called_at": timezone.now(), "outcome": "REFUSED", "status": 401, "code": "X"}
    for wrong in ({}, {"hook": signing.hook, "name": "x"}):
        with pytest.raises(IntegrityError, match="hook_call_of_a_hook_or_a_name"), transaction.atomic():
            HookCall.objects.create(**row, **wrong)


def test_one_caller_fills_no_table_and_leaves_room_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_counting, "STRAYS_OF_AN_ADDRESS_MAX", 3)
    for number in range(10):
        call(f"guess-{number}")
    assert [row.name for row in strays()] == ["guess-0", "guess-1", "guess-2", "guess-3"], "the fourth is this hour's"
    call("btc-alert", address="198.51.100.7")
    assert (strays()[-1].address, strays()[-1].counted) == ("198.51.100.7", 6), "and it tells of the others"
    assert told() == 11


def test_many_callers_fill_no_table_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_counting, "STRAYS_A_DAY_MAX", 3)
    now = timezone.now()
    for number in range(10):
        call("guess", address=f"192.0.2.{number}")
    assert len(strays()) == 4
    for hours in (1, 2):
        with clock(now + timedelta(hours=hours), monkeypatch):
            call("guess", address="198.51.100.1")
            call("guess", address="198.51.100.2")
    assert [row.counted for row in strays()[4:]] == [6, 1], "one an hour, with those between"
    with clock(now + timedelta(hours=27), monkeypatch):
        call("guess", address="198.51.100.3")
        call("guess", address="198.51.100.4")
    assert len(strays()) == 8, "another day has its own room"
    assert told() == 16


def test_who_is_turned_away_for_trying_too_often_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "FAILURES_PER_ADDRESS_MAX", 2)
    monkeypatch.setattr(hook_counting, "STRAYS_OF_AN_ADDRESS_MAX", 3)
    answers = [call("guess")[1] for _ in range(8)]
    assert answers == ["HOOK_NOT_AUTHENTIC"] * 2 + ["AUTHENTICATION_FAILURES"] * 6
    assert [row.code for row in strays()] == ["HOOK_NOT_AUTHENTIC"] * 2 + ["AUTHENTICATION_FAILURES"] * 2
    call("guess", address="198.51.100.7")
    assert told() == 9


def test_refusals_of_a_hook_beyond_its_rate_are_counted_for_the_next_that_is_kept(
    signing: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "FAILURES_PER_NAME_MAX", 3)
    for _ in range(8):
        signing.send(signature=WRONG)
    assert [row.counted for row in signing.calls] == [0, 0, 0, 0], "three failures, and one that is too many"
    call("elsewhere")
    assert strays()[0].counted == 0, "what is counted of a hook is told of this hook only"
    assert signing.send(signing.body(ticker="NOPE"))[0] == 422
    assert [row.counted for row in signing.calls] == [0, 0, 0, 0, 4]


def test_people_of_every_desk_read_of_it_and_of_their_own_hooks_only(signing: Sender, paper: PaperDesk) -> None:
    signing.send(signature=WRONG)
    call("btc-alert")
    far = UserFactory(username="far", role="auditor", desk=DeskFactory(slug="elsewhere"))
    for person, is_own in ((paper.approver, True), (far, False)):
        page = opened(person, reverse(CALLS))
        assert "none has the name btc-alert" in page
        assert (signing.hook.name in page) is is_own
    for row in strays():
        page = opened(far, reverse("admin:trades_hookcall_change", args=[row.pk]))
        assert "No hook has this name." in page and "192.0.2.1" in page
    assert "btc-alert" in opened(far, reverse(CALLS) + "?hook__isnull=True")
    assert "btc-alert" not in opened(paper.approver, reverse(CALLS) + f"?hook__id__exact={signing.hook.pk}")


def test_the_list_says_how_many_were_only_counted(paper: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_counting, "STRAYS_OF_AN_ADDRESS_MAX", 1)
    for _ in range(5):
        call("guess")
    call("guess", address="198.51.100.7")
    assert "HOOK_NOT_AUTHENTIC, and 3 others before it" in opened(paper.approver, reverse(CALLS))
    kept: Any = strays()[-1]
    page = opened(paper.approver, reverse("admin:trades_hookcall_change", args=[kept.pk]))
    assert "refused before it and only counted" in page.lower()


def test_strangers_are_no_alarm_of_a_hook(signing: Sender) -> None:
    stranger = replace(signing, hook=type(signing.hook)(name="nobody", mode="signed"))
    for _ in range(6):
        assert stranger.send()[0] == 401
    swept(timezone.now())
    assert not open_alarms().filter(code="HOOK_CALLS_REFUSED").exists()
