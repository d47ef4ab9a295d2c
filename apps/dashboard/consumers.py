"""ws/desk: what happens at a caller's desks, as ids and states, and how everything stands."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from django.db import Error as DatabaseError
from django.utils import timezone
from redis.exceptions import RedisError

from apps.accounts.sockets import Caller, Credential, SocketConsumer, in_thread
from apps.common.decimals import instant_text
from apps.common.errors import Invalid
from apps.common.sockets import Frame, frame_of, must_go_on, text_of
from apps.dashboard import live
from apps.dashboard.rules.news import News, Sight

logger = logging.getLogger(__name__)

READ_EVERY_S: Final = 0.25
READS_PER_BEAT: Final = 4


class DeskConsumer(SocketConsumer):
    """Listens to nothing but its end."""

    sight: Sight

    @staticmethod
    def sights_of(callers: Sequence[Caller]) -> dict[Credential, Sight]:
        """Which news each may hear."""
        return live.sights_of(callers)

    def see(self, sight: Sight) -> None:
        self.sight = sight

    async def opened(self) -> None:
        """Greet, and hear everything from there on."""
        room = NewsRoom.here()
        last_id = await room.open()
        self.outlet.say(text_of({"type": "hello", "at": instant_text(timezone.now()), "last_id": last_id}))
        room.join(self)

    async def heard(self, message: Frame) -> None:
        """Raises Invalid ACTION_UNKNOWN for whatever it is."""
        raise Invalid("ACTION_UNKNOWN", "This socket takes no messages.", fix="Prices are subscribed to on ws/quotes.")

    def closed(self) -> None:
        NewsRoom.here().leave(self)


class NewsRoom:
    """The one reader of the log in this process: it reads only while somebody listens, once for all of them."""

    running: "NewsRoom | None" = None

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners: set[DeskConsumer] = set()
        self._log: live.Log | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    @classmethod
    def here(cls) -> "NewsRoom":
        """That of this process and event loop."""
        if cls.running is None or cls.running._loop is not asyncio.get_running_loop():
            cls.running = cls()
        return cls.running

    async def open(self) -> int:
        """Read the log from now on, if nobody has begun; the id up to which it was read so far."""
        async with self._starting:
            if self._log is None:
                self._log = await in_thread(lambda: live.Log(self._loop.time()))
                reading = self._loop.create_task(self._read_on(self._log))
                self._reading = must_go_on(reading, lambda: [one.outlet for one in tuple(self._listeners)])
            return self._log.place.last

    def join(self, listener: DeskConsumer) -> None:
        """Tell this one what happens."""
        self._listeners.add(listener)

    def leave(self, listener: DeskConsumer) -> None:
        """This one is gone; with the last one the reading ends."""
        self._listeners.discard(listener)
        if not self._listeners and self._reading is not None:
            self._reading.cancel()
            self._log = self._reading = None

    async def _read_on(self, log: live.Log) -> None:
        turn, is_away = 0, False
        while True:
            try:
                self._tell(await in_thread(lambda: log.read(self._loop.time())))
                if turn % READS_PER_BEAT == 0:
                    self._beat(await in_thread(lambda: live.standing(timezone.now())))
            except (DatabaseError, RedisError) as error:
                if not is_away:
                    logger.warning("Desks hear nothing: the database or Redis is away (%s).", error)
                is_away = True
            else:
                is_away = False
            turn += 1
            await asyncio.sleep(READ_EVERY_S)

    def _tell(self, news: list[News]) -> None:
        """Each its own part, written out once for all that may hear the same."""
        texts: dict[Sight, str | None] = {}
        for listener in tuple(self._listeners) if news else ():
            sight = listener.sight
            if sight not in texts:
                shown = [item.as_dict() for item in news if sight.shows(item)]
                texts[sight] = text_of({"type": "events", "events": shown}) if shown else None
            if (text := texts[sight]) is not None:
                listener.outlet.say(text)

    def _beat(self, standing: live.Standing) -> None:
        heartbeats: dict[Sight, Frame] = {}
        for listener in tuple(self._listeners):
            listener.outlet.drop_if_slow()
            if listener.sight not in heartbeats:
                heartbeats[listener.sight] = frame_of(standing.text_for(listener.sight))
            listener.outlet.offer(heartbeats[listener.sight])
