"""An approver is reminded of what similar trades cost, and says what of it is not similar, in a real browser."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from apps.lessons.models import Lesson, RecallFeedback
from apps.lessons.types import Plan, ReviewState
from tests.browser.conftest import PHONE, WIDE, SignIn, Ticker
from tests.browser.test_look import OTHER_WIDTHS, barriers, sideways
from tests.factories.desk import PaperDesk
from tests.factories.similar import NO_STOP, lost, proposed

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

HELD = Plan(thesis="It has held twice at the low, so I bought the third touch.", risk=Decimal(60))
NEXT = "Rest a stop below the low before buying the third touch."


def remember(desk: PaperDesk) -> None:
    """Two losses and a win without a stop, one of them reviewed."""
    now = timezone.now()
    (worst,) = lost(desk, 1, product="BTC-USD", plan=HELD, pnl=Decimal("-168.20"), quantity=Decimal("0.06"))
    Lesson.objects.filter(case=worst).update(state=ReviewState.REVIEWED, next_time=NEXT)
    lost(desk, 1, pnl=Decimal("-74.55"), closed_at=now - timedelta(days=23), exit_reason="by hand")
    lost(desk, 1, product="BTC-USD", pnl=Decimal("141.30"), plan=HELD, facts=(NO_STOP,), exit_reason="target")


@pytest.mark.parametrize("size", ["wide", "phone"])
def test_what_is_not_similar_is_said_and_kept(
    desk_live: PaperDesk, ticking: Ticker, sign_in: SignIn, shots: Path | None, size: str
) -> None:
    remember(desk_live)
    proposal = proposed(desk_live)
    viewport, scheme = {"wide": (WIDE, "light"), "phone": (PHONE, "dark")}[size]
    page = sign_in(desk_live.approver, viewport=viewport, scheme=scheme)
    page.goto(f"/admin/decide/{proposal.pk}/")
    lessons = page.locator("#lessons .lesson")
    expect(lessons).to_have_count(3)
    expect(lessons.first).to_contain_text("168.20")
    expect(lessons.first).to_contain_text(f"Next time: {NEXT}")
    expect(lessons.first).to_contain_text("no stop in the plan")
    expect(lessons.last).to_contain_text("One that won")
    expect(page.locator('[data-tile="memory"]')).to_contain_text("2 of 3 lost")
    page.locator("#comment").fill("Half written")

    said = lessons.first.get_by_role("button", name="Not similar")
    said.click()
    expect(said).to_have_attribute("aria-pressed", "true")
    expect(lessons.first).to_contain_text("You found it not similar.")
    expect(page.locator("#comment")).to_have_value("Half written")
    page.reload()
    expect(said).to_have_attribute("aria-pressed", "true")
    if shots is not None:
        page.locator("#lessons").screenshot(path=shots / f"lessons-{size}.png")
    useful = lessons.first.get_by_role("button", name="Useful")
    useful.click()
    expect(useful).to_have_attribute("aria-pressed", "true")
    expect(said).to_have_attribute("aria-pressed", "false")
    assert list(RecallFeedback.objects.values_list("verdict", flat=True)) == ["USEFUL"]
    assert barriers(page) == []
    for width in (viewport["width"], *OTHER_WIDTHS):
        page.set_viewport_size({"width": width, "height": 800})
        assert sideways(page) <= 0, width
    assert page.troubles == []  # type: ignore[attr-defined]
