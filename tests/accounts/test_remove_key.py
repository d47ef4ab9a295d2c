"""A security key is taken away by its own person, through the form that writes it down, and in no other way."""

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.test import Client, override_settings
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.models import Event
from tests.accounts.test_second_factor import clock
from tests.factories.soft_key import SoftKey, app_for, code_of

__all__ = ["clock"]
pytestmark = pytest.mark.django_db


def key_of(person: User) -> Authenticator:
    SoftKey().belongs_to(person)
    return Authenticator.objects.get(user=person, type="webauthn")


def shown_lately(person: User) -> Client:
    """In, and with a factor shown a moment ago: nothing but whose key it is stands in the way."""
    client, secret = Client(), app_for(person)
    client.force_login(person)
    client.post(reverse("mfa_reauthenticate"), {"code": code_of(secret)})
    return client


def test_ones_own_goes_and_a_colleagues_stays(approver: User, approver2: User) -> None:
    own, theirs, client = key_of(approver), key_of(approver2), shown_lately(approver)
    for method in ("get", "post"):
        assert getattr(client, method)(reverse("mfa_remove_webauthn", args=[theirs.pk])).status_code == 404
    assert Authenticator.objects.filter(pk=theirs.pk).exists()
    assert client.get(reverse("mfa_remove_webauthn", args=[own.pk])).status_code == 200
    client.post(reverse("mfa_remove_webauthn", args=[own.pk]))
    assert not Authenticator.objects.filter(pk=own.pk).exists()
    assert Event.objects.filter(kind="user.second_factor_removed").count() == 1


def test_no_other_method_takes_it_past_the_form(approver: User) -> None:
    own, client = key_of(approver), shown_lately(approver)
    page = reverse("mfa_remove_webauthn", args=[own.pk])
    for method in ("put", "patch", "delete"):
        assert getattr(client, method)(page).status_code == 405
    assert Authenticator.objects.filter(pk=own.pk).exists()
    past = [one for one in settings.MIDDLEWARE if one != "apps.common.methods.MethodsMiddleware"]
    unguarded = Client()
    unguarded.cookies.update(client.cookies)
    with override_settings(MIDDLEWARE=past):
        unguarded.delete(page)
    assert not Authenticator.objects.filter(pk=own.pk).exists(), "the view alone refuses it: then this can go"
    assert not Event.objects.filter(kind="user.second_factor_removed").exists()
