"""Who shows again who they are goes on under a new session key, and no longer than before."""

from typing import Any

import pytest
import time_machine
from django.contrib.sessions.exceptions import SessionInterrupted
from django.test import Client
from django.urls import reverse

from apps.accounts.models import BrowserSession, User
from apps.accounts.services import sessions
from apps.accounts.services.browser_sessions import hash_of
from apps.accounts.session_store import SessionStore
from tests.accounts.test_second_factor import clock, is_in, options_in
from tests.factories.accounts import PASSWORD
from tests.factories.soft_key import SoftKey, app_for, code_of

__all__ = ["clock"]
pytestmark = pytest.mark.django_db


def by_password(client: Client, person: User, shows: bool) -> None:
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD if shows else "not it"})


def by_code(client: Client, person: User, shows: bool) -> None:
    secret = app_for(person)
    wrong = "000000" if code_of(secret) != "000000" else "111111"
    client.post(reverse("mfa_reauthenticate"), {"code": code_of(secret) if shows else wrong})


def by_key(client: Client, person: User, shows: bool) -> None:
    key = SoftKey().belongs_to(person)
    asked = options_in(client.get(reverse("mfa_reauthenticate_webauthn"), secure=True))
    answer = (key if shows else SoftKey()).get(asked)
    client.post(reverse("mfa_reauthenticate_webauthn"), {"credential": answer}, secure=True)


def by_setting_one_up(client: Client, person: User, shows: bool) -> None:
    by_password(client, person, True)
    # What showing the password did is not what is looked at here.
    client.began_at = client.cookies["sessionid"].value  # type: ignore[attr-defined]
    code = code_of(client.get(reverse("mfa_activate_totp")).context["form"].secret)
    wrong = "000000" if code != "000000" else "111111"
    client.post(reverse("mfa_activate_totp"), {"code": code if shows else wrong})


@pytest.mark.parametrize("shows", [True, False])
@pytest.mark.parametrize("show", [by_password, by_code, by_key, by_setting_one_up])
def test_who_shows_again_who_they_are_goes_on_under_a_new_key_and_no_longer(
    approver: User, clock: time_machine.Traveller, show: Any, shows: bool
) -> None:
    client = Client()
    client.force_login(approver)
    begun = BrowserSession.objects.get().created_at
    clock.shift(60)
    before = client.cookies["sessionid"].value
    show(client, approver, shows)
    before = getattr(client, "began_at", before)

    after = client.cookies["sessionid"].value
    assert (after != before) is shows
    assert (sessions.person_of_session(before) is None) is shows
    assert sessions.person_of_session(after) == approver
    row = BrowserSession.objects.get()
    assert row.created_at == begun, "the longest a session may last began again"
    assert (row.key_hash, row.person_id) == (hash_of(after), approver.pk)
    thief = Client()
    thief.cookies["sessionid"] = before
    assert is_in(thief) is not shows


def test_a_session_that_was_ended_meanwhile_gets_no_new_key(approver: User) -> None:
    client = Client()
    client.force_login(approver)
    store = SessionStore(client.cookies["sessionid"].value)
    store.load()
    BrowserSession.objects.all().delete()
    with pytest.raises(SessionInterrupted):
        store.renew_key()
    assert not BrowserSession.objects.exists()
