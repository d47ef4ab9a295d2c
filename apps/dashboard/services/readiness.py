"""May this process get traffic, and how does what stands behind it do?

Without database, migrations, broker and channel layer a process is of no use: it gets no traffic. A silent beat, a dead
feed or a vector index that is away leave it its work, and people a door to halt by: they are said, and take none away.
Kinds of trouble only: no name, no address.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from redis.exceptions import RedisError

from apps.audit.selectors import pulse_at
from apps.audit.services import pulses
from apps.common.errors import AikaError
from apps.common.words import seconds_between
from apps.dashboard.services.parts import broker_trouble, database_trouble, layer_trouble
from apps.lessons.selectors.index import index_lag
from apps.lessons.services.spaces import ask_server
from apps.quotes.selectors.feed import feed_states
from apps.quotes.types import FeedState, FeedWord

logger = logging.getLogger(__name__)

# A flood of questions asks the database and the broker once per second, not once per question.
KEPT_S: Final = 1.0


class PartState(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"
    NOT_READ = "not read"
    """What would say it does not answer itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing that is needed or used. `trouble` is empty where it is well.

    `age_s` is how old the newest sign of life is, or how long the oldest text has waited for the vector index; None
    where the look itself is the sign, or nothing was ever heard.
    """

    name: str
    state: PartState = PartState.OK
    is_needed: bool = False
    trouble: str = ""
    age_s: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What was found, and when on the monotonic clock. `feeds` counts them by state."""

    parts: tuple[Part, ...]
    found_at: float
    feeds: Mapping[str, int]

    @property
    def state(self) -> PartState:
        """The worst of all parts."""
        found = {part.state for part in self.parts}
        return (
            PartState.FAILED
            if PartState.FAILED in found
            else (PartState.OK if found == {PartState.OK} else PartState.DEGRADED)
        )

    @property
    def ready(self) -> bool:
        """Whether this process should get traffic."""
        return self.state is not PartState.FAILED


class Readiometer:
    """The newest finding, kept for KEPT_S; one thread looks, the others wait for what it finds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Readiness | None = None
        self._migrated = False

    def read(self, *, now: datetime) -> Readiness:
        """A finding at most KEPT_S old; a new one is as of `now`."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last.found_at > KEPT_S:
                self._last = self._look(now)
            return self._last

    def _look(self, now: datetime) -> Readiness:
        looks: tuple[tuple[str, Callable[[], str]], ...] = (
            ("database", database_trouble),
            ("migrations", self._migration_trouble),
            ("broker", broker_trouble),
            ("layer", layer_trouble),
        )
        needed = tuple(_needed(name, look()) for name, look in looks)
        well = all(part.state is PartState.OK for part in needed)
        feeds = _feeds(now) if well else None
        used = _used(feeds, now) if well else (Part(name=name, state=PartState.NOT_READ) for name in _USED)
        return Readiness(
            parts=(*needed, *used),
            found_at=time.monotonic(),
            feeds=dict(Counter(feed.state.value for feed in feeds or ())),
        )

    def _migration_trouble(self) -> str:
        """Looked up until nothing is missing: this process's own migrations cannot become unapplied."""
        if not self._migrated:
            try:
                executor = MigrationExecutor(connection)
                missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
            except Error as error:
                return f"cannot be read ({type(error).__name__})"
            if missing:
                return f"{len(missing)} not applied, first {missing[0][0]}"
            self._migrated = True
        return ""


_USED: Final = ("beat", "feed", "vectors")


def _needed(name: str, trouble: str) -> Part:
    state = PartState.FAILED if trouble else PartState.OK
    return Part(name=name, state=state, is_needed=True, trouble=trouble)


def _used(feeds: list[FeedState] | None, now: datetime) -> Iterator[Part]:
    yield _beat(now)
    yield _feed(feeds, now)
    yield _vectors(now)


def _part(name: str, trouble: str, age_s: Decimal | None) -> Part:
    return Part(name=name, state=PartState.DEGRADED if trouble else PartState.OK, trouble=trouble, age_s=age_s)


def _beat(now: datetime) -> Part:
    at = pulse_at(pulses.BEAT)
    if at is None:
        return _part("beat", "has not been heard of", None)
    age_s = _age(at, now)
    return _part("beat", "silent" if age_s > settings.ALARM_BEAT_SILENT_S else "", age_s)


def _feeds(now: datetime) -> list[FeedState] | None:
    try:
        return feed_states(now=now)
    except (Error, OSError, RedisError) as error:
        logger.warning("FEEDS_NOT_READ: /readyz does not say how the feeds do (%s).", type(error).__name__)
        return None


def _feed(feeds: list[FeedState] | None, now: datetime) -> Part:
    """The one heard of longest ago, of all markets that can be followed."""
    if feeds is None:
        return Part(name="feed", state=PartState.NOT_READ)
    dead = sum(feed.state is not FeedWord.LIVE for feed in feeds)
    ages = [None if feed.heard_at is None else _age(feed.heard_at, now) for feed in feeds]
    oldest = None if None in ages else max((age for age in ages if age is not None), default=None)
    return _part("feed", f"{dead} of {len(feeds)} not live" if dead else "", oldest)


def _vectors(now: datetime) -> Part:
    lag = index_lag(now)
    age_s = Decimal(lag.oldest_age_s)
    try:
        ask_server()
    except AikaError as error:
        return _part("vectors", error.code, age_s)
    return _part("vectors", "behind" if age_s > settings.ALARM_INDEX_BEHIND_S else "", age_s)


def _age(at: datetime, now: datetime) -> Decimal:
    return max(seconds_between(at, now), Decimal(0))
