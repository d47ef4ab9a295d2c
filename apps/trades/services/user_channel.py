"""Listening to the venue's user channel: what it tells makes us look at once, and what we see is booked as ever.

One holder per connection, by a lease. The channel never books anything itself (docs/decisions/0007-user-channel.md):
an order's news, a gap and every return of the stream publish `trades.poll_order`, the one way by which a venue's view
reaches our rows.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db import DatabaseError, close_old_connections
from django.db.models import Q

from apps.audit.services import pulses
from apps.common.errors import AikaError
from apps.common.tasks import publish
from apps.connectors.selectors import active_connections
from apps.connectors.services import leases, streams
from apps.connectors.stream_types import Live, Lost, Orders, OrderUpdate, StreamEvent
from apps.trades.models import Order
from apps.trades.rules.news import Owed, Shown, is_shown
from apps.trades.services import sweeps
from apps.trades.types import OrderState

if TYPE_CHECKING:
    from apps.connectors.models import Connection

LEASE_TTL: Final = timedelta(seconds=10)
RENEW_EVERY: Final = timedelta(seconds=3)
TAKE_EVERY_S: Final = 2.0
SUPERVISE_EVERY_S: Final = 1.0
MISCONFIGURED_AGAIN_S: Final = 30.0

Clock = Callable[[], datetime]
Identity = tuple[str, str, str]

logger = logging.getLogger(__name__)


def run(stop: threading.Event, *, clock: Clock, slugs: Sequence[str] = ()) -> None:
    """Follow the user channel of every active connection (or of those named) until `stop` is set.

    A thread for each; one that ends is begun again, and one whose connection ended, or got another key, is let go.
    """
    holder = leases.new_holder()
    followers: dict[Identity, _Follower] = {}
    try:
        while not stop.is_set():
            try:
                # What is only read has no orders of ours to tell about, and who is let in by OAuth is told nothing.
                wanted = {
                    _identity(item): item
                    for item in active_connections()
                    if item.tells_orders and (not slugs or item.slug in slugs)
                }
            except DatabaseError:
                logger.exception("The connections could not be read; those that are followed go on.")
                stop.wait(SUPERVISE_EVERY_S)
                continue
            finally:
                close_old_connections()
            for identity in [key for key, item in followers.items() if key not in wanted or not item.is_alive()]:
                followers.pop(identity).stop.set()
            for identity in wanted.keys() - followers.keys():
                followers[identity] = _Follower(wanted[identity], holder, clock)
                followers[identity].start()
            stop.wait(SUPERVISE_EVERY_S)
    finally:
        for follower in followers.values():
            follower.stop.set()
        for follower in followers.values():
            follower.join()


def _identity(connection: "Connection") -> Identity:
    return str(connection.pk), connection.key_name, connection.secret_fingerprint


class _Follower(threading.Thread):
    """Follows one connection, whenever it has the lease."""

    def __init__(self, connection: "Connection", holder: str, clock: Clock) -> None:
        super().__init__(name=f"orders:{connection.slug}", daemon=True)
        self.stop = threading.Event()
        self._connection = connection
        self._holder = holder
        self._clock = clock

    def run(self) -> None:
        name = streams.user_stream_name(self._connection.pk)
        while not self.stop.is_set():
            pause = TAKE_EVERY_S
            try:
                held = leases.take(name=name, holder=self._holder, ttl=LEASE_TTL, now=self._clock())
                if held is not None:
                    follow(self._connection, held=held, stop=self.stop, clock=self._clock)
            except AikaError as error:
                logger.warning("%s is polled only: %s", self._connection.slug, error.message)
                pause = MISCONFIGURED_AGAIN_S
            except DatabaseError:
                logger.exception("%s: the user channel waits for the database.", self._connection.slug)
            finally:
                close_old_connections()
            self.stop.wait(pause)


def follow(
    connection: "Connection",
    *,
    held: leases.Held,
    stop: threading.Event,
    clock: Clock,
    stream: streams.EventStream | None = None,
) -> None:
    """Listen until `stop` is set or the lease has gone to somebody else. Raises Misconfigured where nothing can be
    listened to. The lease is let go at the end.
    """
    listening = (stream or streams.user_stream(connection)).listen(stop)
    listener = _Listener(connection, held, clock)
    try:
        for event in listening:
            if not listener.hear(event):
                return
    finally:
        # Closes the socket now: a generator that is only dropped would keep it until it is collected.
        listening.close()  # type: ignore[attr-defined]
        listener.end()


class _Listener:
    """What is known while one holder listens to one connection."""

    def __init__(self, connection: "Connection", held: leases.Held, clock: Clock) -> None:
        self._connection = connection
        self._held = held
        self._clock = clock
        self._owed = Owed()
        self._renew_at = clock() + RENEW_EVERY
        self._report = streams.HealthReport(held.name, held.holder, clock())
        self._heart = pulses.Heart()

    def hear(self, event: StreamEvent) -> bool:
        """Act on one event. False once the lease has gone to somebody else."""
        now = self._clock()
        if now >= self._renew_at and not self._renew(now):
            return False
        self._report.note(event, now=now)
        if self._report.is_live(now):
            self._heart.beat(pulses.user_channel(self._connection.pk), now=now)
        if isinstance(event, Orders):
            for update in event.updates:
                self._owed.add(update, now)
        elif isinstance(event, Live):
            count = sweeps.publish_polls_of(self._connection.pk)
            logger.info("%s: the user channel is live; %s orders are read.", self._connection.slug, count)
        elif isinstance(event, Lost):
            logger.warning("%s: the user channel was lost (%s).", self._connection.slug, event.detail)
        self._look(now)
        return True

    def end(self) -> None:
        """Say that nobody listens, and let somebody else."""
        now = self._clock()
        self._report.end(now=now)
        leases.release(held=self._held, now=now)

    def _renew(self, now: datetime) -> bool:
        renewed = leases.renew(held=self._held, ttl=LEASE_TTL, now=now)
        if renewed is None:
            logger.warning("%s: somebody else follows the user channel now.", self._connection.slug)
            return False
        self._held, self._renew_at = renewed, now + RENEW_EVERY
        return True

    def _look(self, now: datetime) -> None:
        """Ask for a read of each order of which more was told than our row shows."""
        updates = self._owed.due(now)
        if not updates:
            return
        rows = rows_of(self._connection.pk, updates)
        for update in updates:
            row = rows.get(update.venue_order_id)
            # An order that is not ours is the reconciliation's business.
            if row is None or is_shown(update, row):
                self._owed.settle(update)
                continue
            if row.state == OrderState.UNKNOWN:
                sweeps.resolve_now(row.order_id, now=now)
            elif row.state != OrderState.SUBMITTED:
                # While it is being sent, its answer is on the way and asks for the read itself.
                publish("trades.poll_order", order_id=row.order_id)
            self._owed.looked(update, now)


def rows_of(connection_id: UUID, updates: Iterable[OrderUpdate]) -> dict[str, Shown]:
    """Our rows of these orders, by the venue's id: found by it, or by our own where its id is not known to us yet."""
    by_venue = {update.venue_order_id for update in updates}
    by_client = {ours: update.venue_order_id for update in updates if (ours := _uuid(update.client_order_id))}
    found: dict[str, Shown] = {}
    rows = Order.objects.filter(Q(venue_order_id__in=by_venue) | Q(client_order_id__in=by_client))
    for row in rows.filter(connection_id=connection_id):
        key = row.venue_order_id if row.venue_order_id in by_venue else by_client[row.client_order_id]
        found[key] = Shown(row.pk, row.state, row.filled_quantity)
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
