"""The page of those who watch says how the feeds are, that there are none, or that this is not known: never another."""

import json
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, WebSocketRoute, expect

from apps.common.decimals import instant_text
from tests.browser.conftest import SignIn
from tests.factories.desk import PaperDesk

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

BEATS_MAX = 80
BEAT_MS = 250


class Sockets:
    """Both sockets of the page, on which the test says the heartbeats: Django's test server speaks no WebSocket."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.open: list[WebSocketRoute] = []
        page.route_web_socket("**/ws/*", self._opened)

    def _opened(self, socket: WebSocketRoute) -> None:
        socket.on_message(lambda _: None)
        self.open.append(socket)

    def beat(self, feeds: list[dict[str, Any]] | None, *, of: str = "/ws/") -> None:
        """One heartbeat on each socket whose address holds this."""
        text = json.dumps({"type": "heartbeat", "at": instant_text(timezone.now()), "feeds": feeds})
        for socket in self.open:
            if of in socket.url:
                socket.send(text)
        self.page.wait_for_timeout(BEAT_MS)

    def beat_until(self, words: str, feeds: list[dict[str, Any]] | None) -> None:
        """Heartbeats that say this of the feeds, until the page says `words`."""
        for _ in range(BEATS_MAX):
            self.beat(feeds)
            if words in (said := self.page.locator("#feeds").inner_text()):
                return
        raise AssertionError(f"The page goes on saying: {said}")


def test_no_answer_about_the_feeds_is_not_that_there_are_none(desk_live: PaperDesk, sign_in: SignIn) -> None:
    page = sign_in(desk_live.approver)
    sockets = Sockets(page)
    page.goto("/")
    feed = {"market": "m|x", "connections": [desk_live.connection.slug], "state": "LIVE", "gaps": 0, "reconnects": 0}

    sockets.beat_until("Not known", None)
    sockets.beat_until("Live", [feed])
    sockets.beat_until("Not known", None)
    expect(page.locator("#feeds")).to_contain_text(desk_live.connection.name)
    sockets.beat_until("No connection has a feed.", [])
    sockets.beat_until("Not known", None)
    expect(page.locator("#feeds")).not_to_contain_text("No connection")
    assert page.troubles == []  # type: ignore[attr-defined]
