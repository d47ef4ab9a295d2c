"""What a stranger does after `make run`: connect an account at the simulator, out of the box, and end it again."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.scenarios.test_embedded_run import Desk

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LIST = "/admin/connectors/authorisation/"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    started = Desk(tmp_path)
    yield started
    if started.process.poll() is None:
        started.end(signal.SIGTERM)


def test_connect_come_back_use_it_and_disconnect(desk: Desk, browser: Browser) -> None:
    desk.wait_until_ready()
    context = browser.new_context(base_url=desk.url)
    context.set_default_timeout(30_000)
    page, operator = context.new_page(), desk.demo["users"]["operator"]
    page.goto(f"/accounts/login/?next={LIST}")
    page.locator("[name=login]").fill(operator["username"])
    page.locator("[name=password]").fill(operator["password"])
    page.locator("[name=password]").press("Enter")
    page.wait_for_url(f"**{LIST}")
    page.get_by_role("link", name="Connect a Coinbase account").click()
    expect(page.get_by_text("Paper:")).to_be_visible()
    page.get_by_role("button", name="Go to the simulator").click()
    page.wait_for_url(re.compile(r"http://127\.0\.0\.1:\d+/oauth2/auth"))
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url("**/change/")
    assert page.url.startswith("http://localhost:")
    expect(page.locator(".messagelist")).to_contain_text("is connected, with everything that was asked for.")
    authorisation = page.url
    page.get_by_role("link", name="Make a connection with it").click()
    page.get_by_label("Slug").fill("by-oauth")
    page.get_by_label("Name").fill("By OAuth")
    page.get_by_label("Desk").select_option(index=1)
    page.get_by_role("button", name="Make the connection").click()
    page.get_by_role("button", name="Ask the venue what the key may do").click()
    page.get_by_text("may view and trade, and may not transfer").wait_for()
    expect(page.get_by_text("Not followed: it stands on OAuth")).to_be_visible()
    page.goto(authorisation.replace("/change/", "/disconnect/"))
    page.get_by_role("button", name="Disconnect").click()
    page.get_by_text("the venue was asked to forget it").wait_for()
    context.close()
