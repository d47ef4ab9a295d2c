"""A feed in the thread of a test, on a socket of the real simulator."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from apps.connectors.models import Connection
from apps.connectors.selectors import market_of
from apps.connectors.services import streams
from apps.connectors.stream_types import Live, LossReason, Lost, StreamChannel, StreamEvent
from apps.connectors.types import Quote
from apps.connectors.venues.coinbase.stream import Timing
from apps.quotes.selectors.feed import feed_states
from apps.quotes.services import fan_out, feed_board, quotes
from apps.quotes.services.feed_board import Board, Ear
from apps.quotes.types import QUOTE_AGE_S_MAX, FeedState, Tick
from tests.factories.desk import PaperDesk

SOON = Timing(silence_s=0.5, ready_s=3.0, backoff_s=0.02, backoff_cap_s=0.1)
CODES = ("BTC-USD", "ETH-USD")
EVENTS_MAX = 3_000
OLD = timedelta(seconds=QUOTE_AGE_S_MAX, milliseconds=1)


@dataclass
class Feed:
    """One socket of the real simulator in this very thread: between two events the test acts, and flushes."""

    paper: PaperDesk
    board: Board
    ear: Ear
    sent: list[Tick]
    events: list[StreamEvent] = field(default_factory=list)

    def follow(
        self,
        done: Callable[[], bool],
        *,
        channels: tuple[StreamChannel, ...] = (StreamChannel.QUOTES,),
        timing: Timing = SOON,
    ) -> None:
        """Listen, flushing after every event, until `done`."""
        connection = Connection.objects.get(pk=self.paper.connection.pk)
        stop = threading.Event()
        listening = streams.market_stream(connection, channels, CODES, timing=timing).listen(stop)
        try:
            for count, event in enumerate(listening):
                self.events.append(event)
                self.ear.hear(event)
                self.board.flush(now=timezone.now())
                assert count < EVENTS_MAX, self.events[-5:]
                if done():
                    return
        finally:
            stop.set()
            listening.close()  # type: ignore[attr-defined]  # a generator

    def quote(self, code: str = "BTC-USD") -> Quote | None:
        return quotes.latest(self.paper.connection.pk, code)

    def state(self, now: datetime | None = None) -> FeedState:
        (state,) = feed_states(now=now or timezone.now())
        return state

    def losses(self) -> list[LossReason]:
        return [event.reason for event in self.events if isinstance(event, Lost)]

    def is_live_after(self, reason: LossReason) -> bool:
        """Whether the stream was lost for this reason, and has come back since."""
        kinds = [
            event.reason if isinstance(event, Lost) else Live for event in self.events if isinstance(event, Lost | Live)
        ]
        return reason in kinds and Live in kinds[kinds.index(reason) :]


@pytest.fixture
def feed(paper: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> Feed:
    paper.simulator.options(heartbeat_ms=50, connects_per_s=1000)
    sent: list[Tick] = []
    monkeypatch.setattr(fan_out, "send", sent.extend)
    # Each flush says how it does: no test waits a second for it.
    monkeypatch.setattr(feed_board, "SAID_EVERY", timedelta(0))
    for code in CODES:
        quotes.cache.delete(f"quote:{paper.connection.pk}:{code}")
    market = market_of(paper.connection)
    board = Board(market, [paper.connection.pk], holder="one", now=timezone.now())
    ear = Ear("test")
    board.listen_to([ear])
    return Feed(paper, board, ear, sent)
