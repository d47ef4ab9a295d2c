"""Our own brake in front of the venue's: 100 requests a minute for each user, 300 in a burst (coinbase.md 8)."""

import time
from collections.abc import Callable
from threading import Condition

from apps.connectors.errors import RateLimited

# A bucket lets `BURST` through at once and `PER_MINUTE` after it: no window of a minute sees more than their sum, 300.
PER_MINUTE = 100.0
BURST = 200.0
PAUSE_S = 5.0


class RateLimiter:
    """Waits for room, at most until the caller's deadline. Thread safe; one per process and connection."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._room = Condition()
        self._tokens = BURST
        self._filled_at = clock()
        self._paused_until = self._filled_at

    def acquire(self, *, deadline: float) -> None:
        """Take one request's room. Raises RateLimited where there is none before `deadline` (of the same clock)."""
        with self._room:
            while (wait := self._wait_s()) > 0:
                left = deadline - self._clock()
                if wait > left:
                    raise RateLimited(
                        "VENUE_RATE_LIMIT",
                        "The venue's rate limit leaves no room for this request now. Nothing was sent.",
                        fix="Try again in a minute.",
                    )
                self._room.wait(wait)
            self._tokens -= 1

    def pause(self, seconds: float = PAUSE_S) -> None:
        """The venue said 429: let nothing through for a while, then begin slowly."""
        with self._room:
            self._tokens = 0.0
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _wait_s(self) -> float:
        now = self._clock()
        since = max(self._filled_at, self._paused_until)
        if now > since:
            self._tokens = min(BURST, self._tokens + (now - since) * PER_MINUTE / 60)
        self._filled_at = now
        return max((1 - self._tokens) * 60 / PER_MINUTE, self._paused_until - now)
