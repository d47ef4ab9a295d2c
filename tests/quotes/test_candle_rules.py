"""Candles out of trades and out of shorter candles: held to a second implementation, and to their mutants."""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.connectors.stream_types import PublicTrade, Ticker, Tickers, Trades
from apps.connectors.types import Candle, Side
from apps.quotes.rules import candles as rules
from apps.quotes.rules.candles import CandleBuilder, Kept, Source, derive, overlay
from apps.quotes.rules.spans import EPOCH, Span, ceil, covers, floor, length, missing, pages, union
from tests.conftest import NOW

MINUTE = timedelta(minutes=1)
DAY = floor(NOW, 86_400)

prices = st.decimals(min_value=Decimal("0.000001"), max_value=Decimal(10) ** 12, places=8, allow_nan=False)
volumes = st.decimals(min_value=0, max_value=Decimal(10) ** 19, places=18, allow_nan=False)


@st.composite
def minutes(draw: st.DrawFn) -> list[Candle]:
    """Minutes of two days, some missing."""
    numbers = draw(st.sets(st.integers(0, 2 * 24 * 60 - 1), min_size=1, max_size=80))
    made = []
    for number in sorted(numbers):
        a, b, c, d = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
        made.append(Candle(DAY + number * MINUTE, open=b, high=d, low=a, close=c, volume=draw(volumes)))
    return made


def naively(candles: list[Candle], seconds: int) -> list[Candle]:
    """The same question asked bucket by bucket, in fractions."""
    found = []
    at = DAY
    while at < DAY + timedelta(days=2):
        inside = [one for one in candles if at <= one.start < at + timedelta(seconds=seconds)]
        if inside:
            volume = sum((Fraction(one.volume) for one in inside), Fraction(0))
            found.append((at, inside[0].open, max(o.high for o in inside), min(o.low for o in inside), volume))
        at += timedelta(seconds=seconds)
    return found  # type: ignore[return-value]


def as_naively(candles: list[Candle]) -> list[object]:
    return [(one.start, one.open, one.high, one.low, Fraction(one.volume)) for one in candles]


@given(minutes(), st.sampled_from([300, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 86_400]))
def test_longer_candles_equal_a_second_implementation(found: list[Candle], seconds: int) -> None:
    made = derive(found, seconds)

    assert as_naively(made) == naively(found, seconds)
    last = {floor(one.start, seconds): one.close for one in found}
    assert {one.start: one.close for one in made} == last


@given(minutes())
def test_days_made_of_hours_are_the_days_made_of_minutes(found: list[Candle]) -> None:
    assert derive(derive(found, 3_600), 86_400) == derive(found, 86_400)


def test_a_sum_in_the_context_of_the_process_would_lose_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    volumes = ["1234567890123456789.000000000000000001", "1234567890123456789.000000000000000002"]
    one, two = (Candle(DAY + n * MINUTE, *[Decimal(1)] * 4, volume=Decimal(v)) for n, v in enumerate(volumes))
    whole = Decimal("2469135780246913578.000000000000000003")

    assert derive([one, two], 300)[0].volume == whole

    class Ordinary:
        add = staticmethod(lambda a, b: a + b)

    monkeypatch.setattr(rules, "_EXACT", Ordinary)
    assert derive([one, two], 300)[0].volume != whole


def kept(number: int, source: Source) -> Kept:
    price = Decimal(source)
    return Kept(Candle(DAY + number * MINUTE, price, price, price, price, Decimal(1)), source, source is Source.VENUE)


@given(st.lists(st.builds(kept, st.integers(0, 5), st.sampled_from(Source)), max_size=12), st.randoms())
def test_merging_twice_changes_nothing_and_the_order_does_not_matter(found: list[Kept], order: random.Random) -> None:
    once = overlay([], found)
    shuffled = list(found)
    order.shuffle(shuffled)

    assert overlay(once.values(), found) == once
    assert overlay([], shuffled) == once
    best = {start: max(one.source for one in found if one.candle.start == start) for start in once}
    assert {start: one.source for start, one in once.items()} == best


def trade(number: int, at: datetime, price: str = "100", quantity: str = "1", code: str = "BTC-USD") -> PublicTrade:
    return PublicTrade(str(number), code, Side.BUY, Decimal(quantity), Decimal(price), at)


@st.composite
def tape(draw: st.DrawFn) -> list[PublicTrade]:
    """Trades of three minutes, their ids counting up with time."""
    seconds = sorted(draw(st.lists(st.integers(0, 179), min_size=1, max_size=40)))
    return [
        PublicTrade(str(95 + n), "BTC-USD", Side.BUY, draw(volumes), draw(prices), DAY + timedelta(seconds=s))
        for n, s in enumerate(seconds)
    ]


def built(trades: list[PublicTrade], batch: int = 7) -> dict[datetime, Candle]:
    """What a builder gives out in the end, the last word on each minute."""
    builder, found = CandleBuilder(), {}
    for at in range(0, len(trades), batch):
        builder.hear(Trades(tuple(trades[at : at + batch]), False, NOW), now=NOW)
        found |= {one.start: one for one in builder.closed(now=NOW).get("BTC-USD", [])}
    later = NOW + timedelta(minutes=1)
    return found | {one.start: one for one in builder.closed(now=later).get("BTC-USD", [])}


