"""Staff sign-in with OpenID Connect in a real browser: Aika on `localhost`, the organisation on `127.0.0.1`.

They are two sites to Chromium. On one host name neither the content policy of a form nor SameSite cookies would be
asked anything.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import override_settings
from playwright.sync_api import Page, expect

from apps.accounts.models import BrowserSession, User
from apps.audit.models import Event
from tests.browser.conftest import SignIn
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.oidc_server import OidcServer, example_ltd
from tests.factories.soft_key import app_for, code_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LOGIN = "/accounts/oidc/staff/login/"


@pytest.fixture
def organisation(live_server: object) -> Iterator[OidcServer]:
    """Its server asks people on a page of its own, on another host name than ours."""
    with example_ltd() as server:
        server.asks = True
        ours = str(live_server.url)  # type: ignore[attr-defined]  pytest-django's own class
        assert (urlsplit(ours).hostname, urlsplit(server.url).hostname) == ("localhost", "127.0.0.1")
        yield server


@pytest.fixture
def mara(transactional_db: None) -> User:
    made: User = UserFactory(
        username="mara",
        display_name="Mara Quill",
        email="mara@example.com",
        role="approver",
        desk=DeskFactory(slug="main", name="Main desk"),
    )
    return made


def out(page: Page, organisation: OidcServer) -> None:
    """From our sign-in page to the organisation's own."""
    page.goto("/accounts/login/")
    page.get_by_role("link", name="Sign in with Example Ltd").click()
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(f"{organisation.url}/authorize**")
    expect(page.get_by_role("heading", name="Who are you?")).to_be_visible()


def back(page: Page, button: str) -> None:
    page.get_by_role("button", name=button).click()
    page.wait_for_url(lambda url: urlsplit(url).hostname == "localhost")


def policies_of(page: Page) -> dict[str, str]:
    """Fills up with the content policy of each of our own pages that comes."""
    found: dict[str, str] = {}

    def note(answer: Any) -> None:
        split, policy = urlsplit(answer.url), answer.headers.get("content-security-policy", "")
        if split.hostname == "localhost" and policy:
            found[split.path] = policy

    page.on("response", note)
    return found


def complaints(page: Page) -> list[str]:
    """What Chromium says against the pages; not that the server of these tests has no sockets."""
    troubles: list[str] = page.troubles  # type: ignore[attr-defined]
    return [trouble for trouble in troubles if not trouble.startswith("WebSocket connection to ")]


def is_signed_out(page: Page) -> bool:
    page.goto("/admin/")
    return urlsplit(page.url).path == "/accounts/login/"


def test_who_is_known_there_and_here_is_signed_in(organisation: OidcServer, mara: User, sign_in: SignIn) -> None:
    page = sign_in(None)
    policies = policies_of(page)
    out(page, organisation)
    back(page, "I am mara@example.com")
    expect(page.locator("#user-tools")).to_contain_text("Mara Quill")
    assert BrowserSession.objects.get(person=mara) and SocialAccount.objects.get(user=mara).uid == "subject-1"
    assert Event.objects.filter(kind="user.identity_linked", subject=f"user:{mara.pk}").count() == 1
    assert Event.objects.filter(kind="user.signed_in", subject=f"user:{mara.pk}").count() == 1
    widened = {path for path, policy in policies.items() if f"form-action 'self' {organisation.url}" in policy}
    assert widened == {LOGIN} and len(policies) >= 3
    assert all("form-action 'self';" in policies[path] + ";" for path in policies.keys() - widened)
    assert complaints(page) == []


def test_who_has_a_second_factor_shows_it_on_the_way_in(organisation: OidcServer, mara: User, sign_in: SignIn) -> None:
    secret = app_for(mara)
    page = sign_in(None)
    out(page, organisation)
    back(page, "I am mara@example.com")
    expect(page.locator("h1")).to_have_text("Second factor")
    assert not BrowserSession.objects.filter(person=mara).exists()
    page.locator("#id_code").fill(code_of(secret))
    page.get_by_role("button", name="Sign in with a code").click()
    expect(page.locator("#user-tools")).to_contain_text("Mara Quill")
    assert complaints(page) == []


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "subject-9", "email": "stranger@example.com", "email_verified": True},
        {"sub": "subject-9", "email": "mara@example.com", "email_verified": False},
    ],
    ids=["nobody's address", "an address that was not verified"],
)
def test_nobody_else_is_let_in(
    organisation: OidcServer, mara: User, sign_in: SignIn, claims: dict[str, object]
) -> None:
    organisation.claims = claims
    people = User.objects.count()
    page = sign_in(None)
    out(page, organisation)
    back(page, f"I am {claims['email']}")
    expect(page.locator("h1")).to_have_text("Not signed in")
    expect(page.locator("main")).to_contain_text("Nobody here is signed in with this identity.")
    assert is_signed_out(page)
    assert User.objects.count() == people and not SocialAccount.objects.exists()
    assert not BrowserSession.objects.exclude(person=None).exists()
    assert complaints(page) == []


def test_who_goes_back_is_not_signed_in(organisation: OidcServer, mara: User, sign_in: SignIn) -> None:
    page = sign_in(None)
    out(page, organisation)
    back(page, "Go back")
    expect(page.locator("main")).to_contain_text("You went back without signing in.")
    assert is_signed_out(page)
    assert complaints(page) == []


def test_a_page_that_names_another_server_leads_nowhere(organisation: OidcServer, mara: User, sign_in: SignIn) -> None:
    """What the policy is for: the form's redirect is stopped by Chromium where the page did not name its end."""
    page = sign_in(None)
    with override_settings(OIDC_SERVER_URL="http://127.0.0.1:9"):
        page.goto(LOGIN)
        page.get_by_role("button", name="Continue").click()
        page.wait_for_timeout(1_000)
    assert urlsplit(page.url).path == LOGIN
    assert any("form-action" in trouble for trouble in complaints(page))
