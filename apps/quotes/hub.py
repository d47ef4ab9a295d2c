"""From the feed to this process's sockets: one message per process for many ticks, never one per socket."""

import asyncio
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from channels.layers import get_channel_layer
from django.conf import settings
from redis.exceptions import RedisError

from apps.common.decimals import decimal_text, instant_text
from apps.quotes.types import Tick, Topic

logger = logging.getLogger(__name__)

GROUP: Final = "quotes"
TYPE: Final = "quotes.ticks"

Message = dict[str, Any]


def publish(ticks: Sequence[Tick]) -> None:
    """`fan_out.send`: to the hub of this very process where it is the only one, else through Redis to all of them."""
    if settings.REDIS_URL:
        _outbox().put(ticks)
    elif (hub := Hub.running) is not None:
        hub.hear_soon(ticks)


def message_of(ticks: Iterable[Tick]) -> Message:
    """Ticks as the channel layer carries them: texts."""
    return {"type": TYPE, "ticks": [_packed(tick) for tick in ticks]}


def ticks_in(message: Mapping[str, Any]) -> list[Tick]:
    """The ticks of a message of `message_of`."""
    return [_unpacked(row) for row in message["ticks"]]


def _packed(tick: Tick) -> list[str | None]:
    numbers = (tick.bid, tick.ask, tick.bid_quantity, tick.ask_quantity, tick.last, tick.change_24h)
    return [
        tick.market,
        tick.instrument,
        *(None if number is None else decimal_text(number) for number in numbers),
        instant_text(tick.occurred_at),
        instant_text(tick.received_at),
    ]


def _unpacked(row: Sequence[str | None]) -> Tick:
    market, instrument, bid, ask, bid_quantity, ask_quantity, last, change, occurred_at, received_at = row
    return Tick(
        market=str(market),
        instrument=str(instrument),
        bid=Decimal(str(bid)),
        ask=Decimal(str(ask)),
        bid_quantity=Decimal(str(bid_quantity)),
        ask_quantity=Decimal(str(ask_quantity)),
        last=None if last is None else Decimal(last),
        change_24h=None if change is None else Decimal(change),
        occurred_at=datetime.fromisoformat(str(occurred_at)),
        received_at=datetime.fromisoformat(str(received_at)),
    )


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


class Hub:
    """The newest tick of each topic, in the one event loop of this process."""

    running: "Hub | None" = None

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._newest: dict[Topic, Tick] = {}

    def hear_soon(self, ticks: Sequence[Tick]) -> None:
        """`hear`, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self.hear, tuple(ticks))
        except RuntimeError:
            # The loop has ended with the server: nobody listens.
            Hub.running = None

    def hear(self, ticks: Iterable[Tick]) -> None:
        """Keep each tick unless a newer one (by the venue's clock) is known."""
        for tick in ticks:
            known = self._newest.get(tick.topic)
            if known is None or tick.occurred_at >= known.occurred_at:
                self._newest[tick.topic] = tick
