"""Sessions: what is kept of them, how long they hold, where they are listed, and what ends them."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import BrowserSession, User
from apps.accounts.services import browser_sessions, sessions
from apps.accounts.services.browser_sessions import hash_of
from apps.accounts.session_store import SessionStore
from apps.accounts.tasks import forget_sessions
from apps.accounts.visitors import device_words
from apps.audit.models import Event
from tests.accounts.test_sign_in import INLINE
from tests.factories.accounts import PASSWORD, group_of

pytestmark = pytest.mark.django_db

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1"


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    cache.clear()
    with time_machine.travel(1_800_000_000, tick=False) as traveller:
        yield traveller


def entered(person: User, device: str = CHROME) -> Client:
    client = Client(headers={"User-Agent": device})
    client.post(reverse("account_login"), {"login": person.username, "password": PASSWORD})
    assert is_in(client)
    return client


def is_in(client: Client) -> bool:
    """Whether the server still knows this cookie's person: asked by a page that counts as nothing a person does."""
    return client.get(reverse("account_sessions"), headers={"Sec-Fetch-Mode": "cors"}).status_code == 200


def key_of(client: Client) -> str:
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def test_the_row_has_no_cookie_in_it(approver: User) -> None:
    key = key_of(entered(approver))
    row = BrowserSession.objects.get(person=approver)
    assert row.key_hash == hash_of(key)
    kept = json.dumps([str(getattr(row, field.attname)) for field in row._meta.concrete_fields])
    assert key not in kept
    assert not SessionStore(row.key_hash).load(), "what is in the table opens a session"
    assert (row.address, row.device) == ("127.0.0.1", CHROME)


def test_it_ends_after_so_long_without_its_person(approver: User, clock: time_machine.Traveller) -> None:
    for idle, stays in ((1799, True), (1801, False)):
        client = entered(approver)
        clock.shift(idle)
        assert is_in(client) is stays
        assert (sessions.person_of_session(key_of(client)) is not None) is stays


def test_what_a_page_fetches_by_itself_keeps_nobody_signed_in(approver: User, clock: time_machine.Traveller) -> None:
    watched, used = entered(approver), entered(approver)
    for _ in range(5):
        clock.shift(600)
        watched.get("/", headers={"Sec-Fetch-Mode": "cors"})
        used.get("/", headers={"Sec-Fetch-Mode": "navigate"})
    assert not is_in(watched)
    assert is_in(used)


def test_it_ends_after_so_long_altogether(approver: User, clock: time_machine.Traveller) -> None:
    client = entered(approver)
    for _ in range(47):
        clock.shift(900)
        client.get("/")
    assert is_in(client)
    clock.shift(901)
    assert not is_in(client)


def test_both_bounds_are_settings(approver: User, clock: time_machine.Traveller) -> None:
    key = key_of(entered(approver))
    clock.shift(100)
    with override_settings(SESSION_IDLE_S=60):
        assert sessions.person_of_session(key) is None
    with override_settings(SESSION_COOKIE_AGE=90):
        assert sessions.person_of_session(key) is None
    assert sessions.person_of_session(key) == approver


def test_signing_in_makes_a_new_session(approver: User) -> None:
    client = Client()
    client.get(reverse("account_login"))
    planted = SessionStore()
    planted["x"] = 1
    planted.create()
    client.cookies[settings.SESSION_COOKIE_NAME] = planted.session_key
    client.post(reverse("account_login"), {"login": approver.username, "password": PASSWORD})
    assert is_in(client)
    assert key_of(client) != planted.session_key
    assert not SessionStore(planted.session_key).load()


class TestThePage:
    def test_lists_ones_own_and_ends_one(self, approver: User, approver2: User) -> None:
        here, there, theirs = entered(approver), entered(approver, PHONE), entered(approver2)
        page = here.get(reverse("account_sessions"))
        assert not INLINE.search(page.content)
        assert [(line.device, line.is_this) for line in page.context["lines"]] == [
            ("Chrome on Linux", True),
            ("Safari on iPhone", False),
        ]
        assert "127.0.0.1" in page.content.decode()
        assert key_of(there) not in page.content.decode()

        here.post(reverse("account_sessions_end"), {"session": hash_of(key_of(theirs))})
        assert is_in(theirs), "a stranger's session was ended"
        here.post(reverse("account_sessions_end"), {"session": hash_of(key_of(there))})
        assert not is_in(there)
        assert is_in(here)
        assert Event.objects.filter(kind="user.sessions_ended", subject=f"user:{approver.pk}").count() == 1

    def test_ends_all_others_and_the_own_one(self, approver: User) -> None:
        here, others = entered(approver), [entered(approver), entered(approver, PHONE)]
        assert here.get(reverse("account_sessions_end")).status_code == 405
        here.post(reverse("account_sessions_end"))
        assert is_in(here)
        assert not any(is_in(other) for other in others)
        here.post(reverse("account_sessions_end"), {"session": hash_of(key_of(here))})
        assert not is_in(here)

    def test_is_for_who_is_signed_in(self) -> None:
        for answer in (Client().get(reverse("account_sessions")), Client().post(reverse("account_sessions_end"))):
            assert answer.status_code == 302
            assert answer["Location"].startswith(reverse("account_login"))


