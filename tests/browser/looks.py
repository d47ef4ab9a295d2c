"""What is measured of a page: its width, what axe says of it, and whether the bar at its head looks alive."""

import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

BAR = ("#bar-state", "#bar-alarms", "#nav-waiting")
IS_STALE = re.compile(r"\bis-stale\b")


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def barriers(page: Page) -> list[str]:
    """What axe calls serious or critical on the page: the rule and the first element that breaks it."""
    before = len(page.troubles)  # type: ignore[attr-defined]
    found = Axe().run(page).response["violations"]
    # axe measures with inline styles of its own, which the content security policy stops and the browser reports.
    del page.troubles[before:]  # type: ignore[attr-defined]
    return [
        f"{rule['id']}: {rule['nodes'][0]['target'][0]}" for rule in found if rule["impact"] in ("serious", "critical")
    ]


def ink_of(page: Page, place: str) -> str:
    """The colour that it is written in."""
    return str(page.locator(place).evaluate("node => getComputedStyle(node).color"))


def bar_is_grey(page: Page) -> None:
    """Each number of the bar is grey and says how old it is."""
    for place in BAR:
        expect(page.locator(place)).to_have_class(IS_STALE)
    for age in ("#bar-alarms [data-alarm-age]", "#nav-waiting [data-count-age]"):
        expect(page.locator(age)).to_contain_text(" s old")


def bar_is_lively(page: Page) -> None:
    """Each number of the bar is there, none is grey, and none says how old it is."""
    for place in BAR:
        expect(page.locator(place)).to_be_visible()
        expect(page.locator(place)).not_to_have_class(IS_STALE)
    expect(page.locator("#nav-waiting [data-count-age]")).to_have_text("")
    expect(page.locator("#bar-alarms [data-alarm-age]")).not_to_contain_text(" old")
