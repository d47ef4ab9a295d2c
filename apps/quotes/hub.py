"""From the feed to this process's sockets: one message per process for many ticks, never one per socket."""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from apps.accounts.sockets import in_thread
from apps.common.sockets import Frame, Outlet, frame_of, must_go_on
from apps.quotes.rules import frames
from apps.quotes.rules.messages import message_of, ticks_in
from apps.quotes.rules.news import Moment, is_news, micros
from apps.quotes.selectors.feeds_shown import feed_records, feeds_for
from apps.quotes.types import Item, Tick, Topic

logger = logging.getLogger(__name__)

GROUP: Final = "quotes"
FLUSH_S: Final = 0.1
"""Ten updates of a socket a second at most, however many ticks there are. One that came late does not make the next one
late: two may come sooner after each other, never more."""
BEAT_S: Final = 1.0
ASK_S: Final = 0.5
"""How long a beat waits to hear how the feeds are. A database that is away lets who asks wait for many seconds; the
sockets are told meanwhile that the feeds are not known, and their prices go on."""
END_AGAIN_S: Final = 0.5
JOIN_EVERY_S: Final = 3.0

Clock = Callable[[], datetime]


def publish(ticks: Sequence[Tick]) -> None:
    """`fan_out.send`: to the hub of this very process where it is the only one, else through Redis to all of them."""
    if settings.REDIS_URL:
        _outbox().put(ticks)
    elif (hub := Hub.running) is not None:
        hub.hear_soon(ticks)


class Outbox(threading.Thread):
    """Sends through the channel layer from a thread and event loop of its own, so that no feed waits for Redis.

    What came while a message was on its way goes with the next one, of each instrument only the newest.
    """

    def __init__(self) -> None:
        super().__init__(name="quotes-outbox", daemon=True)
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._waiting: dict[Topic, Tick] = {}
        self._is_away = False

    def put(self, ticks: Sequence[Tick]) -> None:
        """Have these sent soon."""
        with self._lock:
            self._waiting.update((tick.topic, tick) for tick in ticks)
        self._woken.set()

    def run(self) -> None:
        loop, layer = asyncio.new_event_loop(), get_channel_layer()
        while True:
            self._woken.wait()
            self._woken.clear()
            with self._lock:
                ticks, self._waiting = self._waiting, {}
            if layer is None or not ticks:
                continue
            try:
                loop.run_until_complete(layer.group_send(GROUP, message_of(ticks.values())))
            except (RedisError, OSError) as error:
                if not self._is_away:
                    logger.warning("Prices do not reach the sockets: Redis is away (%s).", error)
                self._is_away = True
            else:
                self._is_away = False


_outboxes: list[Outbox] = []
_starting = threading.Lock()


def _outbox() -> Outbox:
    with _starting:
        if not _outboxes:
            _outboxes.append(Outbox())
            _outboxes[0].start()
        return _outboxes[0]


class Reader:
    """One socket as the hub sees it: what it subscribed to, and what it is owed while its way is not free."""

    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self.connections: frozenset[str] = frozenset()
        self.view: View | None = None
        self.owed: set[Item] = set()


class View:
    """All sockets with the very same subscriptions: what one of them is sent, all of them are."""

    def __init__(self, items: frozenset[Item]) -> None:
        self.items = items
        self.readers: set[Reader] = set()
        self.by_topic: dict[Topic, tuple[Item, ...]] = {}
        for item in items:
            self.by_topic[item.topic] = (*self.by_topic.get(item.topic, ()), item)


