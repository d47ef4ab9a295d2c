"""The last message of a thousand instruments, on both pages that tell of a feed, wide and narrow."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.connectors.models import Instrument
from apps.connectors.selectors import market_of
from apps.quotes.rules.feed import FeedSigns
from apps.quotes.selectors.feed import SIGNS_KEPT_S, TOLD_MAX, signs_key
from tests.browser.conftest import PHONE, WIDE, SignIn
from tests.browser.looks import barriers, sideways
from tests.browser.test_feeds_known import Sockets
from tests.factories.accounts import UserFactory
from tests.factories.connectors import InstrumentFactory
from tests.factories.desk import PaperDesk

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

MANY = 1_100


@pytest.fixture
def told(desk_live: PaperDesk) -> list[str]:
    """Codes in the order in which they were told, the one of longest ago first."""
    codes = [f"X{number:04}-USD" for number in range(MANY)]
    Instrument.objects.bulk_create(
        InstrumentFactory.build(connection=desk_live.connection, code=code) for code in codes
    )
    now, market = timezone.now(), market_of(desk_live.connection)
    heard = {code: now - timedelta(seconds=MANY - number) for number, code in enumerate(codes)}
    signs = FeedSigns(
        holder="me", said_at=now, since=now, whole_at=now, heard_at=now, priced_at=now, sockets=5, live=5,
        messages_per_s=812, lag_ms=41, instruments=heard,
    )  # fmt: skip
    cache.set(signs_key(market), signs, timeout=SIGNS_KEPT_S)
    return codes


def fits(page: Page, shots: Path | None, name: str) -> None:
    assert sideways(page) <= 0
    assert barriers(page) == []
    if shots is not None:
        page.locator(".told").scroll_into_view_if_needed()
        page.screenshot(path=shots / f"{name}.png")


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_watching_page_lists_them(
    desk_live: PaperDesk, told: list[str], sign_in: SignIn, viewport: dict[str, int], shots: Path | None
) -> None:
    page = sign_in(desk_live.approver, viewport=viewport)
    sockets = Sockets(page)
    page.goto("/")
    slug = desk_live.connection.slug
    feed = {"market": "m|x", "connections": [slug], "state": "LIVE", "gaps": 0, "reconnects": 0, "messages_per_s": 812}
    sockets.beat_until("Live", [feed])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/v1/feed" in request.url else None)
    page.locator("#told summary").click()
    expect(page.locator("#told tbody tr")).to_have_count(TOLD_MAX)
    expect(page.locator("#told tbody th").first).to_have_text(told[0])
    expect(page.locator("#told tbody td").first).to_contain_text("18 min ago")
    expect(page.locator("#told-note")).to_contain_text("more left out")
    fits(page, shots, f"told-watch-{viewport['width']}")
    page.locator("#told summary").click()
    so_far = len(asked)
    page.wait_for_timeout(6_000)
    assert len(asked) == so_far >= 1, "closed, nobody asks"
    assert page.troubles == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_page_of_the_connection_lists_them(
    desk_live: PaperDesk, told: list[str], sign_in: SignIn, viewport: dict[str, int], shots: Path | None
) -> None:
    operator = UserFactory(username="otto", role="operator", desk=desk_live.desk)
    page = sign_in(operator, viewport=viewport)
    page.goto(reverse("admin:connectors_connection_change", args=[desk_live.connection.pk]))
    page.locator(".told summary").click()
    expect(page.locator(".told tbody tr")).to_have_count(TOLD_MAX)
    expect(page.locator(".told tbody th").first).to_have_text(told[0])
    fits(page, shots, f"told-connection-{viewport['width']}")
    assert page.troubles == []  # type: ignore[attr-defined]