@given(tape(), st.randoms())
def test_trades_in_any_order_and_told_twice_make_the_same_candles(trades: list[PublicTrade], o: random.Random) -> None:
    shuffled = [*trades, *o.sample(trades, len(trades) // 2)]
    o.shuffle(shuffled)
    made = built(shuffled)

    assert made == built(trades, batch=1_000)
    for start, one in made.items():
        inside = [t for t in trades if floor(t.occurred_at, 60) == start]
        assert (one.open, one.close) == (inside[0].price, inside[-1].price)
        assert (one.high, one.low) == (max(t.price for t in inside), min(t.price for t in inside))
        assert Fraction(one.volume) == sum(Fraction(t.quantity) for t in inside)
    assert set(made) == {floor(t.occurred_at, 60) for t in trades}


def test_a_minute_is_given_out_when_later_trades_are_heard_and_again_when_it_changes() -> None:
    builder = CandleBuilder()
    builder.hear(Trades((trade(1, DAY, "10"), trade(2, DAY + timedelta(seconds=59), "12")), False, DAY), now=DAY)
    soon = DAY + timedelta(seconds=61)
    builder.hear(Trades((trade(3, DAY + timedelta(seconds=61), "13"),), False, soon), now=soon)
    assert builder.closed(now=soon) == {}
    builder.hear(Trades((trade(4, DAY + timedelta(seconds=62), "14"),), False, soon), now=soon)

    (first,) = builder.closed(now=soon)["BTC-USD"]
    assert (first.open, first.close, first.volume) == (10, 12, 2)
    assert builder.closed(now=soon) == {}
    builder.hear(Trades((trade(0, DAY + timedelta(seconds=1), "9"),), False, soon), now=soon)
    (again,) = builder.closed(now=soon)["BTC-USD"]
    assert (again.low, again.open, again.volume) == (9, 10, 3)
    assert builder.open()["BTC-USD"].close == 14


def test_the_last_minute_before_silence_is_given_out_by_the_clock() -> None:
    builder = CandleBuilder()
    builder.hear(Trades((trade(1, DAY),), False, DAY), now=DAY)

    assert builder.closed(now=DAY + timedelta(seconds=61)) == {}
    assert len(builder.closed(now=DAY + timedelta(seconds=62))["BTC-USD"]) == 1


def test_a_snapshot_does_not_bring_a_part_of_an_old_minute_back() -> None:
    builder = CandleBuilder()
    for number in range(8):
        at = DAY + number * MINUTE
        builder.hear(Trades((trade(number, at),), False, at), now=at)
        builder.closed(now=at)

    builder.hear(Trades((trade(0, DAY),), True, at), now=at)

    late = builder.closed(now=at + timedelta(minutes=2))["BTC-USD"]
    assert DAY not in {one.start for one in late}
    assert late[-1].start == at


def told(*tickers: Ticker) -> Tickers:
    """Tickers that are read already."""
    by_instrument = {ticker.instrument: ticker for ticker in tickers}
    return Tickers(by_instrument, lambda row, of: by_instrument[row.instrument], DAY)  # type: ignore[attr-defined]


def test_a_trade_from_the_future_makes_no_candle_and_closes_none() -> None:
    builder = CandleBuilder()
    builder.hear(Trades((trade(1, DAY),), False, DAY), now=DAY)
    builder.hear(Trades((trade(2, DAY + timedelta(days=365)),), False, DAY), now=DAY)

    assert builder.closed(now=DAY) == {}
    later = builder.closed(now=DAY + 3 * MINUTE)["BTC-USD"]
    assert [one.start for one in later] == [DAY]


def test_a_ticker_counts_only_where_no_trades_are_told() -> None:
    builder = CandleBuilder()
    ticker = Ticker("BTC-USD", Decimal(7), None, DAY, DAY)
    other = Ticker("ETH-USD", Decimal(3), None, DAY, DAY)
    builder.hear(told(ticker, other), now=DAY)
    builder.hear(Trades((trade(1, DAY + timedelta(seconds=3), "10"),), False, DAY), now=DAY)
    builder.hear(told(ticker), now=DAY)

    made = builder.closed(now=DAY + timedelta(minutes=2))

    assert (made["BTC-USD"][0].low, made["BTC-USD"][0].volume) == (10, 1)
    assert (made["ETH-USD"][0].close, made["ETH-USD"][0].volume) == (3, 0)


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).filter(lambda s: s[0] < s[1]), max_size=8)


def as_spans(found: list[tuple[int, int]]) -> list[Span]:
    return [(DAY + a * MINUTE, DAY + b * MINUTE) for a, b in found]


def as_minutes(found: list[Span]) -> set[datetime]:
    return {since + n * MINUTE for since, until in found for n in range((until - since) // MINUTE)}


@given(spans, st.tuples(st.integers(0, 60), st.integers(0, 60)).filter(lambda s: s[0] < s[1]), st.integers(1, 20))
def test_spans_are_sets_of_minutes(known: list[tuple[int, int]], asked: tuple[int, int], page: int) -> None:
    (wanted,), had = as_spans([asked]), as_spans(known)
    gaps = missing(wanted, had)

    assert as_minutes(union(had)) == as_minutes(had)
    assert as_minutes(gaps) == as_minutes([wanted]) - as_minutes(had)
    assert length(gaps) == len(as_minutes(gaps)) * MINUTE
    assert covers(union([*had, *gaps]), wanted)
    cut = list(pages(gaps, page * MINUTE))
    assert as_minutes(cut) == as_minutes(gaps)
    assert all(until - since <= page * MINUTE for since, until in cut)


def test_intervals_are_counted_from_1970() -> None:
    assert floor(EPOCH + timedelta(seconds=61), 60) == EPOCH + MINUTE
    assert ceil(EPOCH + timedelta(seconds=61), 60) == EPOCH + 2 * MINUTE
    assert ceil(DAY, 86_400) == DAY == floor(DAY, 86_400)
