"""Keeping what decisions stand on fresh: quotes, balances, instruments and fees, all by read-only calls."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.db import DatabaseError, close_old_connections
from redis.exceptions import RedisError

from apps.audit.services import pulses
from apps.common import fault_places as places
from apps.common import faults
from apps.common.errors import AikaError, Unavailable
from apps.connectors.selectors import active_connections
from apps.connectors.services import sync
from apps.connectors.types import Quote
from apps.quotes.selectors.feed import feed_states_of
from apps.quotes.services import quotes
from apps.quotes.types import FeedWord
from apps.trades.selectors.watch import known_watched_codes, watched_codes

if TYPE_CHECKING:
    from apps.connectors.models import Connection

QUOTE_AGE_MAX: Final = timedelta(seconds=2)
BALANCES_AGE_MAX: Final = timedelta(seconds=10)
INSTRUMENTS_AGE_MAX: Final = timedelta(minutes=30)
FEES_AGE_MAX: Final = timedelta(hours=1)
POLL_INTERVAL_S: Final = 1.0

Clock = Callable[[], datetime]

logger = logging.getLogger(__name__)
_asking = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """The moment to decide at: when it was asked, or when the last price came if that was later. `quotes`, by code, are
    those it was judged on."""

    now: datetime
    quotes: Mapping[str, Quote]


def make_fresh(connection: "Connection", codes: Iterable[str], *, now: datetime) -> datetime:
    """As `fresh_market`; only the moment to decide at."""
    return fresh_market(connection, codes, now=now).now


def fresh_market(connection: "Connection", codes: Iterable[str], *, now: datetime) -> Fresh:
    """Bring what a decision on these instruments needs up to date, asking the venue only for what is old.

    Raises Unavailable VENUE_UNAVAILABLE where something is old and the venue does not answer: nothing is decided on it.
    Never inside a transaction.
    """
    try:
        with faults.call(places.MARKET):
            return _refresh_old(connection, tuple(codes), now)
    except Unavailable as error:
        raise Unavailable(
            "VENUE_UNAVAILABLE",
            f"{connection.name} does not answer, and what is known of it is too old to decide on.",
            fix="Nothing was stored. Try again in a few seconds.",
            cause=error.code,
        ) from error


def _refresh_old(connection: "Connection", codes: tuple[str, ...], now: datetime) -> Fresh:
    if _older(connection.instruments_as_of, INSTRUMENTS_AGE_MAX, now):
        sync.refresh_instruments(connection, now=now)
    if _older(connection.fees_as_of, FEES_AGE_MAX, now):
        sync.refresh_fees(connection, now=now)
    if _older(connection.balances_as_of, BALANCES_AGE_MAX, now):
        sync.refresh_balances(connection, now=now)
    wanted = sorted({*codes, *known_watched_codes(connection)})
    known = quotes.latest_of(connection.pk, wanted)
    if _any_old(known, wanted, now):
        # One thread of the process asks the venue; the others take what it learned, if that is enough for them.
        with _asking:
            known = quotes.latest_of(connection.pk, wanted)
            if _any_old(known, wanted, now):
                known = dict(quotes.refresh(connection, wanted))
    return Fresh(now=max([now, *(quote.received_at for quote in known.values())]), quotes=known)


def _any_old(known: Mapping[str, Quote], wanted: Iterable[str], now: datetime) -> bool:
    return any(code not in known or now - known[code].received_at > QUOTE_AGE_MAX for code in wanted)


def _older(instant: datetime | None, bound: timedelta, now: datetime) -> bool:
    return instant is None or now - instant > bound


def poll_once(connection: "Connection", *, now: datetime) -> None:
    """One round for one connection: quotes of what is waiting or open and not fresh from the feed, and whatever else
    has grown old."""
    codes = sorted(watched_codes(connection))
    if any(feed.state is FeedWord.LIVE for feed in feed_states_of([connection], now=now)):
        known = quotes.latest_of(connection.pk, codes)
        codes = [code for code in codes if _any_old(known, [code], now)]
    quotes.refresh(connection, codes)
    if _older(connection.balances_as_of, BALANCES_AGE_MAX / 2, now):
        sync.refresh_balances(connection, now=now)


def run_poller(stop: threading.Event, *, clock: Clock) -> None:
    """Poll every active connection once a second until `stop` is set. One per venue: run it in one process only. A
    database or cache that does not answer is waited for."""
    failing: set[str] = set()
    heart = pulses.Heart()
    while not stop.is_set():
        try:
            poll_all(failing, clock=clock, heart=heart)
        except DatabaseError:
            logger.exception("Prices are not asked for: the poller waits for the database.")
        except RedisError as error:
            logger.warning("Prices are not asked for: the poller waits for the cache (%s).", error)
        finally:
            close_old_connections()
        stop.wait(POLL_INTERVAL_S)


def poll_all(failing: set[str], *, clock: Clock, heart: pulses.Heart | None = None) -> None:
    """One round over every active connection. `failing` holds the slugs of those that did not answer, over rounds; each
    that does is a sign of life."""
    heart = heart or pulses.Heart()
    for connection in active_connections():
        try:
            poll_once(connection, now=clock())
        except AikaError as error:
            # Said once per outage: the age of every number says the rest, and old numbers decide nothing.
            if connection.slug not in failing:
                logger.warning("%s: prices are not refreshed (%s).", connection.slug, error.code)
                failing.add(connection.slug)
        else:
            heart.beat(pulses.prices(connection.pk), now=clock())
            if connection.slug in failing:
                logger.info("%s: prices are refreshed again.", connection.slug)
                failing.discard(connection.slug)
