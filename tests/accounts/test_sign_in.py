import re

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import NoReverseMatch, reverse

from apps.accounts.models import User
from apps.audit.models import Event
from tests.factories.accounts import PASSWORD

INLINE = re.compile(rb"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=", re.IGNORECASE)


@pytest.fixture(autouse=True)
def fresh_limits() -> None:
    cache.clear()


def sign_in(client: Client, login: str, password: str = PASSWORD) -> object:
    return client.post(reverse("account_login"), {"login": login, "password": password})


@pytest.mark.parametrize("login", ["mara", "mara@example.com", "MARA@example.com"])
def test_signing_in_by_name_or_by_address(client: Client, approver: User, login: str) -> None:
    response = sign_in(client, login)
    assert response.status_code == 302  # type: ignore[attr-defined]
    assert client.session["_auth_user_id"] == str(approver.pk)
    assert Event.objects.filter(kind="user.signed_in", subject=f"user:{approver.pk}").count() == 1


def test_a_wrong_password_and_an_unknown_name_read_the_same(client: Client, approver: User) -> None:
    pages = []
    for login in ("mara", "nobody", "mara@example.com", "nobody@example.com"):
        response = sign_in(client, login, "wrong")
        assert response.status_code == 200  # type: ignore[attr-defined]
        assert "_auth_user_id" not in client.session
        page = response.content.decode().replace(login, "")  # type: ignore[attr-defined]
        pages.append(re.findall(r'role="alert">([^<]+)<', page))
    assert pages[0]
    assert pages[0] == pages[1]
    assert pages[2] == pages[3]
    assert not Event.objects.filter(kind="user.signed_in").exists()


def test_an_inactive_person_does_not_get_in_and_is_put_out(client: Client, approver: User) -> None:
    sign_in(client, "mara")
    assert client.get(reverse("account_change_password")).status_code == 200

    User.objects.filter(pk=approver.pk).update(is_active=False)

    assert client.get(reverse("account_change_password")).status_code == 302
    client.logout()
    sign_in(client, "mara")
    assert "_auth_user_id" not in client.session


def test_guessing_is_slowed_down(client: Client, approver: User) -> None:
    for _ in range(5):
        sign_in(client, "mara", "wrong")
    sign_in(client, "mara", PASSWORD)
    assert "_auth_user_id" not in client.session


def test_nobody_signs_up(db: None) -> None:
    for name in ("account_signup", "account_email"):
        with pytest.raises(NoReverseMatch):
            reverse(name)


def test_the_admin_has_the_same_door(client: Client, approver: User) -> None:
    response = client.get("/admin/login/?next=/admin/")
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("account_login"))
    client.post("/admin/login/", {"username": "mara", "password": PASSWORD})
    assert "_auth_user_id" not in client.session


def test_no_redirect_to_another_site(client: Client, approver: User) -> None:
    response = client.post(
        reverse("account_login"), {"login": "mara", "password": PASSWORD, "next": "https://evil.example/"}
    )
    assert response.status_code == 302
    assert "evil" not in response["Location"]


def test_signing_out_is_a_post(client: Client, approver: User) -> None:
    client.force_login(approver)
    assert client.get(reverse("account_logout")).status_code == 200
    assert "_auth_user_id" in client.session
    client.post(reverse("account_logout"))
    assert "_auth_user_id" not in client.session


def test_changing_the_password_signs_other_devices_out_and_leaves_an_event(client: Client, approver: User) -> None:
    here, there = client, Client()
    for device in (here, there):
        device.force_login(approver)
    new = "another long password 7"

    response = here.post(
        reverse("account_change_password"), {"oldpassword": PASSWORD, "password1": new, "password2": new}
    )

    assert response.status_code == 302
    assert here.get(reverse("account_change_password")).status_code == 200
    assert there.get(reverse("account_change_password")).status_code == 302
    assert Event.objects.filter(kind="user.password_set", subject=f"user:{approver.pk}").count() == 1


@pytest.mark.parametrize(
    ("name", "signed_in"),
    [
        ("account_login", False),
        ("account_inactive", False),
        ("account_reset_password", False),
        ("account_reset_password_done", False),
        ("account_reset_password_from_key_done", False),
        ("account_logout", True),
        ("account_change_password", True),
        ("account_reauthenticate", True),
    ],
)
def test_pages_have_nothing_the_content_policy_forbids(
    client: Client, approver: User, name: str, signed_in: bool
) -> None:
    if signed_in:
        client.force_login(approver)
    response = client.get(reverse(name))
    assert response.status_code == 200
    assert not INLINE.search(response.content)
    assert "script-src 'self'" in response["Content-Security-Policy"]
