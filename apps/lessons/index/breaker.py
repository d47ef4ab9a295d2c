"""After a failure nobody waits for the index again for a while: it is said to be down at once."""

import threading
import time
from collections.abc import Callable
from typing import Final

OPEN_S: Final = 30.0


class Breaker:
    """Closed until a call fails; then open for `open_s`; then one call may try, and the others still may not."""

    def __init__(self, *, open_s: float = OPEN_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._open_s = open_s
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = True
        self._next_try = 0.0

    def may_pass(self) -> bool:
        """Whether a call may be made now. Whoever gets a yes says `succeeded` or `failed` afterwards."""
        with self._lock:
            if self._closed:
                return True
            now = self._clock()
            if now < self._next_try:
                return False
            self._next_try = now + self._open_s  # this one tries; should it never come back, the next one may
            return True

    def succeeded(self) -> None:
        """The index answered."""
        with self._lock:
            self._closed = True

    def failed(self) -> None:
        """It did not."""
        with self._lock:
            self._closed = False
            self._next_try = self._clock() + self._open_s

    @property
    def seconds_left(self) -> float:
        """How long until somebody may try; 0 when calls pass."""
        with self._lock:
            return 0.0 if self._closed else max(0.0, self._next_try - self._clock())
