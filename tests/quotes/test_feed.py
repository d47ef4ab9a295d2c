"""The feed at work: real sockets of the real simulator, the cache, and what the states say of it."""

import json
import threading
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from redis.exceptions import RedisError

from apps.audit.selectors import open_alarms
from apps.audit.services import pulses
from apps.connectors.models import Connection
from apps.connectors.selectors import market_of
from apps.connectors.services import leases, streams
from apps.connectors.stream_types import Book, Live, LossReason, Lost, StreamChannel
from apps.connectors.types import Quote
from apps.connectors.venues.coinbase import messages
from apps.connectors.venues.coinbase.stream import Timing
from apps.dashboard.metrics import INSTRUMENTS_MAX, DeskCollector
from apps.dashboard.views import health
from apps.quotes import feed as live_feed
from apps.quotes.rules.books import LocalBook
from apps.quotes.rules.feed import CONNECTING_MAX, SAID_WITHIN
from apps.quotes.selectors.feed import feed_record, feed_states_of
from apps.quotes.services import feed_board
from apps.quotes.types import FeedState, FeedWord, is_stale
from apps.trades.services import market as poller
from apps.trades.services import watching
from tests.quotes.following import CODES, OLD, SOON, Feed, feed

__all__ = ["feed"]

pytestmark = pytest.mark.django_db


def test_prices_reach_the_cache_and_the_hub(feed: Feed) -> None:
    feed.follow(lambda: all(feed.quote(code) for code in CODES) and feed.state().state is FeedWord.LIVE)
    feed.paper.simulator.pin_price("BTC-USD", "50000")
    feed.follow(lambda: (found := feed.quote()) is not None and found.last == 50_000)
    found = feed.quote()
    assert found is not None and found.bid < 50_000 < found.ask and found.change_24h is not None
    assert found.bid_quantity > 0 and found.received_at - found.occurred_at < timedelta(seconds=2)
    assert {tick.instrument for tick in feed.sent} == set(CODES)
    newest = [tick for tick in feed.sent if tick.instrument == "BTC-USD"][-1]
    assert (newest.last, newest.bid, newest.market) == (50_000, found.bid, market_of(feed.paper.connection))
    state = feed.state()
    assert state.connections == (feed.paper.connection.slug,) and set(state.instruments) == set(CODES)
    assert json.dumps(feed_record(state, timezone.now()))


def test_no_message_makes_a_row(feed: Feed, django_assert_num_queries: Any) -> None:
    connection = Connection.objects.get(pk=feed.paper.connection.pk)
    stream = streams.market_stream(connection, (StreamChannel.QUOTES,), CODES, timing=SOON)
    stop = threading.Event()
    with django_assert_num_queries(0):
        for event in stream.listen(stop):
            feed.ear.hear(event)
            feed.board.flush(now=timezone.now())
            if feed.quote() is not None:
                stop.set()
        assert feed.quote() is not None


def test_a_gap_is_followed_by_a_new_snapshot(feed: Feed) -> None:
    feed.follow(lambda: feed.quote() is not None)
    feed.paper.simulator.add_socket_fault("gap", "market", channel="heartbeats")
    feed.follow(lambda: feed.is_live_after(LossReason.GAP) and feed.state().state is FeedWord.LIVE)
    assert (feed.state().gaps, feed.state().reconnects) == (1, 1)


def test_a_gap_in_a_book_is_followed_by_a_new_snapshot_and_the_book_is_built_anew(feed: Feed) -> None:
    struck: list[bool] = []

    def act() -> bool:
        if not struck and all(feed.quote(code) for code in CODES):
            struck.append(True)
            # What is lost is the market's move: who goes on without noticing keeps the book of before.
            feed.paper.simulator.add_socket_fault("gap", "market", channel="l2_data", count=2)
            feed.paper.simulator.pin_price("BTC-USD", "50000")
        return feed.is_live_after(LossReason.GAP) and _known(feed).bid < 50_000 < _known(feed).ask

    feed.follow(act, channels=(StreamChannel.BOOK,))
    lost = max(at for at, event in enumerate(feed.events) if isinstance(event, Lost))
    told = [event for event in feed.events[lost:] if isinstance(event, Book) and event.instrument == "BTC-USD"]
    anew = LocalBook("BTC-USD")
    for event in told:
        anew.hear(event)
    best = anew.best()
    assert told[0].is_snapshot and best is not None
    assert (best.bid, best.ask) == (_known(feed).bid, _known(feed).ask)
    assert feed.state().gaps >= 1


