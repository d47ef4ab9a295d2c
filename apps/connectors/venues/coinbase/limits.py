"""Our own brake in front of the venue's: 30 private requests a second and 10,000 an hour per key (coinbase.md 4).

One limiter per process and connection. Cancels go first, then orders, then reads. Each leaves room for those before it
in both budgets, so that whatever used them up, a cancel still leaves at once.
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
# What nobody but cancels may use up, and what reads leave for orders and cancels together.
CANCEL_BURST = 1.0
RESERVED_BURST = 3
PER_HOUR = 10_000
CANCEL_HOUR = 100
RESERVED_HOUR = 500
PAUSE_S = 1.0


class Priority(IntEnum):
    """Who goes first. CANCEL is also the look whether anything is still open: without it a cancel proves nothing."""

    CANCEL = 0
    ORDER = 1
    READ = 2


_LEFT_BURST = {Priority.CANCEL: 0, Priority.ORDER: CANCEL_BURST, Priority.READ: RESERVED_BURST}
_LEFT_HOUR = {Priority.CANCEL: 0, Priority.ORDER: CANCEL_HOUR, Priority.READ: RESERVED_HOUR}


class RateLimiter:
    """Waits for room, at most until the caller's deadline. Thread safe."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._room = Condition()
        self._tokens = BURST
        self._filled_at = clock()
        self._paused_until = self._filled_at
        self._waiting = dict.fromkeys(Priority, 0)
        self._minutes: deque[tuple[int, int]] = deque()

    def acquire(self, priority: Priority, *, deadline: float) -> None:
        """Take one request's room. Raises RateLimited where there is none before `deadline` (of the same clock)."""
        with self._room:
            self._waiting[priority] += 1
            try:
                self._wait(priority, deadline)
                self._tokens -= 1
                self._count()
            finally:
                self._waiting[priority] -= 1
                self._room.notify_all()

    def pause(self, seconds: float = PAUSE_S) -> None:
        """The venue said 429: let nothing through for a while but what is left to cancel with, then begin slowly."""
        with self._room:
            self._tokens = min(self._tokens, CANCEL_BURST)
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
        needed = 1.0 + _LEFT_BURST[priority]
        wait = (needed - self._tokens) / PER_SECOND
        if wait > 0 or priority is not Priority.CANCEL:
            wait = max(wait, self._paused_until - now)
        if any(self._waiting[other] for other in Priority if other < priority):
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
        allowed = PER_HOUR - _LEFT_HOUR[priority]
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
