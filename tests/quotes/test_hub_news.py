"""What the hub takes as newer: by the rule of the cache, so that a socket shows what a decision is taken on."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.quotes import hub as hubs
from apps.quotes.hub import Hub
from apps.quotes.types import Tick
from tests.quotes.test_hub import Peer, item
from tests.quotes.test_news import by_the_venues_clock

BEGAN = datetime(2026, 11, 29, 12, tzinfo=UTC)


def tick(price: str, *, occurred_s: float, received_s: float) -> Tick:
    """A price of A, so many seconds after the beginning by the venue's clock and by ours."""
    bid, one = Decimal(price), Decimal(1)
    return Tick(
        market="m", instrument="A", bid=bid, ask=bid + 1, bid_quantity=one, ask_quantity=one,
        occurred_at=BEGAN + timedelta(seconds=occurred_s), received_at=BEGAN + timedelta(seconds=received_s),
    )  # fmt: skip


def shown(*ticks: Tick) -> list[tuple[str, bool]]:
    """What a socket shows of these, each looked at when it was received: the bid, and whether it is stale."""

    async def told() -> list[tuple[str, bool]]:
        now = BEGAN
        hub, peer = Hub(lambda: now), Peer()
        hub.join(peer.reader)
        hub.show(peer.reader, frozenset([item("A")]))
        for one in ticks:
            now = one.received_at
            hub.hear([one])
            await asyncio.sleep(3 * hubs.FLUSH_S)
        hub.leave(peer.reader)
        quotes: list[dict[str, Any]] = [quote for frame in peer.frames for quote in frame.get("quotes", ())]
        return [(quote["bid"], quote["stale"]) for quote in quotes]

    return asyncio.run(told())


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "FLUSH_S", 0.005)


AHEAD, RIGHT = tick("1", occurred_s=60, received_s=0), tick("2", occurred_s=1, received_s=1)
TOLD, CONFIRMED = tick("1.5", occurred_s=0, received_s=0), tick("1.50", occurred_s=-0.5, received_s=60)
OVERTAKEN = tick("1", occurred_s=-0.5, received_s=60)


def test_a_clock_ahead_keeps_no_price_from_the_sockets_once_it_is_put_right() -> None:
    assert shown(AHEAD, RIGHT) == [("1", False), ("2", False)]


def test_an_answer_that_confirms_a_quiet_book_is_fresh_on_the_sockets_too() -> None:
    assert shown(TOLD, CONFIRMED) == [("1.5", False), ("1.5", False)]


def test_an_older_answer_of_other_prices_is_not_shown() -> None:
    assert shown(TOLD, OVERTAKEN) == [("1.5", False)]


def test_the_naive_rule_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "is_news", by_the_venues_clock)

    assert shown(AHEAD, RIGHT) == [("1", False)]
    assert shown(TOLD, CONFIRMED) == [("1.5", False)]