class Hub:
    """The newest tick of each topic, and the sockets of this process that read them. Lives in one event loop.

    What changed goes out every FLUSH_S at most: each changed instrument is written out once, each view is one text, and
    that goes straight to its sockets. A socket that is not ready is only owed the names of what changed: when it is
    ready again it gets the newest of each, and never what it missed.
    """

    running: "Hub | None" = None

    def __init__(self, clock: Clock) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._newest: dict[Topic, Tick] = {}
        self._bodies: dict[Topic, str] = {}
        self._views: dict[frozenset[Item], View] = {}
        self._read: Counter[Topic] = Counter()
        self._readers: set[Reader] = set()
        self._changed: set[Topic] = set()
        self._shown_stale: set[Topic] = set()
        self._allowed_at = 0.0
        self._is_away = False
        self._asking: asyncio.Task[list[dict[str, Any]]] | None = None
        self._flush_due: asyncio.TimerHandle | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    @classmethod
    def here(cls, clock: Clock) -> "Hub":
        """The hub of this process and event loop; it goes by the clock of whoever asked first."""
        if cls.running is None or cls.running._loop is not asyncio.get_running_loop():
            cls.running = cls(clock)
        return cls.running

    def join(self, reader: Reader) -> None:
        """Serve this socket; the first one starts the hub."""
        self._readers.add(reader)
        reader.outlet.next_frame = lambda: self._owed(reader)
        if not self._tasks:
            work = (self._beat(), Membership(self).keep()) if settings.REDIS_URL else (self._beat(),)
            self._tasks = tuple(must_go_on(self._loop.create_task(part), self._outlets) for part in work)

    def leave(self, reader: Reader) -> None:
        """This socket is gone; the last one stops the hub."""
        self.show(reader, frozenset())
        self._readers.discard(reader)
        if not self._readers:
            for task in self._tasks:
                task.cancel()
            self._tasks = ()
            # What nobody listened for grows old unnoticed: whoever comes next is told what the cache has.
            self._newest.clear()
            self._bodies.clear()
            self._changed.clear()
            self._shown_stale.clear()

    def show(self, reader: Reader, items: frozenset[Item]) -> None:
        """From now on this socket gets these, and at once the newest known of what is new among them."""
        before = reader.view.items if reader.view is not None else frozenset()
        self._look_away(reader)
        reader.owed &= items
        if items:
            reader.view = self._views.get(items)
            if reader.view is None:
                reader.view = self._views[items] = View(items)
                self._read.update(reader.view.by_topic.keys())
            reader.view.readers.add(reader)
            reader.owed |= {item for item in items - before if item.topic in self._newest}
            self._pay(reader)

    def _look_away(self, reader: Reader) -> None:
        view, reader.view = reader.view, None
        if view is not None:
            view.readers.discard(reader)
            if not view.readers:
                del self._views[view.items]
                self._read -= Counter(view.by_topic.keys())

    def hear_soon(self, ticks: Sequence[Tick]) -> None:
        """`hear`, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self.hear, tuple(ticks))
        except RuntimeError:
            # The loop has ended with the server: nobody listens.
            Hub.running = None

    def hear(self, ticks: Iterable[Tick]) -> None:
        """Keep each tick unless a newer one has overtaken it on the way here, and have sent what somebody reads.

        Newer by the rule of the cache, or a socket would show other prices than a decision is taken on. All that comes
        was kept there: an instant that is heard again is an answer, as what only repeats itself is not passed on.
        """
        for tick in ticks:
            topic = tick.topic
            known = self._newest.get(topic)
            if known is None or is_news(_moment(tick), _moment(known), asked=True):
                self._newest[topic] = tick
                self._bodies.pop(topic, None)
                if topic in self._read:
                    self._changed.add(topic)
        if self._changed and self._flush_due is None:
            wait_s = max(self._allowed_at - FLUSH_S - self._loop.time(), 0.0)
            self._flush_due = self._loop.call_later(wait_s, self._flush)

    def _flush(self) -> None:
        """Every view's changes as one text, straight to its sockets."""
        changed, self._changed = self._changed, set()
        self._flush_due = None
        self._allowed_at = max(self._allowed_at, self._loop.time()) + FLUSH_S
        now = self._clock()
        for topic in changed & self._shown_stale:
            if not self._newest[topic].is_stale(now):
                self._shown_stale.discard(topic)
        for view in list(self._views.values()):
            items = [item for topic in changed & view.by_topic.keys() for item in view.by_topic[topic]]
            if not items:
                continue
            frame = frame_of(self._text(items, now))
            for reader in tuple(view.readers):
                if not reader.outlet.offer(frame):
                    reader.owed.update(items)

    def _pay(self, reader: Reader) -> None:
        if reader.outlet.is_free and (text := self._owed(reader)) is not None:
            reader.outlet.offer(frame_of(text))

    def _owed(self, reader: Reader) -> str | None:
        """The newest of what this socket is owed, as of now."""
        items, reader.owed = reader.owed, set()
        return self._text(items, self._clock()) if items else None

    def _text(self, items: Iterable[Item], now: datetime) -> str:
        return frames.quotes_text((self._quote(item, now) for item in items), now)

    def _quote(self, item: Item, now: datetime) -> str:
        tick, body = self._newest[item.topic], self._bodies.get(item.topic)
        if body is None:
            body = self._bodies[item.topic] = frames.body_of(tick)
        return frames.quote_of(item, body, tick, now)

    async def _beat(self) -> None:
        """Once a second: how the feeds are, prices that have just become stale, and an end to who does not read."""
        while True:
            await asyncio.sleep(BEAT_S)
            now = self._clock()
            feeds = await self._feeds(now)
            heartbeats: dict[frozenset[str], Frame] = {}
            for reader in tuple(self._readers):
                reader.outlet.drop_if_slow()
                mine = reader.connections
                if mine not in heartbeats:
                    heartbeats[mine] = frame_of(frames.heartbeat_text(feeds_for(mine, feeds), now))
                reader.outlet.offer(heartbeats[mine])
            stale = {topic for topic in self._read if self._is_stale(topic, now)}
            if newly := stale - self._shown_stale:
                self._changed |= newly
                self._flush()
            self._shown_stale = stale

    async def _feeds(self, now: datetime) -> list[dict[str, Any]] | None:
        """How the feeds are; None, which is not that there are none, while that cannot be asked or is not told in time.
        What comes late is for a later beat."""
        if self._asking is None:
            self._asking = self._loop.create_task(in_thread(lambda: feed_records(now=now)))
        told, _ = await asyncio.wait({self._asking}, timeout=ASK_S)
        if not told:
            return None
        asked, self._asking = self._asking, None
        try:
            found = asked.result()
        except (DatabaseError, RedisError) as error:
            if not self._is_away:
                logger.warning("How the feeds are cannot be asked (%s).", error)
            self._is_away = True
            return None
        self._is_away = False
        return found

    def _outlets(self) -> list[Outlet]:
        return [reader.outlet for reader in tuple(self._readers)]

    def _is_stale(self, topic: Topic, now: datetime) -> bool:
        tick = self._newest.get(topic)
        return tick is not None and tick.is_stale(now)


