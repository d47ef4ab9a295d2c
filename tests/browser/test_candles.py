"""What the chart keeps of the candles it is told, in a real browser."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Route

from tests.browser.conftest import SignIn
from tests.factories.desk import PaperDesk

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_past_that_is_filled_in_or_corrected_late_is_taken_and_leaves_no_gap(
    desk_live: PaperDesk, sign_in: SignIn
) -> None:
    """The page's own keeper of candles, told by the API in the order that seldom happens by itself."""
    page, minute, now = sign_in(desk_live.approver), 60, 1_800_000_000
    page.goto("/")
    asked: list[int] = []

    def candle(at: int, close: int, final: bool) -> dict[str, object]:
        price = str(close)
        start = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "start": start,
            "open": price,
            "high": price,
            "low": price,
            "close": price,
            "volume": "1",
            "final": final,
        }

    newest = now - minute
    old = [candle(newest - minute * (2_000 - n), 1, True) for n in range(299)]
    forming = candle(newest, 2, False)
    past = [candle(newest - minute * (299 - n), 3, True) for n in range(299)]
    # Yesterday, for the day since was not read yet; the last few, asked for in between; then all there is.
    answers = [[*old, forming], [forming], [*past, candle(newest, 4, True)]]

    def tell(route: Route) -> None:
        asked.append(int(parse_qs(urlsplit(route.request.url).query)["limit"][0]))
        route.fulfill(json={"items": answers[len(asked) - 1]})

    page.route("**/told-candles?*", tell)
    held = page.evaluate(
        """async (now) => {
            const { Candles } = await import("/static/aika/js/watch/candles.js");
            const candles = new Candles("/told-candles", "paper", "BTC-USD", "1m");
            for (const after of [0, 15, 75]) await candles.read((now + after) * 1000);
            return candles.list.map((bar) => [bar.time, bar.close, bar.final]);
        }""",
        now,
    )
    assert asked[0] == asked[2] == 300 > asked[1]
    assert held == [[newest - minute * (299 - n), 3, True] for n in range(299)] + [[newest, 4, True]]


def test_what_was_asked_for_of_the_past_stays_unless_a_gap_comes_before_it(
    desk_live: PaperDesk, sign_in: SignIn
) -> None:
    """Pages of the past, and then the newest ones anew, first going on from what is held and then not."""
    page, minute, newest = sign_in(desk_live.approver), 60, 1_800_000_000 - 60
    page.goto("/")

    def candles(first: int, last: int) -> list[dict[str, object]]:
        """Those that began so many minutes before the newest, the oldest first."""
        starts = [datetime.fromtimestamp(newest - minute * n, UTC) for n in range(first, last - 1, -1)]
        price = dict.fromkeys(("open", "high", "low", "close"), "7")
        return [{"start": f"{start:%Y-%m-%dT%H:%M:%SZ}", **price, "volume": "1", "final": True} for start in starts]

    asked: list[dict[str, list[str]]] = []
    # All; the thousand before; the few before those; all, and they go on; all, after a long absence.
    answers = [candles(299, 0), candles(1_299, 300), candles(1_309, 1_300), candles(298, -1), candles(-401, -700)]

    def tell(route: Route) -> None:
        asked.append(parse_qs(urlsplit(route.request.url).query))
        route.fulfill(json={"items": answers[len(asked) - 1]})

    page.route("**/told-candles?*", tell)
    held = page.evaluate(
        """async (newest) => {
            const { Candles } = await import("/static/aika/js/watch/candles.js");
            const candles = new Candles("/told-candles", "paper", "BTC-USD", "1m");
            const held = [];
            const note = () => held.push([(newest - candles.oldest) / 60, candles.bars.size, candles.hasEarlier]);
            await candles.read((newest + 60) * 1000);
            note();
            for (let page = 0; page < 3; page += 1) await candles.readEarlier();
            note();
            await candles.read((newest + 121) * 1000);
            note();
            await candles.read((newest + 701 * 60) * 1000);
            note();
            return held;
        }""",
        newest,
    )
    assert [(ask["limit"], ask.get("until")) for ask in asked] == [
        (["300"], None),
        (["1000"], [f"{datetime.fromtimestamp(newest - 299 * minute, UTC):%Y-%m-%dT%H:%M:%S}.000Z"]),
        (["1000"], [f"{datetime.fromtimestamp(newest - 1_299 * minute, UTC):%Y-%m-%dT%H:%M:%S}.000Z"]),
        (["300"], None),
        (["300"], None),
    ]
    # The third time nothing was asked: a page that is not full is the last one.
    assert held == [[299, 300, True], [1_309, 1_310, False], [1_309, 1_311, False], [-401, 300, True]]
