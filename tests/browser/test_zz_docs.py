"""The page of the schema, in a browser that holds it to the content policy of every page."""

import pytest
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

pytestmark = pytest.mark.browser


def test_the_schema_can_be_read_under_the_content_policy(live_server: LiveServer, browser: Browser) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))

    page.goto(f"{live_server.url}/api/v1/docs")
    page.get_by_text("/trades/proposals", exact=False).first.wait_for()
    operation = page.locator(".opblock-post").filter(has_text="Propose a trade")
    operation.locator("button.opblock-summary-control").click()
    operation.get_by_text("IDEMPOTENCY").or_(operation.get_by_text("Idempotency-Key")).first.wait_for()

    page.screenshot(path="/tmp/docs.png")
    assert said == []
    page.close()
