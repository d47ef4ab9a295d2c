"""Too many wrong passwords, and devices that were not known: what is said, kept, mailed, and lifted."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from apps.accounts.models import BrowserSession, User
from apps.accounts.services import new_devices
from apps.accounts.tasks import tell_of_new_device
from apps.audit.models import Event
from tests.accounts.test_sign_in import INLINE
from tests.factories.accounts import PASSWORD
from tests.factories.soft_key import SoftKey, app_for

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    cache.clear()
    with time_machine.travel(1_800_000_000, tick=False) as traveller:
        yield traveller


def attempt(login: str, entered: str = "wrong", *, address: str = "10.0.0.1", client: Client | None = None) -> Any:
    used = client or Client()
    return used.post(reverse("account_login"), {"login": login, "password": entered}, REMOTE_ADDR=address)


def enters(login: str, **more: Any) -> bool:
    client = Client()
    attempt(login, PASSWORD, client=client, **more)
    return "_auth_user_id" in client.session


def test_a_name_is_locked_where_the_attempts_came_from_and_for_so_long(
    approver: User, trader: User, clock: time_machine.Traveller
) -> None:
    assert [attempt("mara").status_code for _ in range(5)] == [200, 200, 200, 200, 429]
    assert not enters("mara")
    assert not enters("MARA")
    cache.clear()  # allauth slows a name down for five minutes, wherever the attempts come from
    assert enters("mara", address="10.0.0.2")
    assert enters("tara")
    clock.shift(899)
    cache.clear()
    assert not enters("mara")
    clock.shift(2)
    assert enters("mara")


def test_a_right_password_starts_the_count_again(approver: User) -> None:
    for _ in range(3):
        for _ in range(4):
            attempt("mara")
        cache.clear()
        assert enters("mara")


def test_whether_there_is_such_a_person_cannot_be_told(approver: User) -> None:
    said = []
    for login in ("mara", "nobody", "mara@example.com", "nobody@example.com"):
        cache.clear()
        answers = [attempt(login, address="10.0.0.9") for _ in range(7)]
        locked = answers[4].content.decode().partition("<h1>")[2]
        alerts = re.findall(r'role="alert">([^<]+)<', answers[-1].content.decode())
        said.append(([answer.status_code for answer in answers], locked, alerts))
        assert not INLINE.search(answers[4].content)
    assert said[0] == said[1] == said[2] == said[3]
    assert said[0][0][:5] == [200, 200, 200, 200, 429]
    assert "Try again later" in said[0][1]


def test_each_lock_is_one_event_that_repeats_nothing_entered(approver: User) -> None:
    for login in ("mara", "my-secret-password"):
        for _ in range(8):
            attempt(login, address=f"10.0.0.{len(login)}")
    found = Event.objects.filter(kind="user.sign_in_locked").order_by("id")
    assert [event.subject for event in found] == [f"user:{approver.pk}", "sign-in"]
    assert json.loads(bytes(found[0].body))["payload"] == {"address": "10.0.0.4", "known": True}
    assert not any(b"my-secret-password" in bytes(event.body) for event in Event.objects.all())


def test_an_administrator_unlocks_ends_sessions_and_takes_factors_away(approver: User, admin_user: User) -> None:
    for _ in range(5):
        attempt("mara")
    cache.clear()
    assert enters("mara", address="10.0.0.2")
    admin, page = Client(), reverse("admin:accounts_user_sign_in", args=[approver.pk])
    admin.force_login(admin_user)
    shown = admin.get(page)
    assert "10.0.0.1" in shown.content.decode()
    assert not INLINE.search(shown.content)

    admin.post(page, {"verb": "unlock"})
    assert enters("mara")
    app_for(approver)
    SoftKey().belongs_to(approver)
    admin.post(page, {"verb": "factors"})
    assert not Authenticator.objects.filter(user=approver).exists()
    assert BrowserSession.objects.filter(person=approver).exists()
    admin.post(page, {"verb": "end"})
    assert not BrowserSession.objects.filter(person=approver).exists()
    assert admin.post(page, {"verb": "else"}).status_code == 403
    kinds = set(Event.objects.filter(subject=f"user:{approver.pk}").values_list("kind", flat=True))
    assert kinds >= {"user.sign_in_unlocked", "user.second_factor_removed", "user.sessions_ended"}

    for other in (approver, User.objects.get(pk=approver.pk)):
        client = Client()
        client.force_login(other)
        assert client.get(page).status_code == 403
        assert client.post(page, {"verb": "factors"}).status_code == 403


def test_a_new_device_is_told_once(approver: User, approver2: User) -> None:
    laptop, phone = Client(headers={"User-Agent": "Chrome/1 Linux"}), Client(headers={"User-Agent": "Safari/1 iPhone"})
    for device in (laptop, laptop, phone, phone):
        attempt("mara", PASSWORD, client=device)
        device.post(reverse("account_logout"))
    found = list(Event.objects.filter(kind=new_devices.KIND).order_by("id"))
    assert [json.loads(bytes(event.body))["payload"]["device"] for event in found] == [
        "Chrome on Linux",
        "Safari on iPhone",
    ]
    attempt("ravi", PASSWORD, client=laptop)
    assert Event.objects.filter(kind=new_devices.KIND).count() == 3, "known of somebody else"
    cookie = laptop.cookies[new_devices.cookie_name(approver)]
    assert cookie["httponly"]
    assert not new_devices.is_known(cookie.value, approver2)
    assert not new_devices.is_known(cookie.value + "x", approver)

    mara = str(approver.pk)
    assert tell_of_new_device(person_id=mara, event_id=found[0].pk)
    (told,) = mail.outbox
    assert told.to == ["mara@example.com"]
    assert "Chrome on Linux, from 10.0.0.1" in str(told.body)
    assert not tell_of_new_device(person_id=str(approver2.pk), event_id=found[1].pk)
    User.objects.filter(pk=approver.pk).update(is_active=False)
    assert not tell_of_new_device(person_id=mara, event_id=found[1].pk)
    assert len(mail.outbox) == 1
