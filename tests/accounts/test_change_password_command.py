"""manage.py changepassword: a new password leaves an event and ends sessions, whoever sets it and from where."""

import getpass
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.management.commands import changepassword as of_django
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse

from apps.accounts.models import BrowserSession, User
from apps.audit.models import Event
from apps.audit.selectors import facts_of
from apps.audit.services import events
from tests.factories.accounts import PASSWORD

pytestmark = pytest.mark.django_db

NEW = "a new and long enough passphrase"
WEAK = "password1"

Change = Callable[..., str]


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Change:
    """Runs the command as somebody who types these, each once."""

    def changing(*typed: str, username: str | None = None, command: Any = "changepassword") -> str:
        left, said = iter(typed), io.StringIO()
        monkeypatch.setattr(getpass, "getpass", lambda prompt="": next(left))
        monkeypatch.setattr(getpass, "getuser", lambda: "nobody")
        call_command(command, *([username] if username else []), stdout=said, stderr=said)
        return said.getvalue()

    return changing


@pytest.fixture
def signed_in(approver: User) -> Client:
    """The approver's browser."""
    client = Client()
    client.post(reverse("account_login"), {"login": approver.username, "password": PASSWORD})
    assert is_in(client)
    return client


def is_in(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def left_behind(kind: str = "user.password_set") -> list[Any]:
    return [facts_of(event) for event in Event.objects.filter(kind=kind).order_by("pk")]


def test_it_is_an_event_and_every_session_ends(change: Change, approver: User, signed_in: Client) -> None:
    assert "has a new password" in change(NEW, NEW, username=approver.username)
    approver.refresh_from_db()
    (fact,), (ended,) = left_behind(), left_behind("user.sessions_ended")
    assert approver.check_password(NEW) and not is_in(signed_in)
    assert fact["subject"] == ended["subject"] == f"user:{approver.pk}"
    assert fact["actor"]["name"] == ended["actor"]["name"] == "manage.py changepassword"
    assert fact["payload"] == {"username": approver.username} and ended["payload"]["why"] == "new password"
    assert NEW not in str(fact) and approver.password not in str(fact)


def test_sessions_of_others_go_on(change: Change, trader: User, signed_in: Client) -> None:
    change(NEW, NEW, username=trader.username)
    assert is_in(signed_in) and left_behind("user.sessions_ended") == []


@pytest.mark.parametrize(
    "typed",
    [(WEAK, WEAK) * 3, (NEW, NEW + "x") * 3, ("",), (NEW, "")],
    ids=["too weak", "not the same", "nothing", "nothing the second time"],
)
def test_what_is_refused_changes_nothing_and_leaves_nothing(
    change: Change, approver: User, signed_in: Client, typed: tuple[str, ...]
) -> None:
    events_before = Event.objects.count()
    with pytest.raises(CommandError):
        change(*typed, username=approver.username)
    approver.refresh_from_db()
    assert approver.check_password(PASSWORD) and is_in(signed_in)
    assert Event.objects.count() == events_before and BrowserSession.objects.count() == 1


def test_a_better_one_is_taken_after_a_refusal(change: Change, approver: User) -> None:
    said = change(WEAK, WEAK, NEW, NEW, username=approver.username)
    approver.refresh_from_db()
    assert "too common" in said and approver.check_password(NEW) and len(left_behind()) == 1


def test_nobody_of_that_name_is_said(change: Change) -> None:
    with pytest.raises(CommandError, match="nobody"):
        change(NEW, NEW)


def test_without_its_event_the_old_password_stays(
    change: Change, approver: User, signed_in: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_fact: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(events, "record", full)
    with pytest.raises(OSError, match="full"):
        change(NEW, NEW, username=approver.username)
    approver.refresh_from_db()
    assert approver.check_password(PASSWORD) and BrowserSession.objects.count() == 1


def test_django_s_own_command_leaves_no_trace(change: Change, approver: User) -> None:
    change(NEW, NEW, username=approver.username, command=of_django.Command())
    approver.refresh_from_db()
    assert approver.check_password(NEW) and left_behind() == []
