"""What is measured of a page: its width, and what axe says of it."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


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
