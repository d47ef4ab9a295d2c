"""Watching a real desk: the one command in a process of its own, its sockets, and a browser that nobody reloads."""

import os
import random
import re
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from apps.common import words
from tests.browser.conftest import PHONE, WIDE, SignIn
from tests.browser.looks import bar_is_grey, bar_is_lively, barriers, ink_of, sideways
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk
from tests.scenarios.callers import eventually
from tests.scenarios.test_embedded_run import Desk, processes_of

pytestmark = pytest.mark.browser

BTC = '[data-price="coinbase-paper|BTC-USD"]'
PATIENCE_MS = 20_000
WIDTHS = (360, 390, 768, 1024, 1440)
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk as `make run` leaves it."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.wait_until_ready()
    yield desk
    if desk.process.poll() is None:
        desk.process.send_signal(signal.SIGCONT)
        desk.end(signal.SIGKILL)


@pytest.fixture
def watch(browser: Browser, running: Desk) -> Iterator[Open]:
    """`watch("approver", viewport=PHONE)`: the page of one of the desk's people, signed in, live."""
    contexts: list[BrowserContext] = []

    def enter(
        part: str = "approver", *, viewport: dict[str, int] = WIDE, scheme: str = "light", desk: Desk = running
    ) -> Page:
        person = desk.person(part)
        cookies = [
            {"name": cookie.name, "value": cookie.value, "url": desk.url}
            for cookie in person.browser.cookies.jar
            if cookie.value
        ]
        person.close()
        context = browser.new_context(
            base_url=desk.url,
            viewport=viewport,
            color_scheme=scheme,  # type: ignore[arg-type]
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.add_cookies(cookies)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.troubles, page.asked = [], set()  # type: ignore[attr-defined]
        page.on("pageerror", lambda error: page.troubles.append(f"script: {error}"))  # type: ignore[attr-defined]
        page.on("console", lambda message: _note(page, message.type, message.text))
        page.on("request", lambda request: page.asked.add(urlsplit(request.url).netloc))  # type: ignore[attr-defined]
        page.on("websocket", lambda socket: page.asked.add(urlsplit(socket.url).netloc))  # type: ignore[attr-defined]
        page.goto("/")
        expect(page.locator(f"{BTC}:not(.is-stale)")).to_be_visible(timeout=PATIENCE_MS)
        page.evaluate("window.sameWindow = true")
        return page

    yield enter
    for context in contexts:
        context.close()


def _note(page: Page, kind: str, text: str) -> None:
    if kind == "error" and "Failed to load resource" not in text and "WebSocket connection" not in text:
        page.troubles.append(text)  # type: ignore[attr-defined]


def is_the_same_window(page: Page) -> bool:
    return bool(page.evaluate("window.sameWindow === true"))


def draw(page: Page, instrument: str, granularity: str) -> None:
    """Have a chart drawn by hand of mouse, and wait until it is."""
    page.locator(f'[data-price="coinbase-paper|{instrument}"] [data-choose]').click()
    page.locator(f'[data-granularity="{granularity}"]').click()
    wanted = f"coinbase-paper|{instrument}|{granularity}"
    expect(page.locator("#chart")).to_have_attribute("data-drawn", wanted, timeout=90_000)


def test_prices_move_without_reload(watch: Open) -> None:
    page = watch()
    price = page.locator(f"{BTC} [data-last]")
    was = price.inner_text()
    expect(price).not_to_have_text(was, timeout=PATIENCE_MS)
    expect(page.locator(f"{BTC} [data-spread]")).to_contain_text("bps")
    expect(page.locator("[data-total]")).not_to_have_text("Not known")
    drift = page.locator("[data-waiting] [data-drift]").first
    expect(drift).to_contain_text("bps")
    was = drift.inner_text()
    expect(drift).not_to_have_text(was, timeout=PATIENCE_MS)
    assert is_the_same_window(page)


def test_a_day_is_drawn_beside_the_prices_and_as_the_equity_of_the_desk(watch: Open) -> None:
    page = watch()
    drawn, patience_ms = re.compile(r"^M[\d. -]+(L[\d. -]+)+$"), 90_000
    expect(page.locator(f"{BTC} [data-change]")).to_contain_text("%")
    expect(page.locator(f"{BTC} .spark path")).to_have_attribute("d", drawn, timeout=patience_ms)
    expect(page.locator("svg.equity path.line")).to_have_attribute("d", drawn, timeout=patience_ms)
    expect(page.locator("svg.equity")).to_have_attribute(
        "aria-label", re.compile(r"^Equity over 24 hours, from [\d,.]+ to")
    )
    held = page.locator("[data-position]").first
    expect(held.locator("[data-unrealised]")).to_have_text(re.compile(r"\d\.\d\d"))
    expect(held.locator('[data-label="Realised"]')).to_have_text(re.compile(r"\d\.\d\d"))
    assert is_the_same_window(page)


def test_the_chart_holds_the_candles_of_the_api_and_our_own_marks(watch: Open) -> None:
    page = watch()

    def told_now() -> dict[str, list[str]]:
        """The candles that are final, as the API tells them: prices with two decimals, volume as it is."""
        answer = page.request.get(
            "/api/v1/candles",
            params={"connection": "coinbase-paper", "instrument": "ETH-USD", "granularity": "1m", "limit": "300"},
        )
        names = ("open", "high", "low", "close")
        return {
            item["start"][:19]: [*(f"{Decimal(item[name]):.2f}" for name in names), item["volume"]]
            for item in answer.json()["items"]
            if item["final"]
        }

    assert eventually(lambda: len(told_now()) > 200, seconds=60), "the demo's past was not filled in"
    draw(page, "ETH-USD", "1m")
    expect(page.locator("#chart")).to_have_attribute("data-arrows", "1")
    page.locator("#chart-table summary").click()
    expect(page.locator("[data-candle]").first).to_be_visible()

    def drawn() -> dict[str, list[str]]:
        rows = page.locator("[data-candle]:not([data-forming])").evaluate_all(
            "rows => rows.map(row => [row.dataset.candle, ...[...row.cells].slice(1).map(cell => cell.textContent)])"
        )
        return {row[0]: [text.replace(",", "") for text in row[1:]] for row in rows}

    def differing() -> dict[str, object]:
        """What either tells of the time both tell of, and the other does not. Asked anew each time: minutes pass."""
        told, seen = told_now(), {start[:19]: cells for start, cells in drawn().items()}
        # What has just become too old for the API may stand a little longer; candles before a gap may not.
        older = sorted(start for start in seen if start < min(told))
        starts = told.keys() | (seen.keys() - set(older[-5:]))
        return {at: (told.get(at), seen.get(at)) for at in sorted(starts) if told.get(at) != seen.get(at)}

    # The chart asks for all minutes anew once a minute: one that the venue told late is there by then.
    assert eventually(lambda: not differing(), seconds=150), f"the API and the chart, by minute: {differing()}"
    draw(page, "BTC-USD", "1m")
    expect(page.locator("#chart")).to_have_attribute("data-lines", "2")
    expect(page.locator("#chart")).to_have_attribute("data-arrows", "0")
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile("2 waiting proposals, listed below"))
    assert page.troubles == []  # type: ignore[attr-defined]