def _moment(tick: Tick) -> Moment:
    return Moment(micros(tick.occurred_at), micros(tick.received_at), (tick.bid, tick.ask))


class Membership:
    """This process's one place in the group: what the outbox of the feed sends, the hub hears."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._is_away = False

    async def keep(self) -> None:
        """Until cancelled. A Redis that is away or was emptied is joined again within seconds."""
        layer = get_channel_layer()
        if layer is None:
            return
        name = await layer.new_channel("quotes")
        parts = (
            asyncio.create_task(self._join_again_and_again(layer, name)),
            asyncio.create_task(self._hear_again_and_again(layer, name)),
        )
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            try:
                await _ended(*parts)
            finally:
                with suppress(RedisError, OSError, asyncio.CancelledError):
                    await layer.group_discard(GROUP, name)
        for part in parts:
            if not part.cancelled():
                part.result()

    async def _hear_again_and_again(self, layer: Any, name: str) -> None:
        while True:
            try:
                self._hub.hear(ticks_in(await layer.receive(name)))
            except (RedisError, OSError) as error:
                if not self._is_away:
                    logger.warning("No price is heard: Redis is away (%s).", error)
                self._is_away = True
                await asyncio.sleep(JOIN_EVERY_S)
            else:
                self._is_away = False

    async def _join_again_and_again(self, layer: Any, name: str) -> None:
        while True:
            with suppress(RedisError, OSError):
                await layer.group_add(GROUP, name)
            await asyncio.sleep(JOIN_EVERY_S)


async def _ended(*tasks: "asyncio.Task[None]") -> None:
    """Cancel these until they have ended, then be cancelled oneself if that was asked for meanwhile.

    Once is not enough: `asyncio.wait_for` of Python 3.11, which redis-py writes to its socket under, loses a
    cancellation that comes when what it waits for is just done (CPython issue 86296); the process would stay in the
    group for good. Nor may a second cancellation end the waiting: a loop that closes cancels every task once, and
    waits for ever for a task that lost it.
    """
    asked: asyncio.CancelledError | None = None
    while waiting := {task for task in tasks if not task.done()}:
        for task in waiting:
            task.cancel()
        try:
            await asyncio.wait(waiting, timeout=END_AGAIN_S)
        except asyncio.CancelledError as again:
            asked = again
    if asked is not None:
        raise asked
