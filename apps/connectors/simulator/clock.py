"""Two times: the wall's, which dates rows and tokens, and the path's step, which a test may freeze and move."""

import time
from datetime import UTC, datetime


class Clock:
    """One per process: a wrong clock (`skew_s`) dates everything wrongly by the same seconds.

    Step n of the price path is second n since 1970, unless frozen at a step of the test's choosing."""

    skew_s = 0

    def __init__(self) -> None:
        self._frozen_at: int | None = None

    @property
    def frozen(self) -> bool:
        """Whether the path stands still."""
        return self._frozen_at is not None

    @property
    def step(self) -> int:
        """The current step of the price path, which is also the market's time in epoch seconds."""
        return int(time.time()) + self.skew_s if self._frozen_at is None else self._frozen_at

    def freeze(self, step: int | None = None) -> None:
        """Stop the path here, or at `step`."""
        self._frozen_at = self.step if step is None else step

    def release(self) -> None:
        """Let the path follow the wall clock again."""
        self._frozen_at = None

    @staticmethod
    def micros() -> int:
        """Wall clock in microseconds since 1970."""
        return time.time_ns() // 1000 + Clock.skew_s * 1_000_000


def rfc3339(micros: int) -> str:
    """`2024-01-15T10:30:00.123456Z`."""
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def micros_of(text: str) -> int | None:
    """Microseconds of an RFC 3339 time with a zone, or None."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