def test_what_is_approved_elsewhere_is_filled_here_without_reload(watch: Open, running: Desk) -> None:
    page = watch("trader")
    program, approver = running.program(), running.person("approver")
    try:
        asked = program.propose("0.05", "ETH-USD")
        waiting = page.locator(f'[data-waiting="{asked["id"]}"]')
        expect(waiting).to_be_visible(timeout=PATIENCE_MS)
        filled = page.locator('[data-order][data-state="FILLED"]')
        before = filled.count()
        approver.approve(asked["id"])
        program.followed_to(asked["id"], "FILLED")
    finally:
        program.close()
        approver.close()
    expect(waiting).to_have_count(0, timeout=PATIENCE_MS)
    expect(filled).to_have_count(before + 1, timeout=PATIENCE_MS)
    assert is_the_same_window(page)
    assert page.troubles == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_server_that_falls_silent_greys_every_number_and_it_all_comes_back(
    watch: Open, running: Desk, viewport: dict[str, int], shots: Path | None
) -> None:
    """The process is stopped, as a machine that hangs: the sockets stay open and say nothing."""
    page = watch(viewport=viewport)
    expect(page.locator("[data-total]")).not_to_have_text("Not known")
    bar_is_lively(page)
    lively = ink_of(page, "#nav-waiting")
    running.process.send_signal(signal.SIGSTOP)
    try:
        expect(page.locator("#watch-cut")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator("#watch-cut")).to_contain_text("cut off from Aika")
        expect(page.locator("#watch-said")).to_contain_text("No number on this page is live")
        expect(page.locator("[data-total]")).to_have_text("Not known")
        # Two sockets, each found silent by its own last word.
        expect(page.locator("[data-price]:not(.is-stale)")).to_have_count(0)
        expect(page.locator("[data-source]:not(.is-cut)")).to_have_count(0)
        expect(page.locator(f"{BTC} [data-age]")).to_contain_text(" s old")
        expect(page.locator("#part-positions [data-part-age]")).to_contain_text(" s old")
        expect(page.locator("[data-waiting] [data-drift]").first).to_contain_text("drift not known")
        bar_is_grey(page)
        expect(page.locator("#bar-feed")).to_contain_text("Cut off from Aika")
        assert ink_of(page, "#nav-waiting") != lively
        assert sideways(page) <= 0
        assert "CUT OFF" in page.title() and page.title().startswith("PAPER")
        # By the page's own clock: so long after the last word it was found out.
        assert 0 < int(page.locator("#watch").get_attribute("data-silent-ms") or 0) <= 2000
        if shots is not None:
            page.screenshot(path=shots / f"dashboard-cut-{viewport['width']}.png")
    finally:
        running.process.send_signal(signal.SIGCONT)
    expect(page.locator("#watch-cut")).to_be_hidden(timeout=60_000)
    expect(page.locator(f"{BTC}:not(.is-stale)")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("[data-total]")).not_to_have_text("Not known", timeout=PATIENCE_MS)
    expect(page.locator("#watch-said")).to_contain_text("Back")
    bar_is_lively(page)
    expect(page.locator("#bar-feed")).not_to_contain_text("Cut off")
    assert ink_of(page, "#nav-waiting") == lively
    assert "CUT OFF" not in page.title()
    assert is_the_same_window(page)


