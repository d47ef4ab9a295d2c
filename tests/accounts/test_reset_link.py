"""The link of a forgotten password: its key waits sealed in the session, and sets the password once."""

import re

import pytest
from allauth.account.views import INTERNAL_RESET_SESSION_KEY
from cryptography.fernet import Fernet
from django.core import mail
from django.core.cache import cache
from django.test import Client, override_settings

from apps.accounts.models import User
from apps.accounts.tasks import send_reset_link

pytestmark = pytest.mark.django_db
NEW = "another long enough passphrase"
FORM = {"password1": NEW, "password2": NEW}


def opened(person: User) -> tuple[Client, str, str]:
    """A browser that followed the link, the address of its form, and the key in the link."""
    cache.clear()
    client = Client()
    assert send_reset_link(person_id=str(person.pk), origin="http://testserver")
    found = re.search(r"/accounts/password/reset/key/\w+?-([\w-]+)/", str(mail.outbox[-1].body))
    assert found is not None
    return client, client.get(found[0])["Location"], found[1]


def test_the_key_waits_sealed_and_sets_the_password(approver: User) -> None:
    client, form, key = opened(approver)
    for answer in (client.get(form), client.post(form, {"password1": NEW, "password2": "x"})):
        assert answer.status_code == 200 and b"password1" in answer.content
        kept = client.session[INTERNAL_RESET_SESSION_KEY]
        assert kept.startswith("sealed:") and key not in kept
    client.post(form, FORM)
    approver.refresh_from_db()
    assert approver.check_password(NEW)


def test_what_does_not_open_is_a_link_that_is_not_good(approver: User) -> None:
    client, form, key = opened(approver)
    with override_settings(TOKEN_ENCRYPTION_KEYS=(Fernet.generate_key().decode(),)):
        answer = client.post(form, FORM)
    assert answer.status_code == 200 and b"password1" not in answer.content
    stranger = Client()
    stranger.post(form, FORM)
    approver.refresh_from_db()
    assert not approver.check_password(NEW) and key
