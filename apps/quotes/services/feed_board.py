"""What the sockets of one market tell, gathered, and passed on ten times a second: the newest of each instrument.

Threads of sockets only put what they hear into their `Ear`; one thread empties the ears. Of tickers that follow each
other faster than that, all but the newest are never read.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.core.cache import cache

from apps.connectors.stream_types import (
    Beat,
    Book,
    Candles,
    Live,
    LossReason,
    Lost,
    StreamEvent,
    Tickers,
    Trades,
    Unreadable,
)
from apps.connectors.types import Quote
from apps.quotes.rules.books import LocalBook
from apps.quotes.rules.feed import FeedSigns, word_of
from apps.quotes.rules.news import is_late
from apps.quotes.selectors.feed import SIGNS_KEPT_S, signs_key
from apps.quotes.services import quotes

SAID_EVERY: Final = timedelta(seconds=1)
TRADES_WAITING_MAX: Final = 50_000
"""Messages of trades that may wait for their candles; beyond them the oldest are left to the venue's own candles."""

logger = logging.getLogger(__name__)


class Ear:
    """What one socket has told since it was last asked. One thread hears, another takes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_live = False
        self.heard_at: datetime | None = None
        self.messages = self.gaps = self.losses = 0
        self.last_loss = ""
        self.trades: deque[StreamEvent] = deque(maxlen=TRADES_WAITING_MAX)
        self._lock = threading.Lock()
        self._tickers: dict[str, Tickers] = {}
        self._books: dict[str, LocalBook] = {}
        self._moved: set[str] = set()

    def hear(self, event: StreamEvent) -> None:
        """Take one event into account."""
        if isinstance(event, Tickers):
            self.messages += 1
            self.heard_at = event.received_at
            for code in event.unread:
                self._tickers[code] = event
        elif isinstance(event, Trades | Candles):
            self.messages += 1
            self.heard_at = event.received_at
            self.trades.append(event)
        elif isinstance(event, Book):
            self._hear_book(event)
        elif isinstance(event, Beat):
            if event.heard:
                self.messages += 1
                self.heard_at = event.at
        elif isinstance(event, Live):
            self.is_live = True
        elif isinstance(event, Lost):
            self._lose(event)

    def take(self) -> tuple[dict[str, Tickers], list[Quote]]:
        """The newest ticker of each instrument that was told since the last call, and the best of each book that
        moved."""
        # Without a lock: each is taken out by itself, and one that is told meanwhile is put in again.
        waiting = self._tickers
        tickers = dict(waiting.popitem() for _ in range(len(waiting)))
        with self._lock:
            moved, self._moved = self._moved, set()
            books = [quote for code in moved if (quote := self._books[code].best()) is not None]
        return tickers, books

    def _hear_book(self, event: Book) -> None:
        self.messages += 1
        self.heard_at = event.received_at
        with self._lock:
            self._books.setdefault(event.instrument, LocalBook(event.instrument)).hear(event)
            self._moved.add(event.instrument)

    def _lose(self, event: Lost) -> None:
        self.is_live = False
        self.losses += 1
        self.gaps += event.reason is LossReason.GAP
        self.last_loss = f"{event.reason.value}: {event.detail}"
        with self._lock:
            for book in self._books.values():
                book.forget()
            self._moved.clear()
        logger.warning("%s: the socket was lost (%s).", self.name, self.last_loss)


class Board:
    """One market as its holder hears it. `connection_ids` are those whose prices come from there."""

    def __init__(self, market: str, connection_ids: Sequence[UUID], *, holder: str, now: datetime) -> None:
        self.market = market
        self.connection_ids = tuple(connection_ids)
        self._ears: tuple[Ear, ...] = ()
        self._gone = Ear("gone")
        self._unreadable = ""
        self._signs = FeedSigns(holder=holder, said_at=now, since=now, whole_at=now)
        self._instruments: dict[str, datetime] = {}
        self._say(now)

    def listen_to(self, ears: Sequence[Ear]) -> None:
        """These are the market's sockets from now on. What those that are gone counted still counts."""
        for ear in self._ears:
            if ear not in ears:
                self._gone.messages += ear.messages
                self._gone.gaps += ear.gaps
                self._gone.losses += ear.losses
        self._ears = tuple(ears)

    def drop(self, codes: frozenset[str]) -> None:
        """These instruments are followed no more."""
        self._instruments = {code: at for code, at in self._instruments.items() if code not in codes}

    def take_trades(self) -> list[StreamEvent]:
        """Trades and candles told since the last call, in the order of each socket."""
        taken: list[StreamEvent] = []
        for ear in self._ears:
            for _ in range(len(ear.trades)):
                taken.append(ear.trades.popleft())
        return taken

    def flush(self, *, now: datetime) -> FeedSigns:
        """Have kept and passed on what is news, and once a second say how the feed does."""
        told: dict[str, Quote] = {}
        for ear in self._ears:
            tickers, books = ear.take()
            for code, event in tickers.items():
                if (quote := self._read(code, event)) is not None:
                    told[code] = quote
            for quote in books:
                known = told.get(quote.instrument)
                if known is None or quote.occurred_at > known.occurred_at:
                    last = (known.last, known.change_24h) if known else (None, None)
                    told[quote.instrument] = replace(quote, last=last[0], change_24h=last[1])
        if told:
            self._pass_on(told)
        if now - self._signs.said_at >= SAID_EVERY:
            self._say(now)
        return self._signs

    def end(self, *, now: datetime) -> None:
        """Say at once that nobody of ours follows the market any more."""
        self._ears = ()
        self._say(now)

    def _read(self, code: str, event: Tickers) -> Quote | None:
        """A ticker's quote; None where a side is missing. One that cannot be read is no news, and said once."""
        try:
            ticker = event.read(code)
        except Unreadable as error:
            if self._unreadable != str(error):
                self._unreadable = str(error)
                logger.warning("%s: a ticker of %s cannot be read (%s).", self.market, code, error)
            return None
        return ticker.quote

    def _pass_on(self, told: dict[str, Quote]) -> None:
        newest = max(told.values(), key=lambda quote: quote.received_at)
        lag_ms = (newest.received_at - newest.occurred_at) // timedelta(milliseconds=1)
        fresh = {code: quote for code, quote in told.items() if not is_late(quote.occurred_at, quote.received_at)}
        news = quotes.keep_told(self.market, self.connection_ids, fresh)
        self._signs = replace(self._signs, lag_ms=lag_ms, late=not fresh)
        if news:
            self._instruments.update((code, quote.received_at) for code, quote in news.items())
            self._signs = replace(self._signs, priced_at=max(quote.received_at for quote in news.values()))

    def _say(self, now: datetime) -> None:
        signs = self._signs
        ears = self._ears
        live = sum(ear.is_live for ear in ears)
        heard = [ear.heard_at for ear in ears if ear.heard_at is not None]
        messages = self._gone.messages + sum(ear.messages for ear in ears)
        elapsed = max((now - signs.said_at) // timedelta(milliseconds=1), 1)
        signs = replace(
            signs,
            said_at=now,
            sockets=len(ears),
            live=live,
            whole_at=now if ears and live == len(ears) else signs.whole_at,
            heard_at=max(heard, default=signs.heard_at),
            gaps=self._gone.gaps + sum(ear.gaps for ear in ears),
            reconnects=self._gone.losses + sum(ear.losses for ear in ears),
            messages=messages,
            messages_per_s=max(messages - signs.messages, 0) * 1000 // elapsed,
            last_loss=next((ear.last_loss for ear in ears if not ear.is_live and ear.last_loss), ""),
            instruments=dict(self._instruments),
        )
        word = word_of(signs, now)
        self._signs = replace(signs, word=word, since=now if word is not signs.word else signs.since)
        if word is not signs.word:
            logger.info("%s: the feed is %s.", self.market, word)
        cache.set(signs_key(self.market), self._signs, timeout=SIGNS_KEPT_S)
