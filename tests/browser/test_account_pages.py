"""The pages of one's account, allauth's and ours, at 390 px: each keeps the policy, fits, and bars nobody."""

from collections.abc import Iterable
from urllib.parse import urlsplit

import pytest
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.core.cache import cache
from django.test import override_settings
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.accounts import urls
from apps.accounts.models import User
from config.settings.identity import oidc_providers
from tests.browser.conftest import PHONE, SignIn
from tests.browser.looks import barriers, sideways
from tests.browser.test_policy import WATCH
from tests.factories.accounts import PASSWORD, UserFactory
from tests.factories.soft_key import SoftKey, app_for, code_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# For who is signed in, with an app, a security key and recovery codes, and has just shown one.
INSIDE = (
    *("account_logout", "account_change_password", "account_sessions", "account_reauthenticate"),
    *("mfa_index", "mfa_reauthenticate", "mfa_activate_totp", "mfa_deactivate_totp", "mfa_view_recovery_codes"),
    *("mfa_generate_recovery_codes", "mfa_list_webauthn", "mfa_add_webauthn", "mfa_remove_webauthn"),
)
# For who is not.
OUTSIDE = (
    *("account_login", "account_reset_password", "account_reset_password_done", "account_reset_password_from_key"),
    *("account_reset_password_from_key_done", "account_inactive"),
    *("openid_connect_login", "socialaccount_login_cancelled"),
)
# Seen on the way in, once there is somebody half signed in: `half_way`.
BETWEEN = ("mfa_authenticate",)
NO_PAGE = {
    "account_sessions_end": "ends sessions by POST and leads back",
    "mfa_download_recovery_codes": "a file",
    "mfa_reauthenticate_webauthn": "takes what the script of `mfa_reauthenticate` sends",
    "openid_connect_callback": "the way back: tests/browser/test_staff_sign_in.py",
}


@pytest.fixture
def mara(transactional_db: None) -> User:
    cache.clear()
    made: User = UserFactory(username="mara", display_name="Mara Quill", role="approver")
    return made


def faults_of(page: Page, urls: Iterable[str]) -> list[str]:
    """What is wrong with these pages at the width of a phone."""
    found = []
    for url in urls:
        answer = page.goto(url)
        if answer is None or answer.status != 200:
            found.append(f"{url}: {answer and answer.status}")
        found += faults_here(page, url)
    return found


def faults_here(page: Page, name: str) -> list[str]:
    page.wait_for_timeout(50)
    found = [f"{name}: {told}" for told in (*page.evaluate("window.violations"), *barriers(page))]
    return [*found, f"{name}: wider by {sideways(page)}"] if sideways(page) > 0 else found


def of_phone(sign_in: SignIn, user: User | None = None) -> Page:
    page = sign_in(user, viewport=PHONE)
    page.add_init_script(WATCH)
    return page


def enter(page: Page, person: User) -> None:
    page.goto(reverse("account_login"))
    page.locator("#id_login").fill(person.username)
    page.locator("#id_password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_every_page_of_the_account_is_walked_here_or_is_no_page() -> None:
    walked = {*INSIDE, *OUTSIDE, *BETWEEN}
    assert walked | NO_PAGE.keys() == {pattern.name for pattern in urls.urlpatterns}
    assert not walked & NO_PAGE.keys()


def test_pages_of_who_is_signed_out(mara: User, sign_in: SignIn) -> None:
    page = of_phone(sign_in)
    link = {"uidb36": user_pk_to_url_str(mara), "key": default_token_generator.make_token(mara)}
    addresses = {
        **{name: reverse(name) for name in OUTSIDE if name != "account_reset_password_from_key"},
        "good link": reverse("account_reset_password_from_key", kwargs=link),
        "bad link": reverse("account_reset_password_from_key", kwargs={**link, "key": "x-y"}),
    }
    providers = oidc_providers(
        server_url="http://127.0.0.1:9", client_id="aika", client_secret="no secret", name="Example Ltd"
    )
    with override_settings(SOCIALACCOUNT_PROVIDERS=providers, OIDC_SERVER_URL="http://127.0.0.1:9"):
        assert faults_of(page, addresses.values()) == []
    assert page.troubles == []  # type: ignore[attr-defined]


def test_what_is_said_to_who_may_not_come_in(mara: User, sign_in: SignIn) -> None:
    """A wrong password, and the last one that is taken before the name is locked."""
    page = of_phone(sign_in)
    for _ in range(8):
        page.goto(reverse("account_login"))
        if page.locator("#id_login").count() == 0:
            break
        page.locator("#id_login").fill(mara.username)
        page.locator("#id_password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_load_state()
        assert faults_here(page, "refused") == []
        if "locked" in page.content():
            break
    expect(page.locator("main")).to_contain_text("locked")
    assert page.troubles == []  # type: ignore[attr-defined]


def test_pages_of_who_is_signed_in_with_second_factors(mara: User, sign_in: SignIn) -> None:
    page = of_phone(sign_in)
    secret = app_for(mara)
    key = SoftKey().belongs_to(mara)
    assert key is not None
    enter(page, mara)
    expect(page.locator("h1")).to_have_text("Second factor")
    assert faults_here(page, BETWEEN[0]) == []
    page.locator("#id_code").fill(code_of(secret))
    page.get_by_role("button", name="Sign in with a code").click()
    page.wait_for_url(lambda url: "/accounts/" not in url)
    page.goto("about:blank")
    pk = mara.authenticator_set.get(type="webauthn").pk
    found = []
    for name in INSIDE:
        args = [pk] if name == "mfa_remove_webauthn" else []
        page.goto(reverse(name, args=args))
        found += faults_here(page, name)
        assert urlsplit(page.url).path.startswith("/accounts/"), name
    assert found == []


def test_pages_of_who_sets_up_the_first_factor(mara: User, sign_in: SignIn) -> None:
    page = of_phone(sign_in)
    enter(page, mara)
    page.wait_for_url(lambda url: "/accounts/" not in url)
    page.goto("about:blank")
    names = ("mfa_index", "mfa_activate_totp", "mfa_add_webauthn", "mfa_list_webauthn", "account_change_password")
    assert faults_of(page, map(reverse, names)) == []
    expect(page.locator("h1")).to_be_visible()