@pytest.mark.parametrize(("kind", "reason"), [("silence", LossReason.SILENT), ("drop", LossReason.CLOSED)])
def test_silence_and_resets_are_survived(feed: Feed, kind: str, reason: LossReason) -> None:
    started: list[bool] = []

    def act() -> bool:
        if not started and feed.quote() is not None:
            started.append(True)
            feed.paper.simulator.add_socket_fault(kind, "market")
        if feed.losses() and kind == "silence":
            feed.paper.simulator.clear_socket_faults()
        return feed.is_live_after(reason)

    feed.follow(act)
    assert reason in feed.losses() and feed.state().reconnects >= 1


def test_a_line_that_stays_lost_is_down_and_its_prices_stale(feed: Feed) -> None:
    feed.follow(lambda: feed.state().state is FeedWord.LIVE)
    now = timezone.now()
    feed.ear.hear(Lost(now, LossReason.CLOSED, "the connection broke", 1))
    feed.board.flush(now=now)
    assert feed.state(now).state is FeedWord.CONNECTING and "the connection broke" in feed.state(now).detail
    later = now + CONNECTING_MAX + timedelta(seconds=1)
    feed.board.flush(now=later)
    assert feed.state(later).state is FeedWord.DOWN
    assert all(tick.is_stale(later) for tick in feed.sent)


def test_heartbeats_alone_keep_no_price_fresh(feed: Feed) -> None:
    feed.follow(lambda: feed.state().state is FeedWord.LIVE)
    feed.paper.simulator.add_socket_fault("heartbeats-only", "market")
    known, beats = feed.quote(), feed.state().heard_at
    assert known is not None and beats is not None
    feed.paper.simulator.pin_price("BTC-USD", "1234")
    feed.events.clear()
    feed.follow(lambda: len(feed.events) >= 10)
    assert feed.quote() == known, "nothing was told, so nothing is newer"
    later = known.received_at + OLD + timedelta(seconds=5)
    feed.board.flush(now=later)
    state = feed.state(later)
    assert state.state is FeedWord.STALE and "though the line lives" in state.detail
    assert state.heard_at is not None and state.heard_at > beats


def test_prices_that_stand_still_do_not_look_fresh(feed: Feed) -> None:
    feed.follow(lambda: feed.quote() is not None)
    feed.paper.simulator.add_socket_fault("stale-prices", "market")
    repeated = json.dumps({
        "channel": "ticker", "sequence_num": 1, "timestamp": _text(_known(feed).occurred_at),
        "events": [{"type": "update", "tickers": [_row(_known(feed))]}],
    })  # fmt: skip
    before = _known(feed)
    (event,) = messages.events_of(_frame(repeated), timezone.now())
    feed.ear.hear(event)
    feed.board.flush(now=timezone.now())
    assert feed.quote() == before


@pytest.mark.parametrize("ahead_s", [60, -20])
def test_a_wrong_clock_makes_nothing_look_fresh(feed: Feed, ahead_s: int) -> None:
    now = timezone.now()
    row = {"product_id": "BTC-USD", "price": "5", "best_bid": "4", "best_ask": "6"}

    def told(at: datetime) -> None:
        text = json.dumps({
            "channel": "ticker", "sequence_num": 1, "timestamp": _text(at + timedelta(seconds=ahead_s)),
            "events": [{"type": "update", "tickers": [row]}],
        })  # fmt: skip
        for event in messages.events_of(_frame(text), at):
            feed.ear.hear(event)
        feed.ear.hear(Live(at))
        feed.board.flush(now=at)

    told(now)
    if ahead_s < 0:
        assert feed.quote() is None, "late, or told by a wrong clock: it is asked for instead"
        state = feed.state(now)
        assert state.state is FeedWord.STALE and "late by the venue's clock" in state.detail
        assert state.lag_ms == -ahead_s * 1000
    else:
        found = _known(feed)
        assert found.received_at == now, "its age is by our clock"
        row["best_bid"] = "4.5"
        told(now + timedelta(seconds=1))
        assert _known(feed).bid == Decimal("4.5")


