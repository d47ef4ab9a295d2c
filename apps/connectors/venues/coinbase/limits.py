"""Our own brake in front of the venue's: 30 private requests a second and 10,000 an hour per key (coinbase.md 4).

One limiter per process and connection. Orders and cancels go first: reads leave them room in both budgets.
"""

import time
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from threading import Condition

from apps.connectors.errors import RateLimited

# A bucket lets `BURST` through at once and `PER_SECOND` after it: no window of one second sees more than their sum, 30.
BURST = 10.0
PER_SECOND = 20.0
RESERVED_BURST = 3
PER_HOUR = 10_000
RESERVED_HOUR = 500
PAUSE_S = 1.0


class Priority(IntEnum):
    ORDER = 0
    READ = 1


class RateLimiter:
    """Waits for room, at most until the caller's deadline. Thread safe."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._room = Condition()
        self._tokens = BURST
        self._filled_at = clock()
        self._paused_until = self._filled_at
        self._orders_waiting = 0
        self._minutes: deque[tuple[int, int]] = deque()

    def acquire(self, priority: Priority, *, deadline: float) -> None:
        """Take one request's room. Raises RateLimited where there is none before `deadline` (of the same clock)."""
        with self._room:
            if priority is Priority.ORDER:
                self._orders_waiting += 1
            try:
                self._wait(priority, deadline)
                self._tokens -= 1
                self._count()
            finally:
                if priority is Priority.ORDER:
                    self._orders_waiting -= 1
                    self._room.notify_all()

    def pause(self, seconds: float = PAUSE_S) -> None:
        """The venue said 429: let nothing through for a while, then begin slowly."""
        with self._room:
            self._tokens = 0.0
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def used_this_hour(self) -> int:
        """Requests of the last 60 to 61 minutes."""
        with self._room:
            self._forget()
            return sum(count for _, count in self._minutes)

    def _wait(self, priority: Priority, deadline: float) -> None:
        while True:
            self._refill()
            self._refuse_past_budget(priority)
            wait = self._wait_s(priority)
            if wait <= 0:
                return
            left = deadline - self._clock()
            if wait > left:
                raise RateLimited(
                    "VENUE_RATE_LIMIT",
                    "The venue's rate limit leaves no room for this request now. Nothing was sent.",
                    fix="Try again in a few seconds.",
                )
            self._room.wait(min(wait, left))

    def _wait_s(self, priority: Priority) -> float:
        now = self._clock()
        needed = 1.0 if priority is Priority.ORDER else 1.0 + RESERVED_BURST
        wait = max(self._paused_until - now, (needed - self._tokens) / PER_SECOND)
        if priority is Priority.READ and self._orders_waiting:
            wait = max(wait, 1 / PER_SECOND)
        return wait

    def _refill(self) -> None:
        now = self._clock()
        since = max(self._filled_at, self._paused_until)
        if now > since:
            self._tokens = min(BURST, self._tokens + (now - since) * PER_SECOND)
        self._filled_at = now

    def _refuse_past_budget(self, priority: Priority) -> None:
        self._forget()
        allowed = PER_HOUR if priority is Priority.ORDER else PER_HOUR - RESERVED_HOUR
        if sum(count for _, count in self._minutes) >= allowed:
            raise RateLimited(
                "VENUE_HOURLY_BUDGET",
                f"The {PER_HOUR} requests the venue allows in an hour are used. Nothing was sent.",
                fix="Wait some minutes, or poll fewer instruments.",
            )

    def _forget(self) -> None:
        oldest = int(self._clock() // 60) - 60
        while self._minutes and self._minutes[0][0] < oldest:
            self._minutes.popleft()

    def _count(self) -> None:
        minute = int(self._clock() // 60)
        if self._minutes and self._minutes[-1][0] == minute:
            self._minutes[-1] = (minute, self._minutes[-1][1] + 1)
        else:
            self._minutes.append((minute, 1))
