"""Every page at 360 to 1440 px, light and dark: nothing scrolls sideways, no script fails, and axe finds nothing
serious."""

from decimal import Decimal
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from apps.policies.services import latches as policy_latches
from apps.policies.types import LatchKind
from apps.trades.services import proposals
from apps.trades.types import Narrative
from tests.browser.conftest import PHONE, WIDE, SignIn, Ticker
from tests.browser.looks import barriers, sideways
from tests.factories.desk import PaperDesk
from tests.factories.latches import trip
from tests.factories.memory import EvaluationFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SAID = (
    "Breakout above the four-hour range high on rising volume.\n"
    "Risk desk has signed this off already, please approve quickly.\u202e\nhttps://charts.example/btc-4h"
)
SIZES = {"wide": WIDE, "phone": PHONE}
# Between the two that get a picture: the smallest phone, a tablet both ways.
OTHER_WIDTHS = (360, 768, 1024)


def pages_of(desk: PaperDesk) -> dict[str, str]:
    """The pages that matter, with something on each."""
    near = proposals.propose(
        intent=desk.intent(quantity=Decimal("0.03")),
        narrative=Narrative(rationale=SAID, confidence=Decimal("0.82"), tags=("breakout", "4h")),
        principal=desk.principal,
        idempotency_key="",
        now=timezone.now(),
    )
    desk.propose(instrument="ETH-USD", quantity=Decimal("0.4"))
    denied = desk.propose(quantity=Decimal("5"))
    filled = desk.propose(quantity=Decimal("0.012"))
    desk.approve(filled)
    desk.execute(filled)
    desk.poll(filled)
    EvaluationFactory(desk=desk.desk)
    return {
        "desk": "/admin/",
        "decision": f"/admin/decide/{near.pk}/",
        "filled": f"/admin/decide/{filled.pk}/",
        "denied": f"/admin/decide/{denied.pk}/",
        "story": f"/admin/decide/{filled.pk}/story/",
        "watch": "/admin/watch/",
        "set-up": "/admin/set-up/",
        "look-back": "/admin/look-back/",
        "orders": "/admin/trades/order/",
        "proposals": "/admin/trades/proposal/",
        "proposal": f"/admin/trades/proposal/{near.pk}/change/",
        "trading-state": "/admin/trading-state/",
        "latches": "/admin/policies/latch/",
        "halted-page": "/admin/halted/",
        "search": "/admin/search/?q=BTC",
        "does-it-help": "/admin/lessons/evaluation/does-it-help/",
        "missing": "/admin/decide/00000000-0000-0000-0000-000000000000/",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", sorted(SIZES))
def test_pages_fit(
    desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn, shots: Path | None, size: str, scheme: str
) -> None:
    page = sign_in(desk_live.approver, viewport=SIZES[size], scheme=scheme)
    wide: dict[str, int] = {}
    barred: dict[str, list[str]] = {}
    for name, url in pages_of(desk_live).items():
        page.goto(url)
        page.wait_for_timeout(1200 if name == "decision" else 200)
        if shots is not None:
            page.screenshot(path=shots / f"{name}-{size}-{scheme}.png", full_page=True)
        if sideways(page) > 0:
            wide[name] = sideways(page)
        if found := barriers(page):
            barred[name] = found
    assert wide == {}
    assert barred == {}, "\n".join(f"{name}: {rules}" for name, rules in barred.items())
    assert page.troubles == []  # type: ignore[attr-defined]


def test_pages_fit_between_phone_and_desktop(desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn) -> None:
    page = sign_in(desk_live.approver)
    wide: dict[str, int] = {}
    for name, url in pages_of(desk_live).items():
        page.goto(url)
        for width in OTHER_WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            if sideways(page) > 0:
                wide[f"{name} at {width}"] = sideways(page)
    assert wide == {}


def test_what_tripped_and_the_way_back_fit(
    desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn, shots: Path | None
) -> None:
    """A desk where something tripped and somebody asked to reset it, as the second person finds it; then halted."""
    now = timezone.now()
    latch = trip(desk_live, LatchKind.QUOTES_DEAD, now=now)
    policy_latches.request_reset(latch_id=latch.pk, requester=desk_live.risk, reason="Prices are back.", now=now)
    page = sign_in(desk_live.approver)
    phone = sign_in(desk_live.approver2, viewport=PHONE, scheme="dark")
    for name, path in (("tripped", "/admin/trading-state/"), ("tripped-desk", "/admin/")):
        for kind, each in (("wide", page), ("phone", phone)):
            each.goto(path)
            if shots is not None:
                each.screenshot(path=shots / f"{name}-{kind}.png", full_page=True)
            assert sideways(each) <= 0
            assert barriers(each) == []
    page.get_by_role("button", name="Halt trading").click()
    expect(page.locator("h1")).to_contain_text("Trading is HALTED")
    for kind, each in (("wide", page), ("phone", phone)):
        each.goto("/admin/halted/")
        if shots is not None:
            each.screenshot(path=shots / f"halt-done-{kind}.png", full_page=True)
        assert sideways(each) <= 0
        assert barriers(each) == []
    assert page.troubles == phone.troubles == []  # type: ignore[attr-defined]


def test_states_fit(desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn, shots: Path | None) -> None:
    """A page whose price has grown old, one that is halted, one that needs two people, and signing in."""
    large = desk_live.propose(quantity=Decimal("0.05"))
    page = sign_in(desk_live.approver)
    phone = sign_in(desk_live.approver2, viewport=PHONE, scheme="dark")
    desk_live.approve(large, desk_live.risk)

    def look(name: str) -> None:
        for kind, each in (("wide", page), ("phone", phone)):
            each.goto(f"/admin/decide/{large.pk}/")
            each.wait_for_timeout(1200)
            if shots is not None:
                each.screenshot(path=shots / f"{name}-{kind}.png", full_page=True)
            assert sideways(each) <= 0

    look("second")
    ticking.silence()
    page.wait_for_timeout(11_000)
    look("stale")
    page.get_by_role("button", name="Halt").click()
    look("halted")
    page.context.clear_cookies()
    page.goto("/accounts/login/")
    if shots is not None:
        page.screenshot(path=shots / "login-wide.png")
    assert sideways(page) <= 0
    assert page.troubles == []  # type: ignore[attr-defined]
