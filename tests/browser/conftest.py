"""A desk in a real browser: Django's live server, the venue simulator, Debian's chromium."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from apps.accounts.models import User
from apps.common.errors import AikaError
from apps.quotes.services import quotes
from tests.factories.desk import PaperDesk, paper_desk
from tests.venues.simulator_process import SimulatorProcess

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
# Playwright's sync API runs an event loop in the test's thread; Django would refuse the ORM there.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

SignIn = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One chromium for the session."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def desk_live(transactional_db: None, simulator: SimulatorProcess) -> PaperDesk:
    """A desk that trades on the simulator, in a database the server's threads see."""
    cache.clear()
    return paper_desk(simulator)


class Ticker:
    """Keeps prices fresh as the poller does, until it is told to be silent."""

    def __init__(
        self,
        desk: PaperDesk,
        codes: tuple[str, ...] = ("BTC-USD", "ETH-USD", "SOL-USD", "ADA-USD", "LTC-USD", "LINK-USD"),
    ) -> None:
        self._desk, self._codes = desk, codes
        self._stop, self._thread = threading.Event(), threading.Thread(target=self._run, daemon=True)

    def start(self) -> "Ticker":
        self._thread.start()
        return self

    def silence(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.4):
            try:
                quotes.refresh(self._desk.connection, list(self._codes))
            except AikaError:
                continue


@pytest.fixture
def ticking(desk_live: PaperDesk) -> Iterator[Ticker]:
    """Prices that live while the test runs."""
    ticker = Ticker(desk_live).start()
    yield ticker
    ticker.silence()


@pytest.fixture
def sign_in(browser: Browser, live_server: object) -> Iterator[SignIn]:
    """A page of somebody's own browser, signed in: `sign_in(user, viewport=PHONE, scheme="dark")`; of nobody: `None`.

    Every violation of the content security policy and every script error is kept in `page.troubles`.
    """
    contexts: list[BrowserContext] = []
    address = str(live_server.url)  # type: ignore[attr-defined]  pytest-django's own class

    def enter(
        user: User | None, *, viewport: dict[str, int] = WIDE, scheme: str = "light", scripts: bool = True
    ) -> Page:
        context = browser.new_context(
            base_url=address,
            viewport=viewport,
            color_scheme=scheme,  # type: ignore[arg-type]
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        contexts.append(context)
        if user is not None:
            client = Client()
            client.force_login(user)
            cookie = client.cookies[settings.SESSION_COOKIE_NAME]
            host = urlsplit(address).hostname or "localhost"
            context.add_cookies([{"name": cookie.key, "value": cookie.value, "domain": host, "path": "/"}])
        context.set_default_timeout(8_000)
        page = context.new_page()
        page.troubles = []  # type: ignore[attr-defined]
        page.on("pageerror", lambda error: page.troubles.append(f"script: {error}"))  # type: ignore[attr-defined]
        page.on("console", lambda message: _note(page, message.type, message.text))
        return page

    yield enter
    for context in contexts:
        context.close()


def _note(page: Page, kind: str, text: str) -> None:
    if kind == "error" and "Failed to load resource" not in text:
        page.troubles.append(text)  # type: ignore[attr-defined]


@pytest.fixture
def shots() -> Path | None:
    """Where to keep pictures, when somebody wants to look: AIKA_SHOTS=<folder>."""
    wanted = os.environ.get("AIKA_SHOTS")
    if not wanted:
        return None
    folder = Path(wanted)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
