"""Hooks as an operator meets them: made, tried on an example, switched on, called and read, wide and on a phone."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from apps.connectors.types import Side
from apps.trades.models import Hook
from tests.browser.conftest import PHONE, SignIn
from tests.browser.looks import barriers, sideways
from tests.factories.accounts import UserFactory
from tests.factories.desk import BTC, PaperDesk
from tests.hooks.conftest import Sender

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def looked_at(name: str, wide: Page, phone: Page, shots: Path | None, path: str = "") -> None:
    """The page fits both widths, and axe finds nothing serious."""
    for size, page in (("wide", wide), ("phone", phone)):
        if path:
            page.goto(path)
        assert (sideways(page), barriers(page)) == (0, []), f"{name} {size}"
        if shots is not None:
            page.screenshot(path=shots / f"hooks-{name}-{size}.png", full_page=True)


def test_a_hook_is_made_tried_switched_on_and_called(desk_live: PaperDesk, sign_in: SignIn, shots: Path | None) -> None:
    operator = UserFactory(username="otto", role="operator", desk=desk_live.desk)
    wide, phone = sign_in(operator), sign_in(operator, viewport=PHONE, scheme="dark")
    looked_at("add", wide, phone, shots, "/admin/trades/hook/add/")
    wide.get_by_label("Name").fill("btc-alerts")
    wide.get_by_label("Owner").select_option(str(desk_live.trader.pk))
    wide.get_by_label("Connection").select_option(desk_live.connection.slug)
    wide.get_by_role("button", name="Show what the example becomes").click()
    expect(wide.locator(".hook-preview")).to_contain_text("BTC-USD")
    wide.get_by_role("button", name="Make the hook").click()
    secret = wide.locator("#hook-secret").inner_text()
    assert re.fullmatch("[0-9a-f]{64}", secret)
    assert (sideways(wide), barriers(wide)) == (0, [])
    hook = Hook.objects.get()
    page = f"/admin/trades/hook/{hook.pk}/change/"
    looked_at("new", wide, phone, shots, page)
    wide.get_by_role("button", name="Switch it on").click()
    expect(wide.locator(".messagelist")).to_contain_text("becomes proposals")

    price = str(desk_live.crossing_price(BTC, Side.BUY))
    payload = {"ticker": "BTCUSD", "action": "buy", "size": "0.01", "price": price, "alert": "Crossed above"}
    sender = Sender(hook=hook, secret=secret, payload=payload)
    assert sender.send()[0] == 201
    assert sender.send(sender.body(ticker="DOGE"))[0] == 422
    assert sender.send(signature="nonsense")[0] == 401
    looked_at("called", wide, phone, shots, page)
    expect(wide.locator("main, #content").first).to_contain_text("HOOK_VALUE_UNMAPPED")
    looked_at("list", wide, phone, shots, "/admin/trades/hook/")
    looked_at("calls", wide, phone, shots, "/admin/trades/hookcall/")
    wide.locator("#result_list tbody a").first.click()
    wide.wait_for_url("**/hookcall/*/change/")
    phone.goto(wide.url)
    looked_at("call", wide, phone, shots)
    looked_at("rotate", wide, phone, shots, f"/admin/trades/hook/{hook.pk}/rotate/")
