"""The sweep for alarms: what has been unresolved for too long is said, and told again until somebody acknowledges it.

It is asked for by beat, and by `manage.py alarms`, and may run any number of times at once.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import DatabaseError, close_old_connections

from apps.accounts.selectors import keys_refused_since, requests_waiting
from apps.audit import selectors as audit
from apps.audit.services import alarms, channels, notices, pulses
from apps.audit.services.notices import Sender
from apps.audit.types import Standing
from apps.common.tasks import publish
from apps.common.words import clock as time_of_day
from apps.connectors.selectors import active_connections, market_of
from apps.connectors.services.streams import has_market_socket
from apps.lessons.selectors.index import index_lag
from apps.trades.selectors.unresolved import near_end, of_trades

if TYPE_CHECKING:
    from apps.connectors.models import Connection

# Nobody looked for so long: the desk was off, and what it should have done meanwhile counts from when it is on again.
OFF_AFTER: Final = timedelta(seconds=60)
QUEUES: Final = ("default", "execution")
# For how long a key that was refused by its address is worth an alarm, if it is not ended.
KEY_REFUSED_COUNTS: Final = timedelta(days=1)
KEYS_MAX: Final = 500

Clock = Callable[[], datetime]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep did: how many alarms it opened, told anew because they grew, cleared, told, and got out."""

    raised: int
    grown: int
    cleared: int
    told: int
    delivered: int


def sweep(*, clock: Clock, senders: Sequence[Sender] | None = None) -> Swept:
    """Look, open and clear, tell. Never in a transaction: telling takes seconds where the other side is slow."""
    now = clock()
    resumed_at = _resumed_at(now)
    settled = alarms.settle(standing=list(unresolved(now)), now=now, resumed_at=resumed_at)
    ways = channels.configured() if senders is None else senders
    told = notices.tell_due(channels=[way.channel for way in ways], now=now)
    delivered = notices.send_owed(senders=ways, clock=clock)
    return Swept(
        raised=len(settled.raised),
        grown=len(settled.grown),
        cleared=len(settled.cleared),
        told=told,
        delivered=delivered,
    )


def by_the_clock(*, clock: Clock) -> Swept:
    """The sweep as beat asks for it: it shows that the clock runs, and asks every worker for a sign of life."""
    now = clock()
    pulses.beat(pulses.BEAT, now=now)
    ask_for_signs()
    return sweep(clock=clock)


def follow(stop: threading.Event, *, clock: Clock, every_s: int) -> None:
    """Sweep every so often until `stop` is set, beside beat and without it: who tells that beat is dead must not be
    beat. A database that does not answer is waited for."""
    while not stop.is_set():
        try:
            ask_for_signs()
            sweep(clock=clock)
        except DatabaseError:
            logger.exception("Alarms could not be looked for; in %s s again.", every_s)
        finally:
            close_old_connections()
        stop.wait(every_s)


def ask_for_signs() -> None:
    """Ask the worker of each queue to show that it lives."""
    publish("trades.show_life")
    publish("trades.show_life_execution")


def show_life(queue: str, *, now: datetime) -> None:
    """The worker of this queue lives."""
    pulses.beat(pulses.worker(queue), now=now)


def unresolved(now: datetime) -> Iterator[Standing]:
    """Everything that is beyond its bound, or may be."""
    yield from of_trades(now)
    yield from _second_people(now)
    yield from _keys(now)
    yield from _connections(now)
    yield from _parts(now)
    yield from _audit_log(now)
    yield from _index(now)
    yield from _channels()


def _resumed_at(now: datetime) -> datetime | None:
    """When sweeps began again after a while without any; None where they were never known to stop."""
    last = audit.pulse_at(pulses.SWEEP)
    if last is None or now - last > OFF_AFTER:
        pulses.beat(pulses.RESUMED, now=now)
    pulses.beat(pulses.SWEEP, now=now)
    return audit.pulse_at(pulses.RESUMED)


def _second_people(now: datetime) -> Iterator[Standing]:
    within = settings.ALARM_SECOND_PERSON_EXPIRES_WITHIN_S
    for row in requests_waiting(now):
        yield Standing(
            code="SECOND_PERSON_NEAR_EXPIRY",
            subject=f"second_person:{row.pk}",
            message=f"{row.kind} waits for a second person until {time_of_day(row.expires_at)}: {row.summary}",
            since=near_end(created_at=row.requested_at, expires_at=row.expires_at, within_s=within),
            bound_s=0,
            by_us=False,
        )


def _keys(now: datetime) -> Iterator[Standing]:
    """Whole keys that came from elsewhere, until the key has ended or has not come from there for a day."""
    for key in keys_refused_since(now - KEY_REFUSED_COUNTS, now)[:KEYS_MAX]:
        since, address = key.refused_at or now, key.refused_address or "nowhere known"
        yield Standing(
            code="KEY_USED_ELSEWHERE",
            subject=f"api_key:{key.pk}",
            message=f"The key {key.prefix} of {key.owner.shown_name} came from {address} at {time_of_day(since)}, "
            f"which is in none of its networks. It was refused.",
            since=since,
            bound_s=0,
            by_us=False,
        )


