"""Two questions a machine asks: is the process alive (`/healthz`), and may it get traffic (`/readyz`)?"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.dashboard.services.parts import broker_trouble, database_trouble

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
        return Readiness(tuple(Part(name, look()) for name, look in looks), time.monotonic())

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
    """Ready: 200 where database, migrations and broker answer, else 503; with the age of the finding."""
    found = readiometer.read()
    body = {
        "ready": found.ready,
        "age_s": f"{time.monotonic() - found.found_at:.3f}",
        "parts": {part.name: part.trouble or "ok" for part in found.parts},
    }
    return JsonResponse(body, status=200 if found.ready else 503)
