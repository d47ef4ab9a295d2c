"""OAuth in a real browser: the application on `localhost`, the venue on `127.0.0.1`, which are two sites to Chromium.

On one host name neither the content policy of a form nor SameSite cookies would be asked anything.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.connectors.models import Authorisation, Connection
from apps.connectors.services import venue as venues
from apps.connectors.views import oauth as views
from tests.browser.conftest import SignIn
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.oauth import SCOPES, OAuthSimulator

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CONNECT = "/oauth/coinbase/connect"
LIST = "/admin/connectors/authorisation/"


@pytest.fixture
def venue(live_server: object) -> Iterator[OAuthSimulator]:
    """Registered with the live server's address as the way back."""
    address = str(live_server.url)  # type: ignore[attr-defined]  pytest-django's own class
    assert urlsplit(address).hostname == "localhost"
    process = OAuthSimulator(redirect_uri=f"{address}/oauth/coinbase/callback")
    process.start()
    process.url = process.url.replace("localhost", "127.0.0.1")
    with process.registered():
        yield process
    venues.close_all()
    process.stop()


@pytest.fixture
def operator_live(transactional_db: None) -> User:
    made: User = UserFactory(
        username="otis", display_name="Otis Vale", role="operator", desk=DeskFactory(slug="main", name="Main desk")
    )
    return made


def out(page: Page, venue: OAuthSimulator) -> None:
    """From our page to the venue's."""
    page.goto(LIST)
    page.get_by_role("link", name="Connect a Coinbase account").click()
    expect(page.get_by_text("No real account and no real money is behind it.")).to_be_visible()
    page.get_by_role("button", name="Go to the simulator").click()
    page.wait_for_url(f"{venue.url}/oauth2/auth**")


def test_the_whole_way_in_a_browser(venue: OAuthSimulator, operator_live: User, sign_in: SignIn) -> None:
    page = sign_in(operator_live)
    policies: dict[str, str] = {}
    page.on("response", lambda answer: _note(policies, answer.url, answer.headers.get("content-security-policy", "")))
    out(page, venue)
    for scope in SCOPES:
        expect(page.get_by_text(scope, exact=True)).to_be_visible()
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url("**/change/")
    expect(page.locator(".messagelist")).to_contain_text("is connected, with everything that was asked for.")
    row = Authorisation.objects.get()
    assert row.person == operator_live and row.granted_scopes == list(SCOPES)
    page.get_by_role("link", name="Make a connection with it").click()
    page.get_by_label("Slug").fill("by-oauth")
    page.get_by_label("Name").fill("By OAuth")
    page.get_by_label("Desk").select_option(label="Main desk")
    page.get_by_role("button", name="Make the connection").click()
    page.get_by_role("button", name="Ask the venue what the key may do").click()
    page.get_by_text("may view and trade, and may not transfer").wait_for()
    assert Connection.objects.get().verified_at is not None
    widened = {path for path, policy in policies.items() if f"form-action 'self' {venue.url}" in policy}
    kept = {path for path, policy in policies.items() if path not in widened}
    assert widened == {CONNECT}
    assert len(kept) >= 4 and all("form-action 'self';" in policies[path] + ";" for path in kept)
    page.goto(f"{LIST}{row.pk}/disconnect/")
    page.get_by_role("button", name="Disconnect").click()
    page.get_by_text("the venue was asked to forget it").wait_for()
    assert venue.oauth()["revocations"] == 2
    assert page.troubles == []  # type: ignore[attr-defined]


def _note(policies: dict[str, str], url: str, policy: str) -> None:
    split = urlsplit(url)
    if split.hostname == "localhost" and policy:
        policies[split.path] = policy


def test_a_refusal_comes_back_and_keeps_nothing(venue: OAuthSimulator, operator_live: User, sign_in: SignIn) -> None:
    page = sign_in(operator_live)
    out(page, venue)
    page.get_by_role("button", name="Refuse").click()
    page.wait_for_url(f"**{LIST}")
    expect(page.locator(".messagelist")).to_contain_text("You refused at the venue. Nothing was kept.")
    assert not Authorisation.objects.exists()
    assert page.troubles == []  # type: ignore[attr-defined]


def test_what_is_unticked_is_said(venue: OAuthSimulator, operator_live: User, sign_in: SignIn) -> None:
    page = sign_in(operator_live)
    out(page, venue)
    page.get_by_label("wallet:buys:create").uncheck()
    page.get_by_role("button", name="Allow").click()
    page.get_by_text("does not let Aika place and cancel orders").wait_for()
    assert "wallet:buys:create" not in Authorisation.objects.get().granted_scopes


def test_under_the_policy_of_every_other_page_chromium_would_not_go(
    venue: OAuthSimulator, operator_live: User, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "leads_to", lambda response, origin: response)
    page = sign_in(operator_live)
    page.goto(CONNECT)
    page.get_by_role("button", name="Go to the simulator").click()
    page.wait_for_timeout(1_000)
    assert urlsplit(page.url).path == CONNECT
    assert any("form-action" in trouble for trouble in page.troubles)  # type: ignore[attr-defined]