def _feeds(rows: "Iterable[Connection]", known: Mapping[str, datetime]) -> Iterator[Standing]:
    """One per market that can be listened to, since when its feed was last whole and told prices."""
    created: dict[str, datetime] = {}
    for row in rows:
        if has_market_socket(row):
            market = market_of(row)
            created[market] = min(created.get(market, row.created_at), row.created_at)
    for market, created_at in sorted(created.items()):
        live_at = known.get(pulses.feed(market), created_at)
        yield Standing(
            code="FEED_DOWN",
            subject=pulses.feed(market),
            message=f"The feed of {market} was last live at {time_of_day(live_at)}.",
            since=live_at,
            bound_s=settings.ALARM_FEED_DOWN_S,
        )


def _connections(now: datetime) -> Iterator[Standing]:
    known = audit.pulses()
    rows = list(active_connections())
    yield from _feeds(rows, known)
    for row in rows:
        about = f"connection:{row.pk}"
        read_at = min(as_of or row.created_at for as_of in (row.balances_as_of, row.instruments_as_of, row.fees_as_of))
        yield Standing(
            code="MARKET_FACTS_OLD",
            subject=about,
            message=f"Balances, instruments or fees of {row.name} were last read at {time_of_day(read_at)}.",
            since=read_at,
            bound_s=settings.ALARM_MARKET_FACTS_OLD_S,
        )
        heard_at = known.get(pulses.prices(row.pk), row.created_at)
        yield Standing(
            code="PRICES_SILENT",
            subject=about,
            message=f"The poller last got through to {row.name} at {time_of_day(heard_at)}.",
            since=heard_at,
            bound_s=settings.ALARM_PRICES_SILENT_S,
        )
        if not row.tells_orders:
            continue
        live_at = known.get(pulses.user_channel(row.pk), row.created_at)
        yield Standing(
            code="USER_CHANNEL_SILENT",
            subject=about,
            message=f"The user channel of {row.name} was last live at {time_of_day(live_at)}.",
            since=live_at,
            bound_s=settings.ALARM_USER_CHANNEL_SILENT_S,
        )


def _parts(now: datetime) -> Iterator[Standing]:
    known = audit.pulses()
    began = known.get(pulses.RESUMED, now)
    beaten_at = known.get(pulses.BEAT, began)
    yield Standing(
        code="BEAT_SILENT",
        subject="beat",
        message=f"Nothing has run by the clock since {time_of_day(beaten_at)}.",
        since=beaten_at,
        bound_s=settings.ALARM_BEAT_SILENT_S,
    )
    for queue in QUEUES:
        seen_at = known.get(pulses.worker(queue), began)
        yield Standing(
            code="WORKER_SILENT",
            subject=f"worker:{queue}",
            message=f"The worker of the queue {queue} last answered at {time_of_day(seen_at)}.",
            since=seen_at,
            bound_s=settings.ALARM_WORKER_SILENT_S,
        )


def _audit_log(now: datetime) -> Iterator[Standing]:
    behind = audit.unsealed(now)
    if behind is not None:
        yield Standing(
            code="AUDIT_CHECKPOINT_LATE",
            subject="audit:seals",
            message=f"{behind.events} events are in no checkpoint, the oldest of {time_of_day(behind.oldest_at)}.",
            since=behind.oldest_at,
            bound_s=settings.ALARM_AUDIT_CHECKPOINT_LATE_S,
            extent=behind.events,
        )
    verified_at = audit.verified_at()
    if verified_at is not None:
        yield Standing(
            code="AUDIT_VERIFICATION_LATE",
            subject="audit:log",
            message=f"The whole audit log was last verified at {verified_at:%Y-%m-%d %H:%M:%S} UTC, if ever.",
            since=verified_at,
            bound_s=settings.ALARM_AUDIT_VERIFICATION_LATE_S,
        )


def _index(now: datetime) -> Iterator[Standing]:
    lag = index_lag(now)
    if lag.oldest_at is not None:
        yield Standing(
            code="INDEX_BEHIND",
            subject="lessons:index",
            message=f"{lag.pending} texts wait for the vector index, the oldest since {time_of_day(lag.oldest_at)}.",
            since=lag.oldest_at,
            bound_s=settings.ALARM_INDEX_BEHIND_S,
            extent=lag.pending,
        )


def _channels() -> Iterator[Standing]:
    for failing in audit.failing_channels():
        yield Standing(
            code="ALARM_NOT_DELIVERED",
            subject=f"channel:{failing.channel.lower()}",
            message=f"Alarms have not got out by {failing.channel.lower()} since {time_of_day(failing.since)}; "
            f"last answer: {failing.answer}",
            since=failing.since,
            bound_s=settings.ALARM_NOT_DELIVERED_S,
        )
