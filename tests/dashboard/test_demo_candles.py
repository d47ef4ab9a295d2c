"""The past of the demo desk's charts: fetched once, what is missing alone, and never over a live connection."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.connectors.models import Connection
from apps.connectors.selectors import market_of
from apps.dashboard.services import demo_candles
from apps.dashboard.services.demo_policy import INSTRUMENTS
from apps.quotes.selectors.candles import candles
from apps.quotes.types import Length
from tests.factories.desk import PaperDesk

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def test_a_day_of_minutes_and_a_week_of_hours_are_there_and_are_fetched_once(paper: PaperDesk) -> None:
    slug = paper.connection.slug
    told = demo_candles.fill_in(connection=slug, clock=timezone.now)
    assert told > 0
    for code in INSTRUMENTS:
        page = candles(market=market_of(paper.connection), instrument=code, granularity=Length.H1, limit=30)
        assert len(page.items) >= 24, code
        assert page.items[-1].candle.start > timezone.now() - timedelta(hours=2)
        week = candles(market=market_of(paper.connection), instrument=code, granularity=Length.H1, limit=300)
        assert len(week.items) >= 24 * 7, code
    assert demo_candles.fill_in(connection=slug, clock=timezone.now) < told / 100


def test_nothing_is_fetched_over_what_is_not_paper_or_not_there(paper: PaperDesk) -> None:
    now = timezone.now()
    live = Connection.objects.create(
        slug="real", name="Coinbase", desk=paper.desk, environment="live", api_base=paper.connection.api_base,
        key_name=paper.connection.key_name, is_active=True, verified_at=now, created_at=now,
    )  # fmt: skip
    assert demo_candles.fill_in(connection=live.slug, clock=timezone.now) == 0
    assert demo_candles.fill_in(connection="nobody", clock=timezone.now) == 0