def test_a_venue_that_falls_silent_leaves_old_prices_and_nothing_that_follows_from_them(
    watch: Open, running: Desk
) -> None:
    """Aika answers, the venue does not: no number is cut off, and what is old says so."""
    page = watch()
    expect(page.locator("[data-total]")).not_to_have_text("Not known")
    (venue,) = processes_of(running.home) - {running.process.pid}
    os.kill(venue, signal.SIGSTOP)
    try:
        expect(page.locator(f"{BTC} [data-age].stale-tag")).to_contain_text(" s old", timeout=PATIENCE_MS)
        expect(page.locator("[data-total]")).to_have_text("Not known")
        expect(page.locator("[data-position] [data-unrealised]").first).to_have_text("Not known")
        expect(page.locator("[data-board-says]")).to_contain_text("No price is live", timeout=PATIENCE_MS)
        expect(page.locator("#watch-cut")).to_be_hidden()
    finally:
        os.kill(venue, signal.SIGCONT)
    expect(page.locator("[data-total]")).not_to_have_text("Not known", timeout=60_000)
    assert is_the_same_window(page)


def test_a_desk_that_was_killed_and_started_again_is_watched_on(watch: Open, tmp_path: Path) -> None:
    first = Desk(tmp_path)
    first.wait_until_ready()
    page = watch(desk=first)
    first.end(signal.SIGKILL)
    expect(page.locator("#watch-cut")).to_contain_text("cut off from Aika since", timeout=PATIENCE_MS)
    second = Desk(tmp_path, first.port)
    try:
        second.wait_until_ready()
        expect(page.locator("#watch-cut")).to_be_hidden(timeout=60_000)
        expect(page.locator(f"{BTC}:not(.is-stale)")).to_be_visible(timeout=PATIENCE_MS)
        assert is_the_same_window(page)
    finally:
        second.end(signal.SIGKILL)


def test_who_signs_out_elsewhere_is_told_so_here(watch: Open) -> None:
    page = watch("operator")
    other = page.context.new_page()
    other.goto("/admin/")
    other.get_by_role("button", name="Sign out").click()
    expect(page.locator("#watch-cut")).to_contain_text("You are signed out", timeout=60_000)
    expect(page.locator("#watch-cut").get_by_role("link", name="Sign in")).to_be_visible()
    expect(page.locator("[data-price]:not(.is-stale)")).to_have_count(0)
    expect(page.locator("[data-source]:not(.is-cut)")).to_have_count(0)
    expect(page.locator("#watch-said")).to_contain_text("signed out")


def test_it_fits_and_nothing_bars_it_and_nothing_comes_from_elsewhere(
    watch: Open, running: Desk, shots: Path | None
) -> None:
    for scheme in ("light", "dark"):
        for size, viewport in (("wide", WIDE), ("phone", PHONE)):
            page = watch(viewport=viewport, scheme=scheme)
            draw(page, "BTC-USD", "1m")
            page.locator("#chart-table summary").click()
            assert barriers(page) == [], (scheme, size)
            page.locator("#chart-table summary").click()
            if shots is not None:
                page.evaluate("scrollTo(0, 0)")
                page.screenshot(path=shots / f"dashboard-{size}-{scheme}.png", full_page=True)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 844})
                assert sideways(page) <= 0, width
            assert page.troubles == []  # type: ignore[attr-defined]
            assert page.asked == {urlsplit(running.url).netloc}  # type: ignore[attr-defined]


