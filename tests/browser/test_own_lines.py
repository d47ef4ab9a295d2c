"""What may still trade stands on the chart as a line at its limit: an own order dashed, what only waits dotted."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.audit.types import Actor
from apps.connectors.selectors import market_of
from apps.connectors.types import Candle
from apps.quotes.rules import spans
from apps.quotes.rules.candles import Source
from apps.quotes.services.candles import keep_candles
from apps.trades.services import cancels
from apps.trades.types import OrderState
from tests.browser.conftest import SignIn
from tests.factories.desk import BTC, PaperDesk
from tests.factories.trading import rest

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

DOTTED, DASHED = 1, 2
PATIENCE_MS = 20_000


def lines(page: Page, count: int) -> list[list[float]]:
    """Price and style of each line that the chart has drawn, once there are so many."""
    expect(page.locator("#chart")).to_have_attribute("data-lines", str(count), timeout=PATIENCE_MS)
    drawn: list[list[float]] = page.evaluate(
        """async () => {
            const { chart } = await import(document.querySelector('script[src*="watch/main"]').src);
            return chart.lines.map((line) => [line.options().price, line.options().lineStyle]);
        }"""
    )
    return sorted(drawn)


def test_an_own_order_is_a_dashed_line_until_it_works_no_more(desk_live: PaperDesk, sign_in: SignIn) -> None:
    working = rest(desk_live)
    desk_live.propose(limit_price=Decimal("60500"))
    one, end = Decimal("64000"), spans.floor(timezone.now(), 60)
    minutes = [Candle(end - timedelta(minutes=n), one, one, one, one, one) for n in range(1, 60)]
    keep_candles(market_of(desk_live.connection), {BTC: minutes}, source=Source.VENUE)

    page = sign_in(desk_live.approver)
    page.goto(f"/#{desk_live.connection.slug}/{BTC}/1m")
    assert lines(page, 2) == [[60_000, DASHED], [60_500, DOTTED]]

    order, actor = desk_live.order_of(working), Actor.system("test")
    cancels.request_cancel(order_id=order.pk, actor=actor, reason="Enough.", now=timezone.now())
    assert desk_live.cancel(working) == OrderState.CANCELED
    page.reload()
    assert lines(page, 1) == [[60_500, DOTTED]]
