"""Second factors in a real browser: an app and a key are set up, shown at sign-in, and shown again for one decision."""

from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.approvals.models import Vote
from tests.browser.conftest import PHONE, WIDE, SignIn, Ticker
from tests.factories.accounts import PASSWORD
from tests.factories.desk import PaperDesk
from tests.factories.soft_key import code_of
from tests.factories.trading import change_policy, rules_with

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

STRICT = rules_with(approvals={"tiers": [{"needed": "1", "roles": ["approver"], "second_factor": True}]})


def enter(page: Page, person: User) -> None:
    page.context.clear_cookies()
    page.goto("/accounts/login/?next=/admin/")
    page.locator("#id_login").fill(person.username)
    page.locator("#id_password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def reauthenticate(page: Page) -> None:
    page.locator("#id_password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()


def keep(page: Page, shots: Path | None, name: str) -> None:
    if shots:
        page.screenshot(path=shots / f"{name}.png", full_page=True)


def fresh_code(secret: str, person: User) -> str:
    """A code as of a new period: the memory of codes forgets that it was used, instead of half a minute's wait."""
    code = code_of(secret)
    cache.delete(f"allauth.mfa.totp.used?user={person.pk}&code={code}")
    return code


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_an_app_from_setting_it_up_to_a_decision(
    desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn, viewport: dict[str, int], shots: Path | None
) -> None:
    page, size = sign_in(desk_live.approver, viewport=viewport), viewport["width"]
    enter(page, desk_live.approver)
    page.goto("/accounts/2fa/")
    keep(page, shots, f"mfa-index-{size}")
    page.get_by_role("link", name="add", exact=True).click()
    reauthenticate(page)
    expect(page.locator("img.qr")).to_be_visible()
    keep(page, shots, f"mfa-app-{size}")
    secret = page.locator("#totp-secret").inner_text().strip()
    page.locator("#id_code").fill(code_of(secret))
    page.get_by_role("button", name="Add it").click()
    expect(page.locator("#recovery-codes")).to_be_visible()
    keep(page, shots, f"mfa-codes-{size}")

    enter(page, desk_live.approver)
    expect(page.locator("h1")).to_have_text("Second factor")
    keep(page, shots, f"mfa-authenticate-{size}")
    page.locator("#id_code").fill(fresh_code(secret, desk_live.approver))
    page.get_by_role("button", name="Sign in with a code").click()
    page.wait_for_url(lambda url: "/accounts/" not in url)

    change_policy(desk_live, STRICT)
    proposal = desk_live.propose()
    page.goto(f"/admin/decide/{proposal.pk}/")
    page.locator("#approve").click()
    expect(page.locator("#callouts")).to_contain_text("needs your second factor")
    keep(page, shots, f"mfa-decision-{size}")
    assert not Vote.objects.exists()
    code = fresh_code(secret, desk_live.approver)
    page.locator("#code").fill(code)
    page.locator("#approve").click()
    expect(page.locator("#follow")).to_be_visible()
    assert Vote.objects.get().second_factor.startswith("totp:")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.troubles == []  # type: ignore[attr-defined]


def test_a_key_from_adding_it_to_a_decision(
    desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn, shots: Path | None
) -> None:
    page = sign_in(desk_live.approver)
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    enter(page, desk_live.approver)
    page.goto("/accounts/2fa/keys/add/")
    reauthenticate(page)
    page.locator("#id_name").fill("This laptop")
    keep(page, shots, "mfa-key-add")
    page.get_by_role("button", name="Add it").click()
    expect(page.locator("#recovery-codes")).to_be_visible()
    page.goto("/accounts/2fa/keys/")
    expect(page.locator("#content-main")).to_contain_text("This laptop")
    assert Authenticator.objects.filter(type="webauthn").count() == 1

    enter(page, desk_live.approver)
    page.get_by_role("button", name="Use my security key").click()
    page.wait_for_url(lambda url: "/accounts/" not in url)

    change_policy(desk_live, STRICT)
    proposal = desk_live.propose()
    page.goto(f"/admin/decide/{proposal.pk}/")
    keep(page, shots, "mfa-decision-key")
    page.locator("#use-key").click()
    expect(page.locator("#follow")).to_be_visible()
    assert Vote.objects.get().second_factor.startswith("webauthn:")
    assert page.troubles == []  # type: ignore[attr-defined]
