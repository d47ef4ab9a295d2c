"""Two questions a machine asks: is the process alive (`/healthz`), and may it get traffic (`/readyz`)?"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from apps.dashboard.services.parts import broker_trouble, database_trouble
from apps.quotes.selectors.feed import feed_states

logger = logging.getLogger(__name__)

# A flood of questions asks the database and the broker once per second, not once per question.
KEPT_S = 1.0


@dataclass(frozen=True)
class Part:
    """One thing traffic needs: its name, and what is wrong with it (empty: nothing)."""

    name: str
    trouble: str


@dataclass(frozen=True)
class Readiness:
    """What was found, and when on the monotonic clock."""

    parts: tuple[Part, ...]
    found_at: float
    feeds: Mapping[str, int]
    """How many feeds are in which state. They take no traffic away: pages and API say how old prices are."""

    @property
    def ready(self) -> bool:
        """Whether nothing is wrong."""
        return not any(part.trouble for part in self.parts)


class Readiometer:
    """The newest finding, kept for KEPT_S; one thread looks, the others wait for what it finds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Readiness | None = None
        self._migrated = False

    def read(self) -> Readiness:
        """A finding at most KEPT_S old."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last.found_at > KEPT_S:
                self._last = self._look()
            return self._last

    def _look(self) -> Readiness:
        looks: tuple[tuple[str, Callable[[], str]], ...] = (
            ("database", database_trouble),
            ("migrations", self._migration_trouble),
            ("broker", broker_trouble),
        )
        parts = tuple(Part(name, look()) for name, look in looks)
        feeds = {} if any(part.trouble for part in parts) else self._feeds()
        return Readiness(parts, time.monotonic(), feeds)

    def _feeds(self) -> dict[str, int]:
        try:
            return dict(Counter(feed.state.value for feed in feed_states(now=timezone.now())))
        except (Error, OSError, RedisError) as error:
            logger.warning("FEEDS_NOT_READ: /readyz does not say how the feeds do (%s).", type(error).__name__)
            return {}

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


readiometer = Readiometer()


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Alive: the process answers. Touches nothing else, or a database's bad minute would restart every process."""
    return JsonResponse({"alive": True})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Ready: 200 where database, migrations and broker answer, else 503; with the age of the finding, and the feeds."""
    found = readiometer.read()
    body = {
        "ready": found.ready,
        "age_s": f"{time.monotonic() - found.found_at:.3f}",
        "parts": {part.name: part.trouble or "ok" for part in found.parts},
        "feeds": found.feeds,
    }
    return JsonResponse(body, status=200 if found.ready else 503)
