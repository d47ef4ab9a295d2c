"""What all processes together have counted: how long things took, in buckets, and how many of something each holds now.

The sums lie in the shared cache, so that whichever process is asked says the same. They begin again where the cache is
emptied, as counters may. Counting never fails an act: without the cache nothing is counted.
"""

import logging
import os
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.core.cache import cache
from redis.exceptions import RedisError

SEPARATOR: Final = "\x1f"
HELD_FOR_S: Final = 20
"""What a process said it holds is forgotten after so long without a word: it may be gone."""
_TIMES: Final = "tallies:times"
_HELD: Final = "tallies:held"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Times of one kind, counted in buckets up to and including each bound (seconds, as Prometheus writes them)."""

    name: str
    about: str
    labels: tuple[str, ...] = ()
    bounds_ms: tuple[int, ...]

    def bucket(self, taken_us: int) -> int:
        """The number of the first bucket that holds it; beyond all bounds it is the last, which has none."""
        return next(
            (number for number, bound in enumerate(self.bounds_ms) if taken_us <= bound * 1000), len(self.bounds_ms)
        )


DECISION: Final = Span(
    name="aika_proposal_decision_seconds",
    about="From a proposal's arrival to the commit of what policy said of it, by the state it was stored in.",
    labels=("state",),
    bounds_ms=(5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000),
)
APPROVAL: Final = Span(
    name="aika_proposal_approval_seconds",
    about="From a proposal to the vote that completed its quorum.",
    bounds_ms=(5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 900_000, 3_600_000, 14_400_000),
)
VENUE: Final = Span(
    name="aika_venue_call_seconds",
    about="From a request to a venue to the end of its answer, by host, method and outcome.",
    labels=("host", "method", "outcome"),
    bounds_ms=(10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000),
)
SPANS: Final = (DECISION, APPROVAL, VENUE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Times of one kind and one set of labels: how many in each bucket, and their sum in microseconds."""

    labels: tuple[str, ...]
    buckets: tuple[int, ...]
    sum_us: int


def took(span: Span, taken_us: int, **labels: str) -> None:
    """One more that took so long. Outside a transaction, or after its commit: what is rolled back did not happen."""
    took_each(span, taken_us, [labels])


def took_each(span: Span, taken_us: int, each: Sequence[Mapping[str, str]]) -> None:
    """As `took`, for several that took the same, by their labels, in one round trip."""
    taken_us, counts = max(taken_us, 0), Counter[str]()
    for labels in each:
        values = SEPARATOR.join((span.name, *(labels[name] for name in span.labels)))
        counts.update({f"{values}{SEPARATOR}{span.bucket(taken_us)}": 1, f"{values}{SEPARATOR}us": taken_us})
    try:
        _shared().add_up(_TIMES, counts)
    except (RedisError, OSError) as error:
        logger.debug("NOT_COUNTED: %s (%s).", span.name, type(error).__name__)


def times(span: Span) -> Iterator[Counted]:
    """All that was counted of a kind, by labels."""
    found: dict[tuple[str, ...], dict[str, int]] = {}
    for key, count in _read(_TIMES).items():
        name, *values, what = key.split(SEPARATOR)
        if name == span.name:
            found.setdefault(tuple(values), {})[what] = count
    for labels, counts in sorted(found.items()):
        buckets = tuple(counts.get(str(number), 0) for number in range(len(span.bounds_ms) + 1))
        yield Counted(labels=labels, buckets=buckets, sum_us=counts.get("us", 0))


def hold(name: str, number: int, *, at_s: int) -> None:
    """This process holds so many of them, as of that second of the epoch."""
    of = SEPARATOR.join((name, f"{socket.gethostname()}:{os.getpid()}"))
    try:
        _shared().put_in(_HELD, {f"{of}{SEPARATOR}number": number, f"{of}{SEPARATOR}at": at_s})
    except (RedisError, OSError) as error:
        logger.debug("NOT_COUNTED: %s (%s).", name, type(error).__name__)


def held(name: str, *, at_s: int) -> int:
    """How many of them all processes hold that said so lately."""
    said = _read(_HELD)
    lately = [
        key.rpartition(SEPARATOR)[0]
        for key, when in said.items()
        if key.startswith(f"{name}{SEPARATOR}") and key.endswith(f"{SEPARATOR}at") and at_s - when <= HELD_FOR_S
    ]
    return sum(said.get(f"{of}{SEPARATOR}number", 0) for of in lately)


def _read(key: str) -> Mapping[str, int]:
    try:
        found: Mapping[str, int] = _shared().numbers(key)
    except (RedisError, OSError):
        return {}
    return found


def _shared() -> Any:
    return cache
