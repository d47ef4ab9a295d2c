"""The feed and the venue write the same minutes of the same hour at the same moment."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.connectors.types import Candle
from apps.quotes.models import CandleCover, CandleSeries
from apps.quotes.rules.candles import Source, derive
from apps.quotes.rules.spans import floor
from apps.quotes.selectors.candles import kept_between
from apps.quotes.services import candles as service
from apps.quotes.services.candles import Told, keep, keep_candles, series_for
from tests.conftest import NOW
from tests.races.conftest import meet_after, together

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

MARKET, BTC = "coinbase|http://localhost:9", "BTC-USD"
START = floor(NOW, 86_400)
COUNT = 600


def minutes(price: int) -> list[Candle]:
    one = Decimal(price)
    return [Candle(START + n * timedelta(minutes=1), one, one, one, one, one) for n in range(COUNT)]


def the_feed() -> None:
    keep_candles(MARKET, {BTC: minutes(1)[::2]}, source=Source.FEED)


def the_venue(first: int, last: int) -> None:
    series, told = series_for(MARKET, [BTC], 60)[BTC], minutes(2)[first:last]
    with transaction.atomic():
        span = (told[0].start, told[-1].start + timedelta(minutes=1))
        keep([Told(series=series, candles=told, source=Source.VENUE, span=span)])


WORKS = (the_feed, lambda: the_venue(0, 330), lambda: the_venue(250, COUNT), the_feed)


def test_the_venue_stands_hours_are_their_minutes_and_what_is_known_is_one_span(monkeypatch: Any) -> None:
    series_for(MARKET, [BTC], 60)
    meet_after(monkeypatch, service, "kept_between", len(WORKS))

    assert together(WORKS) == [None] * len(WORKS)

    by_length = {row.seconds: row.pk for row in CandleSeries.objects.all()}
    whole = (START, START + timedelta(days=1))
    stored = kept_between(list(by_length.values()), whole)
    assert [one.candle for one in stored[by_length[60]]] == minutes(2)
    assert [one.candle for one in stored[by_length[3_600]]] == derive(minutes(2), 3_600)
    assert all(one.final for rows in stored.values() for one in rows)
    covered = (START, START + timedelta(minutes=COUNT))
    assert list(CandleCover.objects.values_list("since", "until")) == [covered]


def test_without_the_lock_they_would_be_in_each_others_way(monkeypatch: Any) -> None:
    series_for(MARKET, [BTC], 60)
    monkeypatch.setattr(QuerySet, "select_for_update", lambda self, **options: self)
    meet_after(monkeypatch, service, "kept_between", len(WORKS))

    found = together(WORKS)
    assert any(isinstance(one, IntegrityError) for one in found), found
