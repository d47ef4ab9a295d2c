"""Candles in rows: what corrects what, what is known to be complete, and hours that say what their minutes say."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from apps.common.errors import Invalid
from apps.connectors.stream_types import PublicTrade, Trades
from apps.connectors.types import Candle as Value
from apps.connectors.types import Side
from apps.quotes.models import Candle, CandleCover, CandleSeries
from apps.quotes.rules.candles import Kept, Source, derive
from apps.quotes.rules.spans import Span, floor
from apps.quotes.selectors.candles import candles, covers_of, kept_between, open_key
from apps.quotes.services import candle_rows
from apps.quotes.services import candles as service
from apps.quotes.services.candles import Told, heard, keep, keep_candles, series_for
from apps.quotes.types import Length
from tests.conftest import NOW

DAY = floor(NOW, 86_400)
MINUTE = timedelta(minutes=1)
WHOLE_DAY = (DAY, DAY + timedelta(days=1))
MARKET, BTC = "coinbase|http://localhost:9", "BTC-USD"


def minute(number: int, price: str = "100", volume: str = "1") -> Value:
    one = Decimal(price)
    return Value(DAY + number * MINUTE, one, one + 1, one - 1, one, Decimal(volume))


def span(first: int, last: int) -> Span:
    return DAY + first * MINUTE, DAY + last * MINUTE


def tell(values: Sequence[Value], between: Span, *, market: str = MARKET) -> None:
    """The venue tells all of a span."""
    series = series_for(market, [BTC], 60)[BTC]
    with transaction.atomic():
        keep([Told(series=series, candles=values, source=Source.VENUE, span=between)])


def stored(seconds: int = 60, market: str = MARKET) -> list[Kept]:
    series = CandleSeries.objects.get(market=market, instrument=BTC, seconds=seconds)
    return kept_between([series.pk], WHOLE_DAY)[series.pk]


def read(granularity: str, **asked: object) -> list[Kept]:
    return candles(market=MARKET, instrument=BTC, granularity=Length(granularity), **asked).items  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def silence() -> None:
    cache.clear()
    service._hearings.clear()


@pytest.mark.django_db
@pytest.mark.parametrize("count", [3, candle_rows.COPIED_FROM + 100])
def test_every_digit_comes_back_and_a_second_time_changes_nothing(count: int) -> None:
    odd = Decimal("12345678901234567890.123456789012345678")
    values = [
        Value(DAY + n * MINUTE, odd, odd + n, Decimal("0.000000000000000001"), Decimal("1E+3"), Decimal("0E-8"))
        for n in range(count)
    ]
    for _ in range(2):
        keep_candles(MARKET, {BTC: values}, source=Source.VENUE)

    assert [one.candle for one in stored()] == values
    assert [one.candle for one in stored(3_600)] == derive(values, 3_600)
    keep_candles(MARKET, {BTC: [minute(1, "5"), minute(1, "6")]}, source=Source.VENUE)
    assert stored()[1].candle == minute(1, "6")


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["0.0000000000000000001", "100000000000000000000", "NaN", "Infinity"])
@pytest.mark.parametrize("count", [1, candle_rows.COPIED_FROM])
def test_a_number_that_no_column_holds_is_refused_and_nothing_is_written(text: str, count: int) -> None:
    wrong = Value(DAY - MINUTE, Decimal(1), Decimal(text), Decimal(1), Decimal(1), Decimal(1))
    with pytest.raises((Invalid, ValueError)):
        keep_candles(MARKET, {BTC: [wrong, *(minute(n) for n in range(count))]}, source=Source.VENUE)

    assert not Candle.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("count", [2, candle_rows.COPIED_FROM])
def test_the_venue_corrects_what_was_heard_and_never_the_reverse(count: int) -> None:
    ours, venues = [minute(n, "100") for n in range(count)], [minute(n, "200") for n in range(count)]
    keep_candles(MARKET, {BTC: ours}, source=Source.FEED)
    assert [(one.candle, one.source, one.final) for one in stored()] == [(c, Source.FEED, False) for c in ours]
    assert not any(one.final for one in stored(3_600))

    tell(venues, span(0, 60 * 24))
    keep_candles(MARKET, {BTC: ours}, source=Source.FEED)

    assert [(one.candle, one.source, one.final) for one in stored()] == [(c, Source.VENUE, True) for c in venues]
    assert [(one.candle, one.final) for one in stored(3_600)] == [(c, True) for c in derive(venues, 3_600)]


@pytest.mark.django_db
def test_without_its_condition_what_was_heard_would_overwrite_the_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    anything = candle_rows._CORRECT.split("WHERE")[0].replace("{", "{{").replace("}", "}}")
    monkeypatch.setattr(candle_rows, "_CORRECT", anything)
    tell([minute(0, "200")], span(0, 1))
    keep_candles(MARKET, {BTC: [minute(0, "100")]}, source=Source.FEED)

    assert stored()[0].candle == minute(0, "100")


@pytest.mark.postgres
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no COPY")
@pytest.mark.django_db
def test_many_are_copied_new_ones_straight_into_the_table_and_corrections_by_another() -> None:
    """Statements that write minutes, whose number does not depend on how many there are."""
    for price, tables in (("100", ["quotes_candle"]), ("200", ["candle_staged"])):
        with CaptureQueriesContext(connection) as captured:
            tell([minute(n, price) for n in range(1_200)], span(0, 1_200))
        statements = [query["sql"] for query in captured.captured_queries]
        assert [sql.split()[1] for sql in statements if sql.startswith("COPY")] == tables
        assert not [sql for sql in statements if sql.startswith("INSERT INTO quotes_candle (") and "100" in sql]

    assert [one.candle for one in stored()] == [minute(n, "200") for n in range(1_200)]


@pytest.mark.django_db
def test_spans_that_touch_are_one_and_gaps_stay_gaps() -> None:
    for first, last in ((0, 10), (20, 30), (40, 50), (10, 15), (15, 40), (3, 5)):
        tell([], span(first, last))
    series = CandleSeries.objects.get(seconds=60)

    assert covers_of([series.pk])[series.pk] == [span(0, 50)]
    assert CandleCover.objects.count() == 1


class StoredHours(TestCase):
    """Whatever is written in whatever order: hours say what their minutes say."""

    writes = st.lists(
        st.tuples(
            st.booleans(),
            st.sets(st.integers(0, 179), min_size=1, max_size=10),
            st.integers(1, 10**6),
            st.integers(0, 60),
        ),
        max_size=8,
    )

    @given(writes)
    def test_hours_are_their_minutes(self, writes: list[tuple[bool, set[int], int, int]]) -> None:
        for is_venue, numbers, price, more in writes:
            values = [minute(n, str(price + n)) for n in sorted(numbers)]
            if is_venue:
                tell(values, span(min(numbers), max(numbers) + 1 + more))
            else:
                keep_candles(MARKET, {BTC: values}, source=Source.FEED)
        if not writes:
            return
        minutes, hours = stored(), stored(3_600)
        assert [one.candle for one in hours] == derive((one.candle for one in minutes), 3_600)
        series = CandleSeries.objects.get(seconds=60)
        known = {
            since + n * MINUTE
            for since, until in covers_of([series.pk])[series.pk]
            for n in range((until - since) // MINUTE)
        }
        for hour in hours:
            inside = [one for one in minutes if floor(one.candle.start, 3_600) == hour.candle.start]
            told = all(hour.candle.start + n * MINUTE in known for n in range(60))
            assert hour.final == (told and all(one.final for one in inside))


@pytest.mark.django_db
def test_longer_candles_are_read_from_shorter_rows_and_are_final_when_all_is_told() -> None:
    values = [minute(n, str(100 + n % 7)) for n in range(0, 600) if n % 11]
    tell(values[:300], span(0, values[299].start.hour * 60 + values[299].start.minute + 1))
    keep_candles(MARKET, {BTC: values[300:]}, source=Source.FEED)

    for name, seconds in {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "4h": 14_400, "1d": 86_400}.items():
        found = read(name)
        assert [one.candle for one in found] == derive(values, seconds), name
        end = values[299].start + MINUTE
        assert [one.final for one in found] == [
            one.start + timedelta(seconds=seconds) <= end for one in derive(values, seconds)
        ], name


@pytest.mark.django_db
@pytest.mark.parametrize("name,seconds", [("1m", 60), ("5m", 300), ("1h", 3_600), ("4h", 14_400)])
def test_pages_forwards_give_every_candle_once_and_none_is_cut(name: str, seconds: int) -> None:
    values = [minute(n, str(100 + n)) for n in range(1_440) if (n < 700 or n % 7) and not 300 < n < 500]
    keep_candles(MARKET, {BTC: values}, source=Source.VENUE)
    whole, found, since = derive(values, seconds), [], DAY
    while True:
        page = candles(market=MARKET, instrument=BTC, granularity=Length(name), since=since, limit=5)
        found += [one.candle for one in page.items]
        if page.following is None:
            break
        since = page.following

    assert found == whole
    newest = candles(market=MARKET, instrument=BTC, granularity=Length(name), limit=5)
    assert [one.candle for one in newest.items] == whole[-5:]
    middle = read(name, since=DAY + timedelta(hours=1, seconds=1), until=DAY + timedelta(hours=9))
    first, last = DAY + timedelta(hours=1, seconds=1), DAY + timedelta(hours=9)
    assert [one.candle for one in middle] == [one for one in whole if first <= one.start < last]


@pytest.mark.django_db
def test_a_length_that_was_backfilled_itself_wins_where_it_is_told() -> None:
    keep_candles(MARKET, {BTC: [minute(0), minute(400)]}, source=Source.VENUE)
    own = Value(DAY, Decimal(1), Decimal(9), Decimal(1), Decimal(5), Decimal(77))
    keep_candles(MARKET, {BTC: [own]}, source=Source.VENUE, seconds=21_600)

    assert [one.candle.volume for one in read("6h")] == [77, 1]


def trades(number: int, at: datetime, price: str) -> Trades:
    return Trades((PublicTrade(str(number), BTC, Side.BUY, Decimal("0.5"), Decimal(price), at),), False, at)


@pytest.mark.django_db
def test_what_the_feed_hears_becomes_rows_when_a_minute_is_over_and_the_open_one_is_shown() -> None:
    for second in range(0, 150, 10):
        at = DAY + timedelta(seconds=second)
        heard(MARKET, [trades(second, at, str(100 + second))], at)

    assert [(one.candle.open, one.candle.close, one.candle.volume) for one in stored()] == [
        (100, 150, 3),
        (160, 210, 3),
    ]
    shown = read("1m")
    assert [(one.candle.close, one.final) for one in shown] == [(150, False), (210, False), (240, False)]
    assert [(one.candle.open, one.candle.close, one.candle.volume) for one in read("1h")] == [
        (100, 240, Decimal("7.5"))
    ]
    assert cache.get(open_key(MARKET, BTC)).close == 240
    heard(MARKET, [], DAY + timedelta(minutes=9))
    assert len(stored()) == 3
    assert read("1h")[0].candle.volume == Decimal("7.5"), "a minute that is a row is not counted again"


@pytest.mark.django_db
def test_one_write_for_all_instruments_and_not_one_a_tick(django_assert_max_num_queries: object) -> None:
    codes = [f"C{n}-USD" for n in range(40)]

    def everyone(number: int, at: datetime) -> list[Trades]:
        rows = [PublicTrade(str(number), code, Side.BUY, Decimal(1), Decimal(5), at) for code in codes]
        return [Trades(tuple(rows), False, at)]

    heard(MARKET, everyone(0, DAY), DAY)
    heard(MARKET, everyone(1, DAY + timedelta(seconds=65)), DAY + timedelta(seconds=65))
    with django_assert_max_num_queries(0):  # type: ignore[operator]
        for second in range(66, 120):
            heard(MARKET, everyone(second, DAY + timedelta(seconds=second)), DAY + timedelta(seconds=second))
    with django_assert_max_num_queries(10):  # type: ignore[operator]
        heard(MARKET, everyone(200, DAY + timedelta(seconds=125)), DAY + timedelta(seconds=125))

    assert Candle.objects.filter(series__seconds=60).count() == 80


@pytest.mark.django_db
def test_a_minute_that_cannot_be_written_is_written_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    real = service.put

    def away(rows: object) -> None:
        raise DatabaseError("away")

    monkeypatch.setattr(service, "put", away)
    heard(MARKET, [trades(1, DAY, "100"), trades(2, DAY + timedelta(seconds=70), "200")], DAY + timedelta(seconds=70))
    assert not Candle.objects.exists()
    monkeypatch.setattr(service, "put", real)
    later = DAY + timedelta(seconds=140)
    heard(MARKET, [trades(3, later, "300")], later)

    assert [one.candle.open for one in stored()] == [100, 200]


@pytest.mark.django_db
def test_numbers_that_no_column_holds_do_not_stop_the_feed() -> None:
    heard(MARKET, [trades(1, DAY, "0.0000000000000000001")], DAY)
    heard(MARKET, [trades(2, DAY + timedelta(seconds=70), "200")], DAY + timedelta(seconds=70))
    assert not Candle.objects.exists()
    heard(MARKET, [trades(3, DAY + timedelta(seconds=140), "300")], DAY + timedelta(seconds=140))

    assert [one.candle.open for one in stored()] == [200]


def test_texts_of_numbers_are_in_normal_form() -> None:
    order = random.Random(5)
    for _ in range(2_000):
        value = Decimal(order.randrange(10 ** order.randrange(1, 20))).scaleb(-order.randrange(0, 18))
        text = candle_rows.exact_text(value)
        assert Decimal(text) == value
        assert "E" not in text and (not text.endswith("0") or "." not in text)
