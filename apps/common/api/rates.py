"""How often a caller may ask: per key, or per person where there is none, by the minute."""

import time
from typing import Final

from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

WINDOW_S: Final = 60
_KEPT_MAX: Final = 4096
_over: dict[str, int] = {}
READS: Final = ("GET", "HEAD", "OPTIONS")


class CallerRate(BaseThrottle):
    """A sliding count over two fixed minutes: one atomic increment of the cache per request, and one read of it
    per minute, caller and process.

    What was asked in the minute before counts with the part of it that still lies within the last 60 s. Rates are
    REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], `read` and `write`. Refused requests count too.
    """

    def __init__(self) -> None:
        self._wait_s: float | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Whether this request is within the rate of its caller."""
        name = "read" if request.method in READS else "write"
        allowed = int(str(api_settings.DEFAULT_THROTTLE_RATES[name]).partition("/")[0])
        window, into = divmod(time.time(), WINDOW_S)
        caller = getattr(request.auth, "pk", None) or request.user.pk
        key = f"rate:{name}:{caller}"
        count = _count(f"{key}:{int(window)}")
        before = _before(f"{key}:{int(window) - 1}")
        if count + before * (1 - into / WINDOW_S) <= allowed:
            return True
        self._wait_s = WINDOW_S - into
        return False

    def wait(self) -> float | None:
        """Seconds until it is worth asking again."""
        return self._wait_s


def _before(key: str) -> int:
    """The count of the minute before. It is over, so this process asks once."""
    found = _over.get(key)
    if found is None:
        if len(_over) >= _KEPT_MAX:
            _over.clear()
        found = _over[key] = cache.get(key, 0)
    return found


def _count(key: str) -> int:
    try:
        return cache.incr(key)
    except ValueError:
        # Two may find none at once: only one adds it, and both count.
        cache.add(key, 0, timeout=2 * WINDOW_S)
        return cache.incr(key)
