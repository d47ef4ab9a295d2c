"""ws/quotes: prices of the instruments a caller subscribes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, cast
from uuid import UUID

from django.utils import timezone

from apps.accounts.sockets import Caller, Credential, SocketConsumer, in_thread
from apps.common.errors import Invalid, NotFound
from apps.common.sockets import Frame
from apps.connectors.selectors import connections_for_each, instruments_of, market_of
from apps.quotes.hub import Hub, Reader
from apps.quotes.rules.frames import subscribed_text
from apps.quotes.services import quotes
from apps.quotes.types import Item, Tick, Topic

SUBSCRIPTIONS_MAX: Final = 200
"""Instruments one socket may subscribe to."""
_ACTIONS: Final = ("subscribe", "unsubscribe")
_NAME_CHARS_MAX: Final = 60


@dataclass(frozen=True, slots=True)
class Watched:
    """A connection that a caller may see the prices of."""

    id: UUID
    market: str


Sight = dict[str, Watched]


class QuotesConsumer(SocketConsumer):
    """Subscribes, unsubscribes, and hands the rest to the hub."""

    @staticmethod
    def sights_of(callers: Sequence[Caller]) -> dict[Credential, Sight]:
        """The connections of each by their short names."""
        rows = connections_for_each({caller.principal for caller in callers})
        return {
            caller.credential: {row.slug: Watched(row.pk, market_of(row)) for row in rows[caller.principal]}
            for caller in callers
        }

    def see(self, sight: Sight) -> None:
        """Drop what is subscribed over a connection that is no longer the caller's."""
        if not hasattr(self, "_reader"):
            self._reader, self._hub = Reader(self.outlet), Hub.here(timezone.now)
            self._items: frozenset[Item] = frozenset()
        self._sight, self._reader.connections = sight, frozenset(sight)
        kept = frozenset(item for item in self._items if item.connection in sight)
        if kept != self._items:
            self._put_in_force(kept)

    async def opened(self) -> None:
        self._hub.join(self._reader)

    def closed(self) -> None:
        self._hub.leave(self._reader)

    async def heard(self, message: Frame) -> None:
        """`subscribe` and `unsubscribe`. All of a message holds, or nothing of it.

        Raises Invalid ACTION_UNKNOWN, ITEMS_MALFORMED, TOO_MANY_SUBSCRIPTIONS, INSTRUMENT_UNKNOWN; NotFound
        CONNECTION_UNKNOWN.
        """
        action = message.get("action")
        if action not in _ACTIONS:
            raise Invalid("ACTION_UNKNOWN", "The action is not known.", fix=f"Send one of: {', '.join(_ACTIONS)}.")
        pairs = _pairs_in(message.get("items"))
        if action == "unsubscribe":
            kept = (item for item in self._items if (item.connection, item.instrument) not in pairs)
            self._put_in_force(frozenset(kept))
            return
        have = {(item.connection, item.instrument) for item in self._items}
        if len(have | pairs) > SUBSCRIPTIONS_MAX:
            raise Invalid(
                "TOO_MANY_SUBSCRIPTIONS",
                f"A socket subscribes to at most {SUBSCRIPTIONS_MAX} instruments.",
                fix="Unsubscribe from some first; nothing of this message was taken.",
            )
        items, known = await in_thread(partial(look_up, self.caller, pairs - have))
        self._hub.hear(known)
        self._put_in_force(self._items | items)

    def _put_in_force(self, items: frozenset[Item]) -> None:
        self._items = items
        self.outlet.say(subscribed_text(items))
        self._hub.show(self._reader, items)


def look_up(caller: Caller, pairs: frozenset[tuple[str, str]]) -> tuple[frozenset[Item], list[Tick]]:
    """These as items, and the newest known price of each. In a thread.

    Raises NotFound CONNECTION_UNKNOWN, Invalid INSTRUMENT_UNKNOWN, for the first in order of names.
    """
    sight = QuotesConsumer.sights_of([caller])[caller.credential]
    wanted: dict[str, set[str]] = {}
    for connection, instrument in sorted(pairs):
        wanted.setdefault(connection, set()).add(instrument)
    items: set[Item] = set()
    ticks: list[Tick] = []
    for slug, codes in wanted.items():
        watched = sight.get(slug)
        if watched is None:
            raise NotFound(
                "CONNECTION_UNKNOWN",
                f"There is no connection {slug} for you.",
                fix="GET /api/v1/connectors lists the connections this key or person may use.",
            )
        listed = instruments_of(watched.id, codes=tuple(codes)).order_by().values_list("code", flat=True)
        if missing := codes - set(listed):
            raise Invalid(
                "INSTRUMENT_UNKNOWN",
                f"{slug} does not list {', '.join(sorted(missing))}.",
                fix=f"GET /api/v1/quotes?connection={slug} lists what there is.",
            )
        items |= {Item(slug, code, Topic(watched.market, code)) for code in codes}
        ticks += [Tick.of(watched.market, quote) for quote in quotes.latest_of(watched.id, sorted(codes)).values()]
    return frozenset(items), ticks


def _pairs_in(items: object) -> frozenset[tuple[str, str]]:
    """The connection and instrument of each item. Raises Invalid ITEMS_MALFORMED."""
    if isinstance(items, list) and items:
        pairs = [_pair(item) for item in items]
        if all(pair is not None for pair in pairs):
            return frozenset(cast("list[tuple[str, str]]", pairs))
    raise Invalid(
        "ITEMS_MALFORMED",
        "items is a list of connections and instruments, at least one.",
        fix='Send "items": [{"connection": "paper", "instrument": "BTC-USD"}].',
    )


def _pair(item: object) -> tuple[str, str] | None:
    if not isinstance(item, dict) or set(item) != {"connection", "instrument"}:
        return None
    connection, instrument = item["connection"], item["instrument"]
    if not (isinstance(connection, str) and isinstance(instrument, str)):
        return None
    return (connection, instrument) if 0 < len(connection) <= _NAME_CHARS_MAX >= len(instrument) > 0 else None
