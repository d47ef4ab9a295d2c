"""The live feed: every market of the active connections over its WebSocket, one holder each, by a lease.

Per market four kinds of threads, so that nothing slow stands before a price: one per socket, which only hears; one that
passes on ten times a second and never asks the database; one that writes candles; and the keeper, which holds the
lease, gives the sockets their instruments and replaces what ended. Whatever makes a socket doubtful ends it, and a new
one brings a new snapshot (connectors.services.streams): meanwhile prices age, and old ones decide nothing.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from redis.exceptions import RedisError

from apps.audit.services import pulses
from apps.common.errors import AikaError
from apps.connectors.selectors import active_connections, market_of, tradable_codes
from apps.connectors.services import leases, streams
from apps.connectors.stream_types import StreamChannel
from apps.quotes.rules.shards import Shard, plan
from apps.quotes.services import candles
from apps.quotes.services.feed_board import Board, Ear
from apps.quotes.types import FeedWord

if TYPE_CHECKING:
    from apps.connectors.models import Connection

LEASE_TTL: Final = timedelta(seconds=10)
RENEW_EVERY: Final = timedelta(seconds=3)
TAKE_EVERY_S: Final = 2.0
LOOK_EVERY_S: Final = 1.0
FLUSH_EVERY_S: Final = 0.125
CANDLES_EVERY_S: Final = 1.0
AGAIN_S: Final = 30.0
JOIN_S: Final = 2.0
LEASE_NAME_LENGTH: Final = 120

TICKER_CHANNELS: Final = (StreamChannel.QUOTES, StreamChannel.TRADES)

Clock = Callable[[], datetime]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be followed of one market: over which connection's key, for which connections, which instruments."""

    market: str
    connection: "Connection"
    connection_ids: tuple[UUID, ...]
    instruments: frozenset[str]

    @property
    def key(self) -> tuple[str, str, str]:
        """What the sockets were opened with: with another key they are opened anew."""
        return str(self.connection.pk), self.connection.key_name, self.connection.secret_fingerprint


def lease_name(market: str) -> str:
    """The name under which a market's feed is held."""
    name = f"feed:{market}"
    return name if len(name) <= LEASE_NAME_LENGTH else f"feed:{sha256(market.encode()).hexdigest()}"


def wanted_markets(connections: "Iterable[Connection]") -> dict[str, Wanted]:
    """By market, what the active connections want followed. A market without a socket is only asked, by the poller."""
    grouped: dict[str, list[Connection]] = {}
    for row in sorted(connections, key=lambda row: row.slug):
        if streams.has_market_socket(row):
            grouped.setdefault(market_of(row), []).append(row)
    found = {}
    for market, rows in grouped.items():
        ids = tuple(row.pk for row in rows)
        signer = next((row for row in rows if row.key_name), rows[0])
        found[market] = Wanted(market, signer, ids, tradable_codes(ids))
    return found


def run(stop: threading.Event, *, clock: Clock) -> None:
    """Follow every market until `stop` is set: whoever has its lease does, the others wait to take over.

    Connections and instruments that come and go are noticed within seconds.
    """
    holder = leases.new_holder()
    keepers: dict[str, _Keeper] = {}
    try:
        while not stop.is_set():
            try:
                wanted = wanted_markets(active_connections())
            except DatabaseError:
                logger.exception("The connections could not be read; the markets that are followed go on.")
                stop.wait(LOOK_EVERY_S)
                continue
            finally:
                close_old_connections()
            for market in [name for name, item in keepers.items() if name not in wanted or not item.is_alive()]:
                keepers.pop(market).stop.set()
            for market, item in wanted.items():
                if market in keepers:
                    keepers[market].wanted = item
                else:
                    keepers[market] = _Keeper(item, holder, clock)
                    keepers[market].start()
            stop.wait(LOOK_EVERY_S)
    finally:
        for keeper in keepers.values():
            keeper.stop.set()
        for keeper in keepers.values():
            keeper.join(JOIN_S)


class _Keeper(threading.Thread):
    """Follows one market whenever it has the lease. `wanted` may be exchanged at any time."""

    def __init__(self, wanted: Wanted, holder: str, clock: Clock) -> None:
        super().__init__(name=f"feed:{wanted.market}", daemon=True)
        self.stop = threading.Event()
        self.wanted = wanted
        self._holder = holder
        self._clock = clock

    def run(self) -> None:
        name = lease_name(self.wanted.market)
        while not self.stop.is_set():
            try:
                held = leases.take(name=name, holder=self._holder, ttl=LEASE_TTL, now=self._clock())
                if held is not None:
                    logger.info("%s: this process follows the market.", self.wanted.market)
                    _Following(self, held, self._clock).go_on()
            except DatabaseError:
                logger.exception("%s: the feed waits for the database.", self.wanted.market)
            except (RedisError, OSError) as error:
                logger.warning("%s: the feed waits for the cache (%s).", self.wanted.market, error)
            finally:
                close_old_connections()
            self.stop.wait(TAKE_EVERY_S)


