"""The way to a venue's sockets, and how each stream does: said about once a second, in the cache, never in rows."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from django.core.cache import cache
from django.utils import timezone

from apps.common.errors import Misconfigured
from apps.connectors.models import Connection
from apps.connectors.services.venue import check_address
from apps.connectors.stream_types import Beat, Live, LossReason, Lost, StreamChannel, StreamEvent
from apps.connectors.types import Venue
from apps.connectors.venues.coinbase.auth import Signer
from apps.connectors.venues.coinbase.stream import Stream, Timing, socket_url

HEALTH_KEPT_S: Final = 3600
SAID_EVERY: Final = timedelta(seconds=1)
# Heartbeats come every second; a stream that was not heard for so long is not relied on.
HEARD_WITHIN: Final = timedelta(seconds=6)


class EventStream(Protocol):
    """What a venue tells over one socket."""

    def listen(self, stop: threading.Event) -> Iterator[StreamEvent]:
        """Events until `stop` is set, over as many connections as it takes."""
        ...


def user_stream(connection: Connection, *, timing: Timing | None = None) -> EventStream:
    """The news of this connection's own orders.

    Raises Misconfigured: VENUE_HAS_NO_SOCKET, VENUE_KEY_MISSING, VENUE_KEY_UNUSABLE, or what `venue.connect` raises
    about the address.
    """
    return _stream(connection, (StreamChannel.ORDERS,), (), timing)


def market_stream(
    connection: Connection,
    channels: Sequence[StreamChannel],
    instruments: Sequence[str],
    *,
    timing: Timing | None = None,
) -> EventStream:
    """The market's news of these instruments. Raises as `user_stream`, and ValueError where ORDERS are among them."""
    if StreamChannel.ORDERS in channels or not instruments:
        raise ValueError("The market is asked for instruments, and knows nothing of orders.")
    return _stream(connection, channels, instruments, timing)


def _stream(
    connection: Connection, channels: Sequence[StreamChannel], instruments: Sequence[str], timing: Timing | None
) -> EventStream:
    if connection.venue != Venue.COINBASE:
        raise Misconfigured("VENUE_HAS_NO_SOCKET", f"Nothing can be listened to at {connection.venue}.")
    check_address(venue=connection.venue, environment=connection.environment, api_base=connection.api_base)
    if connection.authorisation_id is not None:
        return _stream_without_key(connection, channels, instruments, timing)
    if not connection.key_name or not connection.secret:
        raise Misconfigured("VENUE_KEY_MISSING", f"The connection {connection.slug} has no key.")
    signer = Signer.of(key_name=connection.key_name, secret=connection.secret.reveal())
    return Stream(
        url=socket_url(connection.api_base, user=StreamChannel.ORDERS in channels),
        token=signer.socket_token,
        channels=channels,
        instruments=instruments,
        now=timezone.now,
        timing=timing,
    )


def _stream_without_key(
    connection: Connection, channels: Sequence[StreamChannel], instruments: Sequence[str], timing: Timing | None
) -> EventStream:
    if StreamChannel.ORDERS in channels:
        # Only signed tokens of keys are documented there (coinbase.md 2.2).
        raise Misconfigured(
            "VENUE_HAS_NO_SOCKET", f"The venue tells {connection.slug} nothing over a socket: it is connected by OAuth."
        )
    url = socket_url(connection.api_base, user=False)
    return Stream(url=url, token=None, channels=channels, instruments=instruments, now=timezone.now, timing=timing)


def has_market_socket(connection: Connection) -> bool:
    """Whether the market of this connection can be listened to at all; where not, it is only asked."""
    try:
        return connection.venue == Venue.COINBASE and bool(socket_url(connection.api_base, user=False))
    except Misconfigured:
        return False


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """How a stream does, as its holder said at `said_at`. `live_since` is None while things may be missing.

    `losses` counts since somebody follows it without a break of an hour; each but the newest was followed by a return.
    """

    holder: str
    said_at: datetime
    live_since: datetime | None = None
    heard_at: datetime | None = None
    losses: int = 0
    gaps: int = 0
    last_loss: str = ""
    last_loss_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Whether what happens at the venue is being told just now."""
        return self.live_since is not None and self.heard_at is not None and now - self.heard_at <= HEARD_WITHIN


def user_stream_name(connection_id: UUID) -> str:
    """The name under which a connection's user channel is leased, and its health kept."""
    return f"orders:{connection_id}"


def health_of(name: str) -> StreamHealth | None:
    """What the holder last said of the stream; None where nobody has for an hour."""
    health: StreamHealth | None = cache.get(_key(name))
    return health


def live_user_streams(connection_ids: Sequence[UUID], *, now: datetime) -> set[UUID]:
    """Those of these connections whose user channel can be relied on now."""
    by_key = {_key(user_stream_name(connection_id)): connection_id for connection_id in connection_ids}
    found: dict[str, StreamHealth] = cache.get_many(list(by_key))
    return {by_key[key] for key, health in found.items() if health.is_live(now)}


class HealthReport:
    """Keeps one stream's health current from its events."""

    def __init__(self, name: str, holder: str, now: datetime) -> None:
        self._name = name
        self._health = health = health_of(name) or StreamHealth(holder=holder, said_at=now)
        self._say(replace(health, holder=holder, live_since=None), now)

    def is_live(self, now: datetime) -> bool:
        """As `StreamHealth.is_live`."""
        return self._health.is_live(now)

    def note(self, event: StreamEvent, *, now: datetime) -> None:
        """Take one event into account; the cache hears of it at once where it matters, else about once a second."""
        health = self._health
        if isinstance(event, Live):
            self._say(replace(health, live_since=event.at, heard_at=event.at), now)
        elif isinstance(event, Lost):
            gap = event.reason is LossReason.GAP
            self._say(
                replace(
                    health,
                    live_since=None,
                    losses=health.losses + 1,
                    gaps=health.gaps + gap,
                    last_loss=f"{event.reason.value}: {event.detail}",
                    last_loss_at=event.at,
                ),
                now,
            )
        elif not isinstance(event, Beat) or event.heard:
            self._health = replace(health, heard_at=now)
            if now - health.said_at >= SAID_EVERY:
                self._say(self._health, now)

    def end(self, *, now: datetime) -> None:
        """Nobody listens any more."""
        self._say(replace(self._health, live_since=None), now)

    def _say(self, health: StreamHealth, now: datetime) -> None:
        self._health = replace(health, said_at=now)
        cache.set(_key(self._name), self._health, timeout=HEALTH_KEPT_S)


def _key(name: str) -> str:
    return f"stream:{name}"