def change(admin: Client, person: User, **fields: object) -> None:
    values: dict[str, object] = {
        "username": person.username,
        "email": person.email,
        "display_name": person.display_name,
        "is_active": "on",
        "is_staff": "on",
        "groups": [str(group.pk) for group in person.groups.all()],
    }
    values = {name: value for name, value in {**values, **fields}.items() if value is not None}
    answer = admin.post(reverse("admin:accounts_user_change", args=[person.pk]), values)
    assert answer.status_code == 302, answer.context["adminform"].errors


def test_they_end_when_what_their_person_may_do_changes(approver: User, admin_user: User) -> None:
    admin = entered(admin_user)
    risk: Group = group_of("risk")
    for fields in ({"groups": [str(risk.pk)]}, {"is_staff": None}, {"is_active": None}):
        User.objects.filter(pk=approver.pk).update(is_active=True, is_staff=True)
        approver.groups.set([group_of("approver")])
        client = entered(approver)
        change(admin, approver, display_name=f"Mara {len(fields)}")
        assert is_in(client), "another name ended a session"
        change(admin, approver, **fields)
        assert not BrowserSession.objects.filter(person=approver).exists()
        assert not is_in(client)
    assert is_in(admin)


def test_who_changes_themselves_stays(admin_user: User) -> None:
    here, there = entered(admin_user), entered(admin_user)
    change(here, admin_user, is_superuser="on", groups=[str(group_of("auditor").pk)])
    assert is_in(here)
    assert not is_in(there)


def test_they_end_with_a_new_password(approver: User, admin_user: User) -> None:
    here, there, new = entered(approver), entered(approver), "another long password 7"
    here.post(reverse("account_change_password"), {"oldpassword": PASSWORD, "password1": new, "password2": new})
    assert is_in(here)
    assert not is_in(there)
    assert BrowserSession.objects.filter(person=approver).count() == 1

    admin = entered(admin_user)
    other = "yet another password 9"
    path = reverse("admin:auth_user_password_change", args=[approver.pk])
    assert admin.post(path, {"password1": other, "password2": other}).status_code == 302
    assert not BrowserSession.objects.filter(person=approver).exists()
    path = reverse("admin:auth_user_password_change", args=[admin_user.pk])
    admin.post(path, {"password1": other, "password2": other})
    assert is_in(admin)


def test_what_is_over_is_forgotten(approver: User, clock: time_machine.Traveller) -> None:
    entered(approver)
    clock.shift(1801)
    entered(approver)
    assert BrowserSession.objects.count() == 2
    assert forget_sessions() == 1
    assert BrowserSession.objects.count() == 1
    SessionStore.clear_expired()
    assert BrowserSession.objects.count() == 1
    assert browser_sessions.forget_ended(now=timezone.now() + timedelta(days=1)) == 1


def test_being_seen_costs_one_statement_a_minute(approver: User, clock: time_machine.Traveller) -> None:
    client, counts = entered(approver), []
    for seconds in (0, 61, 0):
        clock.shift(seconds)
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse("account_change_password"))
        counts.append([one["sql"].split()[0] for one in captured.captured_queries if "browsersession" in one["sql"]])
    assert counts == [["SELECT"], ["SELECT", "UPDATE"], ["SELECT"]]


@pytest.mark.parametrize(
    ("device", "said"),
    [
        (CHROME, "Chrome on Linux"),
        (PHONE, "Safari on iPhone"),
        ("curl/8", "curl/8"),
        ("", "A device that does not say what it is"),
    ],
)
def test_devices_are_named(device: str, said: str) -> None:
    assert device_words(device) == said