class _Following:
    """One time of holding the lease: from its taking to its end."""

    def __init__(self, keeper: _Keeper, held: leases.Held, clock: Clock) -> None:
        self._keeper = keeper
        self._held = held
        self._clock = clock
        self._renew_at = clock() + RENEW_EVERY
        self._heart = pulses.Heart()
        self._sockets: list[_Socket] = []
        self._key = keeper.wanted.key
        wanted = keeper.wanted
        self._board = Board(wanted.market, wanted.connection_ids, holder=held.holder, now=clock())
        self._word = FeedWord.CONNECTING
        self._cache_is_away = False
        self._ended = threading.Event()
        self._threads = [
            _Every(FLUSH_EVERY_S, self._flush, self._ended),
            _Every(CANDLES_EVERY_S, self._write, self._ended),
        ]

    def go_on(self) -> None:
        """Follow until the keeper is stopped or somebody else holds the lease, which is let go in the end."""
        for thread in self._threads:
            thread.start()
        try:
            while not self._keeper.stop.is_set() and all(thread.is_alive() for thread in self._threads):
                if not self._is_ours():
                    return
                self._tend(self._keeper.wanted)
                self._keeper.stop.wait(LOOK_EVERY_S)
        finally:
            self._end()

    def _is_ours(self) -> bool:
        """Whether we still hold the lease: while the database is away, until the time it was taken for is over."""
        now = self._clock()
        try:
            if now >= self._renew_at:
                renewed = leases.renew(held=self._held, ttl=LEASE_TTL, now=now)
                if renewed is None:
                    logger.warning("%s: somebody else follows the market now.", self._board.market)
                    return False
                self._held, self._renew_at = renewed, now + RENEW_EVERY
            if self._word is FeedWord.LIVE:
                self._heart.beat(pulses.feed(self._board.market), now=now)
        except DatabaseError:
            logger.warning("%s: the lease could not be renewed.", self._board.market, exc_info=True)
            close_old_connections()
        return now < self._held.until

    def _tend(self, wanted: Wanted) -> None:
        """Sockets for what is wanted, no more and no less; those that ended begin again."""
        self._board.connection_ids = wanted.connection_ids
        current = [socket for socket in self._sockets if socket.is_alive() and wanted.key == self._key]
        self._key = wanted.key
        level2 = frozenset(settings.FEED_BOOKS) & wanted.instruments
        kept = [socket for socket in current if socket.channels == TICKER_CHANNELS]
        sockets = self._matched(kept, plan([socket.shard for socket in kept], wanted.instruments), TICKER_CHANNELS)
        books = [socket for socket in current if socket.channels != TICKER_CHANNELS]
        sockets += self._matched(books, plan([socket.shard for socket in books], level2), (StreamChannel.BOOK,))
        for socket in self._sockets:
            if socket not in sockets:
                socket.stop.set()
        followed = {code for socket in self._sockets for code in socket.shard}
        self._board.drop(frozenset(followed - wanted.instruments))
        self._sockets = sockets
        self._board.listen_to([socket.ear for socket in sockets])

    def _matched(
        self, current: "Sequence[_Socket]", planned: Sequence[Shard], channels: tuple[StreamChannel, ...]
    ) -> "list[_Socket]":
        by_shard = {socket.shard: socket for socket in current}
        return [by_shard.get(shard) or self._opened(shard, channels) for shard in planned]

    def _opened(self, shard: Shard, channels: tuple[StreamChannel, ...]) -> "_Socket":
        socket = _Socket(self._keeper.wanted.connection, shard, channels, self._board.market)
        socket.start()
        return socket

    def _flush(self) -> None:
        """Prices that cannot be kept are followed by newer ones: the sockets stay open while Redis is away."""
        try:
            self._word = self._board.flush(now=self._clock()).word
        except (RedisError, OSError) as error:
            self._word = FeedWord.DOWN
            if not self._cache_is_away:
                logger.warning("%s: prices are not kept: the cache is away (%s).", self._board.market, error)
            self._cache_is_away = True
        else:
            self._cache_is_away = False

    def _write(self) -> None:
        try:
            candles.heard(self._board.market, self._board.take_trades(), self._clock())
        except (RedisError, OSError) as error:
            logger.warning("%s: open candles are not shown (%s).", self._board.market, error)
        finally:
            close_old_connections()

    def _end(self) -> None:
        self._ended.set()
        for socket in self._sockets:
            socket.stop.set()
        for thread in (*self._threads, *self._sockets):
            thread.join(JOIN_S)
        now = self._clock()
        try:
            self._board.end(now=now)
        finally:
            leases.release(held=self._held, now=now)


class _Every(threading.Thread):
    """Does one thing again and again until told to end."""

    def __init__(self, seconds: float, work: Callable[[], None], ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self._seconds = seconds
        self._work = work
        self._ended = ended

    def run(self) -> None:
        while not self._ended.wait(self._seconds):
            self._work()


class _Socket(threading.Thread):
    """One socket and its instruments, over as many connections as it takes."""

    def __init__(
        self, connection: "Connection", shard: Shard, channels: tuple[StreamChannel, ...], market: str
    ) -> None:
        super().__init__(name=f"feed-socket:{market}", daemon=True)
        self.stop = threading.Event()
        self.shard = shard
        self.channels = channels
        self.ear = Ear(f"{market} ({len(shard)} instruments)")
        self._connection = connection

    def run(self) -> None:
        try:
            stream = streams.market_stream(self._connection, self.channels, sorted(self.shard))
            listening = stream.listen(self.stop)
            try:
                for event in listening:
                    self.ear.hear(event)
            finally:
                # Closes the socket now: a generator that is only dropped would keep it until it is collected.
                listening.close()  # type: ignore[attr-defined]
        except AikaError as error:
            self.ear.last_loss = error.message
            logger.warning("%s: the market cannot be listened to: %s", self.ear.name, error.message)
            self.stop.wait(AGAIN_S)
        finally:
            self.ear.is_live = False
            close_old_connections()