def test_a_snapshot_of_five_megabytes_is_taken(feed: Feed) -> None:
    feed.paper.simulator.add_socket_fault("large-snapshot", "market", channel="level2", count=2)
    feed.follow(lambda: all(feed.quote(code) for code in CODES), channels=(StreamChannel.BOOK,), timing=Timing())
    assert not feed.losses() and all(_known(feed, code).bid < _known(feed, code).ask for code in CODES)


def test_a_ticker_that_cannot_be_read_takes_nothing_else_along(feed: Feed) -> None:
    good = {"product_id": "ETH-USD", "price": "5", "best_bid": "4", "best_ask": "6"}
    rows = [{**good, "product_id": "BTC-USD", "best_bid": "a lot"}, good]
    now = timezone.now()
    text = json.dumps({
        "channel": "ticker", "sequence_num": 1, "timestamp": _text(now),
        "events": [{"type": "update", "tickers": rows}],
    })  # fmt: skip
    for event in messages.events_of(_frame(text), now):
        feed.ear.hear(event)
    feed.board.flush(now=now)
    assert feed.quote("BTC-USD") is None and _known(feed, "ETH-USD").bid == 4


def test_without_anybody_who_says_so_a_feed_is_down(feed: Feed) -> None:
    feed.follow(lambda: feed.state().state is FeedWord.LIVE)
    said = timezone.now()
    state = feed.state(said + SAID_WITHIN + timedelta(seconds=1))
    assert state.state is FeedWord.DOWN and state.since is not None and state.messages_per_s == 0


def test_a_connection_without_a_socket_has_no_feed(feed: Feed) -> None:
    sandbox = Connection.objects.get(pk=feed.paper.connection.pk)
    assert len(feed_states_of([sandbox], now=timezone.now())) == 1
    sandbox.api_base = "https://api-sandbox.coinbase.com"
    assert feed_states_of([sandbox], now=timezone.now()) == []


def test_the_poller_asks_only_what_the_feed_does_not_have(feed: Feed) -> None:
    proposal = feed.paper.propose()
    feed.follow(lambda: all(feed.quote(code) for code in CODES) and feed.state().state is FeedWord.LIVE)
    asked = len(feed.paper.simulator.requests("best_bid_ask"))
    newest = max(_known(feed, code).received_at for code in CODES)
    poller.poll_once(feed.paper.connection, now=newest)
    products = [row["query"] for row in feed.paper.simulator.requests("best_bid_ask")[asked:]]
    assert not any(proposal.instrument in query for query in products)
    # The feed's word is old, and so is its price: the net catches it.
    later = newest + OLD
    poller.poll_once(feed.paper.connection, now=later)
    assert any(proposal.instrument in row["query"] for row in feed.paper.simulator.requests("best_bid_ask")[asked:])


def _known(feed: Feed, code: str = "BTC-USD") -> Quote:
    found = feed.quote(code)
    assert found is not None
    return found


def _frame(text: str) -> messages.Frame:
    frame = messages.frame(text)
    assert isinstance(frame, messages.Frame)
    return frame


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _row(quote: Quote) -> dict[str, str]:
    return {
        "product_id": quote.instrument,
        "price": str(quote.last),
        "best_bid": str(quote.bid),
        "best_ask": str(quote.ask + 1),
        "best_bid_quantity": "1",
        "best_ask_quantity": "1",
    }


