"""Signing in with an identity of the organisation: who is here already, by subject or verified address; nobody else."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import requests
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.core.checks import run_checks
from django.test import Client, override_settings
from django.urls import reverse

from apps.accounts import identity_server
from apps.accounts.adapter import SocialAccountAdapter
from apps.accounts.models import BrowserSession, User
from apps.accounts.session_store import SessionStore
from apps.audit.models import Event
from tests.factories.oidc_server import CLIENT_SECRET, OidcServer, example_ltd
from tests.factories.soft_key import app_for, code_of

pytestmark = pytest.mark.django_db

LOGIN, CALLBACK = "/accounts/oidc/staff/login/", "/accounts/oidc/staff/login/callback/"


@pytest.fixture
def server() -> Iterator[OidcServer]:
    with example_ltd() as running:
        yield running


@pytest.fixture
def mara(approver: User) -> User:
    approver.email = "mara@example.com"
    approver.set_password("a password of her own")
    approver.save()
    return approver


def back_from(client: Client, query: str = "") -> str:
    """To the server by POST, and what it sends the browser back to."""
    out = client.post(LOGIN + query)
    assert out.status_code == 302, out.content
    with httpx.Client(trust_env=False) as browser:
        return str(browser.get(out["Location"]).headers["location"])


def sign_in(client: Client, query: str = "") -> Any:
    return client.get(back_from(client, query))


def who(client: Client) -> object:
    return client.session.get("_auth_user_id")


def test_the_door_is_on_the_page_and_its_own_page_alone_leads_out(server: OidcServer, client: Client) -> None:
    entrance = client.get("/accounts/login/")
    assert "Sign in with Example Ltd" in entrance.content.decode()
    assert server.url not in entrance["Content-Security-Policy"]
    page = client.get(LOGIN)
    assert page.status_code == 200 and f"form-action 'self' {server.url}" in page["Content-Security-Policy"]


def test_nothing_in_the_address_widens_what_is_asked(server: OidcServer, client: Client) -> None:
    out = client.post(LOGIN + "?scope=admin&auth_params=prompt%3Dnone%26redirect_uri%3Dhttps://evil.example")[
        "Location"
    ]
    assert "admin" not in out and "prompt" not in out and "evil" not in out
    assert "scope=" in out and "code_challenge_method=S256" in out


def test_it_is_off_by_default(client: Client) -> None:
    assert "Sign in with" not in client.get("/accounts/login/").content.decode()
    assert client.get(LOGIN).status_code == client.post(LOGIN).status_code == client.get(CALLBACK).status_code == 404


def test_a_verified_address_finds_its_person_once_and_the_subject_from_then_on(
    server: OidcServer, client: Client, mara: User
) -> None:
    assert sign_in(client).status_code == 302 and who(client) == str(mara.pk)
    assert Event.objects.filter(kind="user.identity_linked", subject=f"user:{mara.pk}").count() == 1
    mara.refresh_from_db()
    assert mara.check_password("a password of her own")
    server.claims = {"sub": "subject-1"}  # the address is not asked about any more
    again = Client()
    assert sign_in(again).status_code == 302 and who(again) == str(mara.pk)
    assert SocialAccount.objects.get().extra_data == {} and not SocialToken.objects.exists()
    held = " ".join(str(SessionStore().decode(row.data)) for row in BrowserSession.objects.all())
    assert held
    assert server.access_token not in held


def test_who_has_a_second_factor_shows_it_and_meanwhile_no_token_waits_in_the_session(
    server: OidcServer, client: Client, mara: User
) -> None:
    secret = app_for(mara)
    asked = sign_in(client)
    assert asked["Location"] == reverse("mfa_authenticate") and who(client) is None
    held = " ".join(str(SessionStore().decode(row.data)) for row in BrowserSession.objects.all())
    assert "sociallogin" in held, "allauth keeps the sign-in in the session until the code has come"
    assert server.access_token not in held and CLIENT_SECRET not in held
    client.post(reverse("mfa_authenticate"), {"code": code_of(secret)})
    assert who(client) == str(mara.pk) and not SocialToken.objects.exists()


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "s", "email": "mara@example.com", "email_verified": False},
        {"sub": "s", "email": "mara@example.com", "email_verified": "false"},
        {"sub": "s", "email": "mara@example.com"},
        {"sub": "s", "email": "stranger@example.com", "email_verified": True},
        {"sub": "s"},
    ],
)
def test_nobody_else_gets_in_or_is_made(
    server: OidcServer, client: Client, mara: User, claims: dict[str, object]
) -> None:
    people = User.objects.count()
    server.claims = claims
    page = sign_in(client)
    assert page.status_code == 403 and "Nobody here is signed in with this identity." in page.content.decode()
    assert who(client) is None and User.objects.count() == people and not SocialAccount.objects.exists()


def test_another_subject_with_the_same_address_is_another_person(
    server: OidcServer, client: Client, mara: User
) -> None:
    sign_in(Client())
    server.claims = {**server.claims, "sub": "subject-2"}
    assert sign_in(client).status_code == 403 and who(client) is None


def test_who_left_does_not_get_in(server: OidcServer, client: Client, mara: User) -> None:
    sign_in(Client())
    User.objects.filter(pk=mara.pk).update(is_active=False)
    assert sign_in(client).status_code == 403 and who(client) is None


@pytest.mark.parametrize(
    "id_token",
    [
        {"sub": "another"},
        {"aud": "another"},
        {"iss": "https://another"},
        {"exp": 1},
        {"nonce": "another"},
        {"nonce": None},
    ],
)
def test_a_token_that_does_not_fit_signs_nobody_in(
    server: OidcServer, client: Client, mara: User, id_token: dict[str, object]
) -> None:
    server.id_token = id_token
    assert sign_in(client).status_code in {401, 403} and who(client) is None
    server.id_token = {}
    assert sign_in(client).status_code == 302 and who(client) == str(mara.pk)


def test_a_token_made_for_another_sign_in_signs_nobody_in(server: OidcServer, client: Client, mara: User) -> None:
    """The server answers with a token that it made for a sign-in of somebody else."""
    asked = [parse_qs(urlsplit(Client().post(LOGIN)["Location"]).query)["nonce"][0] for _ in range(2)]
    assert len(set(asked)) == 2
    for nonce in asked:
        server.id_token = {"nonce": nonce}
        assert sign_in(client).status_code == 401 and who(client) is None


@pytest.mark.parametrize("where", ["/.well-known/", "/userinfo"])
def test_a_server_that_drips_does_not_hold_a_sign_in(
    server: OidcServer, client: Client, mara: User, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    back, out = back_from(client), Client()
    monkeypatch.setattr(identity_server, "TOTAL_S", 0.3)
    server.drips = where
    assert client.get(back).status_code == 401 and who(client) is None
    assert out.post(LOGIN).status_code == (302 if where == "/userinfo" else 401)
    server.drips = None
    monkeypatch.undo()
    assert sign_in(client).status_code == 302 and who(client) == str(mara.pk)


def test_a_redirect_of_the_server_is_not_followed(server: OidcServer, client: Client) -> None:
    with pytest.raises(requests.TooManyRedirects):
        SocialAccountAdapter().get_requests_session().get(client.post(LOGIN)["Location"])


def test_a_return_belongs_to_the_browser_that_set_out_and_is_good_once(
    server: OidcServer, client: Client, mara: User
) -> None:
    back = back_from(client)
    other = Client()
    assert other.get(back).status_code == 401 and who(other) is None
    assert client.get(back).status_code == 302 and who(client) == str(mara.pk)
    assert client.get(back).status_code == 401


def test_it_connects_nothing_for_who_is_signed_in(server: OidcServer, client: Client, trader: User, mara: User) -> None:
    client.force_login(trader)
    assert sign_in(client, "?process=connect").status_code == 403
    assert who(client) == str(trader.pk) and not SocialAccount.objects.exists()


def test_a_refusal_there_is_said_here(server: OidcServer, client: Client, mara: User) -> None:
    server.refuse = True
    page = client.get(back_from(client), follow=True)
    assert page.status_code == 200 and "You went back without signing in." in page.content.decode()


@pytest.mark.parametrize(
    ("environment", "address", "is_refused"),
    [
        ("production", "", False),
        ("production", "https://id.example", False),
        ("production", "http://id.example", True),
        ("production", "http://localhost:8080", True),
        ("production", "http://127.0.0.1:8080", True),
        ("production", "https://", True),
        ("local", "http://localhost:8080", False),
        ("local", "http://127.0.0.1:8080", False),
        ("local", "http://[::1]:8080", False),
        ("local", "http://id.example", True),
        ("local", "http://localhost.id.example", True),
    ],
)
def test_a_server_is_reached_over_tls_or_on_this_machine(environment: str, address: str, is_refused: bool) -> None:
    with override_settings(ENVIRONMENT=environment, OIDC_SERVER_URL=address):
        found = [message.id for message in run_checks() if str(message.id).startswith("accounts.E")]
    assert found == (["accounts.E002"] if is_refused else [])
