"""What is kept of prices is what the sockets are sent, whoever learned it; what is not kept, they never see."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.connectors.selectors import market_of
from apps.connectors.services import venue
from apps.connectors.types import Quote
from apps.quotes import hub as hubs
from apps.quotes.services import fan_out, quotes
from apps.quotes.types import Tick, Topic
from apps.trades.services import market
from tests.factories.desk import BTC, PaperDesk
from tests.quotes.test_news import by_the_venues_clock

EPOCH = datetime(2026, 3, 1, 12, tzinfo=UTC)
LAST, CHANGE = Decimal("64001"), Decimal("-1.5")
A_MINUTE_MS = 60_000


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Tick]:
    """What goes to the sockets."""
    ticks: list[Tick] = []
    monkeypatch.setattr(fan_out, "send", ticks.extend)
    return ticks


@pytest.fixture
def quiet(paper: PaperDesk, sent: list[Tick]) -> Quote:
    """What the feed told five seconds ago of a book that has stood still since, with its last trade."""
    paper.propose()  # somebody depends on the price
    paper.simulator.pin_price(BTC, "64000")
    at = timezone.now() - timedelta(seconds=5)
    answer = venue.connect(paper.connection).quotes([BTC])[BTC]
    told = replace(answer, occurred_at=at, received_at=at, last=LAST, change_24h=CHANGE)
    quotes.cache.delete(f"quote:{paper.connection.pk}:{BTC}")
    quotes.keep_told(market_of(paper.connection), [paper.connection.pk], {BTC: told})
    sent.clear()
    return told


def poll(paper: PaperDesk) -> None:
    market.poll_once(paper.connection, now=timezone.now())


def decide(paper: PaperDesk) -> None:
    market.make_fresh(paper.connection, [BTC], now=timezone.now())


def ask_the_api(paper: PaperDesk) -> None:
    path = f"/api/v1/quotes?connection={paper.connection.slug}&instrument={BTC}"
    said = Client().get(path, headers={"Authorization": paper.authorization}).json()
    assert (said["items"][0]["quote"]["last"], said["items"][0]["quote"]["change_24h"]) == (str(LAST), str(CHANGE))


def of_btc(sent: Sequence[Tick]) -> list[Tick]:
    return [tick for tick in sent if tick.instrument == BTC]


@pytest.mark.django_db
@pytest.mark.parametrize("asked_by", [poll, decide, ask_the_api])
def test_whoever_asks_the_sockets_are_sent_what_is_kept_with_the_last_trade(
    paper: PaperDesk, sent: list[Tick], quiet: Quote, asked_by: Any
) -> None:
    asked_by(paper)

    kept = quotes.latest(paper.connection.pk, BTC)
    assert kept is not None and kept.received_at > quiet.received_at
    assert of_btc(sent) == [Tick.of(market_of(paper.connection), kept)]
    assert (of_btc(sent)[0].last, of_btc(sent)[0].change_24h) == (LAST, CHANGE)


@pytest.mark.django_db
def test_an_answer_that_confirms_a_quiet_book_is_sent_and_one_that_was_overtaken_is_not(
    paper: PaperDesk, sent: list[Tick], quiet: Quote
) -> None:
    paper.simulator.options(book_age_ms=A_MINUTE_MS)
    poll(paper)
    (confirmed,) = of_btc(sent)
    assert (confirmed.bid, confirmed.ask) == (quiet.bid, quiet.ask)
    assert confirmed.occurred_at < quiet.occurred_at and confirmed.received_at > quiet.received_at

    sent.clear()
    before = quotes.latest(paper.connection.pk, BTC)
    paper.simulator.options(book_age_ms=2 * A_MINUTE_MS)
    paper.simulator.pin_price(BTC, "65000")
    quotes.refresh(paper.connection, [BTC])
    assert (of_btc(sent), quotes.latest(paper.connection.pk, BTC)) == ([], before)


@pytest.mark.django_db
def test_sending_what_was_answered_is_caught(
    paper: PaperDesk, sent: list[Tick], quiet: Quote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The naive way: the answers as they came go to the sockets."""

    def naively(connection: Any, codes: Sequence[str]) -> Any:
        told = venue.connect(connection).quotes(codes)
        fan_out.send([Tick.of(market_of(connection), quote) for quote in told.values()])
        return told

    monkeypatch.setattr(quotes, "refresh", naively)
    poll(paper)

    assert [tick.last for tick in of_btc(sent)] == [None]


def test_a_market_tells_each_connection_and_the_sockets_once(sent: list[Tick]) -> None:
    one, two = uuid4(), uuid4()
    told = quote(0, 0, 1)
    assert quotes.keep_told("m", [one, two], {"A": told}) == {"A": told}
    assert quotes.latest(one, "A") == quotes.latest(two, "A") == told
    assert quotes.keep_told("m", [one, two], {"A": told}) == {}, "it only repeats itself"
    assert [tick.topic for tick in sent] == [Topic("m", "A")]


@pytest.mark.parametrize("begins_first", [False, True])
def test_what_one_connection_knows_of_the_last_trade_is_sent(sent: list[Tick], begins_first: bool) -> None:
    knows, begins = uuid4(), uuid4()
    quotes.keep_told("m", [knows], {"A": replace(quote(0, 0, 1), last=LAST)})
    sent.clear()
    quotes.keep_told("m", [begins, knows] if begins_first else [knows, begins], {"A": quote(1, 1, 2)})
    assert [(tick.bid, tick.last) for tick in sent] == [(2, LAST)]


def quote(occurred_s: int, received_s: int, price: int) -> Quote:
    bid, one = Decimal(price), Decimal(1)
    at = EPOCH + timedelta(seconds=occurred_s), EPOCH + timedelta(seconds=received_s)
    return Quote("A", bid, bid + 1, one, one, *at)


Heard = tuple[bool, int, int]
"""Whether it is an answer, by how many seconds its instant is off ours, and its price."""
heard = st.lists(st.tuples(st.booleans(), st.sampled_from((-70, -1, 0, 60)), st.integers(1, 2)), max_size=8)


def differ(told: list[Heard]) -> bool:
    """Whether a socket ever shows another price, or of another age, than the cache has: one second, one message."""
    connection: UUID = uuid4()
    ticks: list[Tick] = []
    hub = object.__new__(hubs.Hub)
    hub._newest, hub._bodies, hub._read, hub._changed, hub._flush_due = {}, {}, {}, set(), None  # type: ignore[assignment]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fan_out, "send", ticks.extend)
        for second, (asked, off_s, price) in enumerate(told):
            one = quote(second + off_s, second, price)
            if asked:
                quotes._pass_on("m", quotes.keep(connection, [one]))
            else:
                quotes.keep_told("m", [connection], {"A": one})
            hub.hear(ticks)
            ticks.clear()
            kept = quotes.latest(connection, "A")
            assert kept is not None
            if hub._newest[Topic("m", "A")] != Tick.of("m", kept):
                return True
    return False


@given(heard)
def test_sockets_and_decisions_see_the_same_whatever_is_heard(told: list[Heard]) -> None:
    assert not differ(told)


@pytest.mark.parametrize("told", [[(False, 60, 1), (False, 0, 2)], [(False, 0, 1), (True, -70, 1)]])
def test_a_hub_with_a_rule_of_its_own_is_caught(told: list[Heard], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not differ(told)
    monkeypatch.setattr(hubs, "is_news", by_the_venues_clock)
    assert differ(told)
