"""What the console shows of candles: how far they go, and nothing to press."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import User
from apps.connectors.types import Candle
from apps.quotes.models import CandleBackfill, CandleSeries
from apps.quotes.rules.candles import Source
from apps.quotes.services.candles import Told, keep, series_for
from tests.conftest import NOW

pytestmark = pytest.mark.django_db

SERIES, BACKFILLS = reverse("admin:quotes_candleseries_changelist"), reverse("admin:quotes_candlebackfill_changelist")
MARKET = "coinbase|http://localhost:9"
MINUTE = timedelta(minutes=1)


def told(code: str) -> CandleSeries:
    """Two spans with a gap between, and a backfill that did not end."""
    series, one = series_for(MARKET, [code], 60)[code], Decimal(1)
    for first in (0, 100):
        start = NOW + first * MINUTE
        with transaction.atomic():
            span = (start, start + 10 * MINUTE)
            candle = Candle(start, one, one, one, one, one)
            keep([Told(series=series, candles=[candle], source=Source.VENUE, span=span)])
    CandleBackfill.objects.create(
        series=series, since=NOW, until=NOW + MINUTE, started_at=NOW, progress_at=NOW, calls=7, candles=1
    )
    return series


@pytest.fixture
def signed_in() -> Callable[[User], Client]:
    def sign_in(person: User) -> Client:
        client = Client()
        client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client

    return sign_in


def test_the_lists_say_how_far_candles_go(signed_in: Callable[[User], Client], trader: User, outsider: User) -> None:
    series = told("BTC-USD")
    client = signed_in(trader)

    page = client.get(SERIES).content.decode()
    assert "BTC-USD" in page and "2026-03-02 14:46 to 2026-03-02 16:36" in page and "made here of minutes" in page
    assert "--resume" in client.get(BACKFILLS).content.decode()
    assert client.get(reverse("admin:quotes_candleseries_change", args=[series.pk])).status_code == 200
    for url in (SERIES, BACKFILLS):
        assert signed_in(outsider).get(url).status_code == 403


def test_nobody_changes_them(signed_in: Callable[[User], Client], admin_user: User) -> None:
    series = told("BTC-USD")
    client = signed_in(admin_user)
    for verb, arguments in (("add", []), ("delete", [series.pk]), ("change", [series.pk])):
        url = reverse(f"admin:quotes_candleseries_{verb}", args=arguments)
        assert client.post(url, {"instrument": "X"}).status_code == 403
    assert CandleSeries.objects.filter(instrument="BTC-USD").exists()


def test_ten_times_the_rows_take_as_many_queries(signed_in: Callable[[User], Client], trader: User) -> None:
    client = signed_in(trader)

    def count(url: str) -> int:
        client.get(url)
        with CaptureQueriesContext(connection) as captured:
            assert client.get(url).status_code == 200
        return len(captured)

    told("A-USD")
    few = [count(SERIES), count(BACKFILLS)]
    for number in range(10):
        told(f"B{number}-USD")

    assert [count(SERIES), count(BACKFILLS)] == few
