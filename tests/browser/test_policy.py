"""Every address of the admin's registry is opened: none breaks the content security policy, none is wider than a
phone, none bars anybody."""

from collections import Counter
from decimal import Decimal

import pytest
from django.contrib import admin
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from playwright.sync_api import Page

from apps.accounts.models import User
from apps.audit.services import alarms
from tests.browser.conftest import PHONE, WIDE, SignIn, Ticker
from tests.browser.looks import barriers, sideways
from tests.factories.accounts import SecondPersonRequestFactory, UserFactory
from tests.factories.desk import PaperDesk
from tests.factories.everything import a_row_of_each
from tests.factories.memory import EvaluationFactory, IndexEntryFactory, RecallFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI || event.sample}`);
});
"""


def objects_of_everything(desk: PaperDesk) -> None:
    """At least one row of every model; of what trading writes, as it writes it."""
    filled = desk.propose()
    desk.approve(filled)
    desk.execute(filled)
    desk.poll(filled)
    desk.propose(quantity=Decimal(5))
    alarms.raise_alarm(code="TEST", subject="tests", message="A test raised this.", now=timezone.now())
    SecondPersonRequestFactory()
    RecallFactory(desk=desk.desk)
    EvaluationFactory(desk=desk.desk)
    IndexEntryFactory()
    a_row_of_each(desk)


def addresses(user: User) -> list[str]:
    """Index, kinds of work, whether lessons help, and each model's list, add, change, history and delete page."""
    own = ("index", "watch", "set_up", "look_back", "search", "lessons_evaluation_help")
    found = [reverse(f"admin:{name}") for name in own]
    for model in sorted(admin.site._registry, key=lambda item: item._meta.label):
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found += [reverse(f"{base}_changelist"), reverse(f"{base}_add")]
        row = model._default_manager.first()
        assert row is not None, f"{model._meta.label} has no row: its page is not walked"
        found += [reverse(f"{base}_{verb}", args=[row.pk]) for verb in ("change", "history", "delete")]
    return found


def visit(page: Page, url: str) -> tuple[int, list[str]]:
    answer = page.goto(url)
    page.wait_for_timeout(50)
    return (answer.status if answer else 0), page.evaluate("window.violations")


def test_every_page_of_the_registry_keeps_the_policy_fits_a_phone_and_bars_nobody(
    desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn
) -> None:
    objects_of_everything(desk_live)
    boss = UserFactory(username="boss", is_superuser=True)
    page = sign_in(boss)
    page.add_init_script(WATCH)
    broken, failing, wide, barred = {}, {}, {}, {}
    alike: Counter[str] = Counter()
    for url in addresses(boss):
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]  a dict that has both
        status, violations = visit(page, url)
        if violations:
            broken[url] = violations
        kind = url.rstrip("/").rpartition("/")[2]
        if status >= 500 or (kind in {"change", "history"} and status != 200):
            failing[url] = status
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]  as above
        if (excess := sideways(page)) > 0:
            wide[url] = excess
        alike[kind] += 1
        # The pages of history and deletion are one template each: axe need not read it fifty times.
        is_told = kind in {"history", "delete"} and alike[kind] > 2
        if status == 200 and not is_told and (found := barriers(page)):
            barred[url] = found
    assert failing == {}
    assert broken == {}
    assert wide == {}
    assert barred == {}
    assert page.troubles == []  # type: ignore[attr-defined]


def test_pages_of_signing_in_keep_the_policy(live_server: object, sign_in: SignIn, db: None) -> None:
    page = sign_in(UserFactory(username="nobody", is_staff=False))
    page.context.clear_cookies()
    page.add_init_script(WATCH)
    for name in ("account_login", "account_reset_password"):
        try:
            url = reverse(name)
        except NoReverseMatch:
            continue
        status, violations = visit(page, url)
        assert (status, violations) == (200, [])


def test_a_policy_that_is_broken_would_be_seen(desk_live: PaperDesk, sign_in: SignIn) -> None:
    page = sign_in(desk_live.approver)
    page.add_init_script(WATCH)
    page.goto("/admin/")
    page.evaluate("document.body.setAttribute('style', 'color: red')")
    page.wait_for_timeout(50)
    assert page.evaluate("window.violations") != []
