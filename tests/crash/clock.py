"""One clock for all processes of a run, which a test moves: nobody waits for a real lease to run out.

The offset lies in memory that forked processes share, so that a process which was held sees that time went by.
"""

import mmap
import struct
from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils import timezone

_FORMAT = "q"
_real_now: Callable[[], datetime] = timezone.now


class Clock:
    """`timezone.now` of this process and of those forked from it, ahead of the real one by what was advanced."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, struct.calcsize(_FORMAT))

    def install(self) -> "Clock":
        """From now on `timezone.now()` is this clock. Call it before anything keeps the old one."""
        timezone.now = self.now
        return self

    def remove(self) -> None:
        """The real clock again."""
        timezone.now = _real_now

    def now(self) -> datetime:
        return _real_now() + timedelta(microseconds=self.ahead)

    @property
    def ahead(self) -> int:
        """Microseconds before the real clock."""
        return int(struct.unpack_from(_FORMAT, self._shared)[0])

    def advance(self, seconds: float) -> None:
        """Let so much time go by; a negative number is a clock that was set back."""
        struct.pack_into(_FORMAT, self._shared, 0, self.ahead + int(seconds * 1_000_000))

    def reset(self) -> None:
        struct.pack_into(_FORMAT, self._shared, 0, 0)
