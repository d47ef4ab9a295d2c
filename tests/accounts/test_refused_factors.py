"""A second factor that was refused is an event and a line: whose, what was shown, from where."""

import json
import logging
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.services import second_factors
from apps.audit.models import Event
from tests.accounts.test_second_factor import clock, is_in, options_in, password
from tests.factories.soft_key import SoftKey, app_for, code_of

__all__ = ["clock"]
pytestmark = pytest.mark.django_db
FROM = {"REMOTE_ADDR": "10.0.0.7"}


def refusals() -> list[dict[str, Any]]:
    found = Event.objects.filter(kind="user.second_factor_refused").order_by("id")
    return [json.loads(bytes(event.body)) for event in found]


def wrong(secret: str) -> str:
    return "000000" if code_of(secret) != "000000" else "111111"


def test_a_refused_code_at_sign_in_is_an_event_and_a_line_that_repeat_no_code(
    approver: User, caplog: pytest.LogCaptureFixture
) -> None:
    secret, client = app_for(approver), Client()
    password(client, approver)
    with caplog.at_level(logging.WARNING, logger="apps.accounts"):
        client.post(reverse("mfa_authenticate"), {"code": wrong(secret)}, **FROM)
    (told,) = refusals()
    assert told["subject"] == f"user:{approver.pk}" and told["actor"]["id"] == "sign-in"
    assert told["payload"] == {"username": "mara", "type": "code", "address": "10.0.0.7", "again": False}
    (line,) = [one.getMessage() for one in caplog.records if "second factor" in one.getMessage()]
    assert f"user:{approver.pk}" in line and "10.0.0.7" in line and wrong(secret) not in line

    client.post(reverse("mfa_authenticate"), {"code": code_of(secret)}, **FROM)
    assert is_in(client) and len(refusals()) == 1, "a right one is no refusal"


def test_a_key_of_somebody_else_is_one_too(approver: User) -> None:
    SoftKey().belongs_to(approver)
    client = Client()
    password(client, approver)
    asked = options_in(client.get(reverse("mfa_authenticate"), secure=True))
    client.post(reverse("mfa_authenticate"), {"credential": SoftKey().get(asked)}, secure=True, **FROM)
    assert [one["payload"]["type"] for one in refusals()] == ["key"]


def test_who_shows_it_again_in_a_session_and_cannot_is_told_of_as_such(approver: User) -> None:
    secret, client = app_for(approver), Client()
    SoftKey().belongs_to(approver)
    client.force_login(approver)
    client.post(reverse("mfa_reauthenticate"), {"code": wrong(secret)}, **FROM)
    asked = options_in(client.get(reverse("mfa_reauthenticate_webauthn"), secure=True))
    client.post(reverse("mfa_reauthenticate_webauthn"), {"credential": SoftKey().get(asked)}, secure=True, **FROM)
    assert [(one["payload"]["type"], one["payload"]["again"]) for one in refusals()] == [("code", True), ("key", True)]


def test_what_was_not_compared_is_no_event_and_nobody_fills_the_log(
    approver: User, clock: time_machine.Traveller
) -> None:
    secret, client = app_for(approver), Client()
    password(client, approver)
    client.post(reverse("mfa_authenticate"), {"code": ""})
    assert refusals() == []
    for _ in range(9):
        client.post(reverse("mfa_authenticate"), {"code": wrong(secret)})
    assert len(refusals()) == 5, "what comes after too many is not looked at"
    Authenticator.objects.all().delete()
    SoftKey().belongs_to(approver)
    for _ in range(9):
        client.post(reverse("mfa_authenticate"), {"credential": '{"a": 1}'})
    assert len(refusals()) == second_factors.REFUSED_EVENTS_MAX
    clock.shift(second_factors.REFUSED_WINDOW_S + 1)
    client.post(reverse("mfa_authenticate"), {"credential": '{"a": 1}'})
    assert len(refusals()) == second_factors.REFUSED_EVENTS_MAX + 1