def test_many_events_are_one_question(watch: Open) -> None:
    """What the page asks when it hears of fifty things at once, counted by a chart that only this test names."""
    page = watch()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "chart=fifty" in request.url else None)
    with page.expect_response(lambda answer: "chart=fifty" in answer.url):
        page.evaluate(
            """async () => {
                const { Parts } = await import("/static/aika/js/watch/parts.js");
                const root = document.getElementById("watch");
                const parts = new Parts(root, { chosen: () => "fifty", onReplaced: () => {}, onSignedOut: () => {} });
                for (let event = 0; event < 50; event += 1) parts.soon();
            }"""
        )
    page.wait_for_timeout(1500)
    assert len(asked) == 1


def test_figures_read_as_the_server_writes_them(watch: Open) -> None:
    """Results are rounded against us in both places: a gain never up, a loss never down."""
    page = watch()
    dice = random.Random(4)
    values = [Decimal(dice.randint(-(10**9), 10**9)).scaleb(-dice.randint(2, 6)) for _ in range(2000)]
    values += [Decimal(text) for text in ("0", "4.35", "-4.35", "0.005", "-0.005", "1.005", "-1234567.891", "0.29")]
    read = page.evaluate(
        """async (texts) => {
            const { result } = await import("/static/aika/js/watch/figures.js");
            return texts.map((text) => result(Number(text)));
        }""",
        [str(value) for value in values],
    )
    expected = [words.result(value) for value in values]
    assert [(v, a, b) for v, a, b in zip(values, read, expected, strict=True) if a != b] == []


def test_the_keyboard_is_enough(watch: Open) -> None:
    page = watch()
    page.keyboard.press("j")
    first = page.evaluate("document.activeElement.closest('[data-price]').dataset.instrument")
    page.keyboard.press("j")
    second = page.evaluate("document.activeElement.closest('[data-price]').dataset.instrument")
    assert first != second
    page.keyboard.press("Enter")
    expect(page.locator("[data-chart-name]")).to_have_text(second)
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.locator("[data-chart-name]")).to_have_text(first)
    page.locator('[data-granularity="1m"]').focus()
    page.keyboard.press("Enter")
    expect(page.locator('[data-granularity="1m"]')).to_have_attribute("aria-pressed", "true")
    # What is focused keeps its focus when the server's parts are taken anew.
    page.locator("[data-choose]").first.focus()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    assert page.evaluate("document.activeElement.dataset.choose !== undefined")
    assert page.url.endswith("/1m")


@pytest.fixture
def plain_trader(running: Desk) -> Iterator[None]:
    """The trader is no staff, for as long as the test runs."""
    with closing(sqlite3.connect(running.home / "aika.sqlite3", timeout=20)) as database:
        for is_staff in (0, 1):
            database.execute("UPDATE accounts_user SET is_staff = ? WHERE username = 'trader'", (is_staff,))
            database.commit()
            if not is_staff:
                yield


def test_a_trader_who_is_no_staff_watches_and_leaves(watch: Open, plain_trader: None) -> None:
    page = watch("trader")
    expect(page.locator("[data-total]")).not_to_have_text("Not known")
    expect(page.locator("#feeds")).to_contain_text("Live")
    expect(page.locator("#part-state")).to_contain_text("ACTIVE")
    links = page.locator("a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert [link for link in links if link.startswith("/admin")] == []
    assert page.troubles == []  # type: ignore[attr-defined]
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/accounts/login/"))


@pytest.mark.django_db(transaction=True)
def test_a_page_that_reaches_no_socket_and_has_no_candle_says_both(desk_live: PaperDesk, sign_in: SignIn) -> None:
    """Django's test server speaks no WebSocket, and nobody has fetched a candle."""
    desk_live.propose()
    page = sign_in(desk_live.approver)
    page.goto("/")
    expect(page.locator("#watch-cut")).to_contain_text("cut off from Aika", timeout=PATIENCE_MS)
    expect(page.locator("#chart-empty")).to_contain_text("No 5-minute candle of BTC-USD yet.")
    expect(page.locator("#chart-empty")).to_contain_text("backfill_candles --connection")
    expect(page.locator(".prices [data-last]").first).to_have_text("Not known")
    stranger = sign_in(UserFactory(role="approver"), viewport=PHONE)
    stranger.goto("/")
    expect(stranger.locator("h1")).to_contain_text("Nothing is held")
    expect(stranger.locator("#chart-empty")).to_contain_text("No instrument to draw.")
    assert sideways(stranger) <= 0
    for each in (page, stranger):
        assert [trouble for trouble in each.troubles if "WebSocket" not in trouble] == []  # type: ignore[attr-defined]
