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