def test_monitors_probes_and_pages_say_how_it_does(feed: Feed, admin_client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = "t" * 32
    feed.follow(lambda: all(feed.quote(code) for code in CODES) and feed.state().state is FeedWord.LIVE)
    market = market_of(feed.paper.connection)

    def gauges() -> dict[tuple[str, ...], float]:
        said = admin_client.get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"})
        samples = [one for family in text_string_to_metric_families(said.content.decode()) for one in family.samples]
        return {
            (one.name, *(value for name, value in sorted(one.labels.items()) if name != "market")): one.value
            for one in samples
            if one.labels.get("market") == market
        }

    found = gauges()
    assert found["aika_feed_state", "LIVE"] == 1 and found["aika_feed_state", "DOWN"] == 0
    assert found["aika_feed_instruments",] == 2 and found["aika_feed_gaps",] == 0
    assert {name[1] for name in found if name[0] == "aika_feed_instrument_age_seconds"} == set(CODES)
    assert health.Readiometer().read(now=timezone.now()).feeds == {"LIVE": 1}
    page = admin_client.get(reverse("admin:connectors_connection_change", args=[feed.paper.connection.pk]))
    assert "What the market tells" in page.content.decode() and "LIVE" in page.content.decode()


def test_the_age_of_an_instrument_is_told_of_few_only(feed: Feed) -> None:
    many = {f"X{number:04}-USD": timezone.now() for number in range(1_000)}
    state = FeedState(
        market="m", connections=("a",), state=FeedWord.LIVE, since=None, heard_at=None, lag_ms=None, gaps=0,
        reconnects=0, messages_per_s=0, detail="", instruments=many,
    )  # fmt: skip
    families = {family.name: family for family in DeskCollector(timezone.now())._feeds([state])}
    assert len(families["aika_feed_instrument_age_seconds"].samples) == INSTRUMENTS_MAX


def test_a_feed_that_is_down_is_an_alarm_after_its_bound(feed: Feed, settings: Any) -> None:
    market, now = market_of(feed.paper.connection), timezone.now()
    pulses.beat(pulses.feed(market), now=now)
    bound = timedelta(seconds=settings.ALARM_FEED_DOWN_S)

    def is_open(at: datetime) -> bool:
        watching.sweep(clock=lambda: at, senders=[])
        return open_alarms().filter(code="FEED_DOWN").exists()

    assert not is_open(now) and not is_open(now + bound - timedelta(seconds=1))
    assert is_open(now + bound + timedelta(seconds=1))
    pulses.beat(pulses.feed(market), now=now + bound + timedelta(seconds=2))
    assert not is_open(now + bound + timedelta(seconds=3))


def test_a_real_venue_with_a_wrong_clock_and_one_that_was_put_right(feed: Feed) -> None:
    feed.paper.simulator.skew_clock(60)
    feed.follow(lambda: feed.quote() is not None)
    ahead = _known(feed)
    assert ahead.occurred_at - ahead.received_at > timedelta(seconds=55)
    assert is_stale(ahead.received_at, ahead.received_at + OLD), "its age is by our clock"
    feed.paper.simulator.skew_clock(0)
    feed.paper.simulator.pin_price("BTC-USD", "50000")
    feed.follow(lambda: _known(feed).last == 50_000)
    assert _known(feed).occurred_at < ahead.occurred_at, "older by that clock, and newer all the same"


def test_while_the_cache_is_away_the_sockets_stay_and_prices_come_back(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = Connection.objects.select_related("desk").get(pk=feed.paper.connection.pk)
    keeper = live_feed._Keeper(live_feed.wanted_markets([connection])[feed.board.market], "one", timezone.now)
    held = leases.take(name="feed:test", holder="one", ttl=live_feed.LEASE_TTL, now=timezone.now())
    assert held is not None
    following = live_feed._Following(keeper, held, timezone.now)

    def away(*_: object, **__: object) -> None:
        raise RedisError("nobody answers")

    with monkeypatch.context() as patched:
        patched.setattr(feed_board.cache, "set", away)
        following._flush()
        assert following._word is FeedWord.DOWN and not following._ended.is_set()
    following._flush()
    assert following._word is FeedWord.CONNECTING
