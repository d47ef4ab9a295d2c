"""The bar at the head of the watching page greys with the socket that tells of the desk, whatever else answers."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, WIDE, SignIn
from tests.browser.looks import bar_is_grey, bar_is_lively, ink_of, sideways
from tests.browser.test_feeds_known import Sockets
from tests.factories.desk import PaperDesk

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

BEATS = 40
# The bar asks every few seconds, and a busy browser later than that.
PATIENCE_MS = 30_000


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_it_greys_with_the_socket_of_the_desk_though_prices_and_questions_go_on(
    desk_live: PaperDesk, sign_in: SignIn, viewport: dict[str, int], shots: Path | None
) -> None:
    assert desk_live.propose().state == "AWAITING_APPROVAL"
    page = sign_in(desk_live.approver, viewport=viewport)
    sockets = Sockets(page)
    page.goto("/")
    feed = {"market": "m|x", "connections": [desk_live.connection.slug], "state": "LIVE", "gaps": 0, "reconnects": 0}
    sockets.beat_until("Live", [feed])
    bar_is_lively(page)
    lively = ink_of(page, "#nav-waiting")

    asked: list[int] = []
    page.on("response", lambda answer: asked.append(answer.status) if answer.url.endswith("status.json") else None)
    for _ in range(BEATS):
        sockets.beat([feed], of="quotes")
        if asked and page.locator("#watch-cut").is_visible():
            break
    assert asked[0] == 200, "the bar is told anew now and then: that is not live"
    expect(page.locator("#watch-cut")).to_contain_text("What happens at the desk is cut off")
    expect(page.locator("#bar-feed")).to_contain_text("The desk is cut off")
    bar_is_grey(page)
    assert ink_of(page, "#nav-waiting") != lively
    assert 0 < int(page.locator("#watch").get_attribute("data-silent-ms") or 0) <= 2000
    assert sideways(page) <= 0
    if shots is not None:
        page.screenshot(path=shots / f"bar-cut-{viewport['width']}.png")

    for _ in range(BEATS):
        sockets.beat([feed])
        if page.locator("#watch-cut").is_hidden():
            break
    bar_is_lively(page)
    expect(page.locator("#bar-feed")).not_to_contain_text("cut off")
    assert ink_of(page, "#nav-waiting") == lively
    assert page.troubles == []  # type: ignore[attr-defined]


def test_it_greys_on_every_page_when_nobody_answers(desk_live: PaperDesk, sign_in: SignIn) -> None:
    assert desk_live.propose().state == "AWAITING_APPROVAL"
    page = sign_in(desk_live.approver)
    page.goto("/admin/set-up/")
    bar_is_lively(page)
    page.route("**/status.json", lambda route: route.abort())
    expect(page.locator("#bar-feed")).to_contain_text("Aika does not answer", timeout=PATIENCE_MS)
    bar_is_grey(page)
    page.unroute("**/status.json")
    expect(page.locator("#bar-feed")).not_to_contain_text("does not answer", timeout=PATIENCE_MS)
    bar_is_lively(page)
