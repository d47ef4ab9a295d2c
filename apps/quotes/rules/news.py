"""Of two prices of one instrument from two sources, which is the one to keep."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

LATE: Final = timedelta(seconds=2)
"""A price told by a socket is not taken when it is older than this by the venue's clock: either what is told is old, or
that clock is wrong, and the two cannot be told apart. The venue is asked instead."""


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Moment(NamedTuple):
    """When a price was so by the venue's clock and when we heard it, in microseconds since 1970, and what it was."""

    occurred: int
    received: int
    prices: tuple[str | Decimal, str | Decimal]


def micros(instant: datetime) -> int:
    """Whole microseconds since 1970."""
    return (instant - _EPOCH) // _MICROSECOND


def is_late(occurred_at: datetime, received_at: datetime) -> bool:
    """Whether a told price was old when it came."""
    return received_at - occurred_at > LATE


def is_newer(occurred: int, received: int, known_occurred: int, known_received: int) -> bool:
    """Whether the one is news beside the other by its time alone, whatever the prices are, and whoever told of them:
    nearly always that is all there is to look at. In microseconds, as `Moment` has them."""
    return occurred != known_occurred and min(occurred, received) > min(known_occurred, known_received)


def is_news(offered: Moment, known: Moment | None, *, asked: bool) -> bool:
    """Whether `offered` replaces `known`: the newer `occurred_at` does, whatever the source.

    A venue's clock ahead of ours makes nothing newer than the moment we heard it, and once it is put right does not
    keep newer prices out. A message that repeats an instant is no news, or prices that stand still would look fresh. An
    answer to our own question (`asked`) is: the venue has just said that it is still so, even where it names the
    instant of the last change.
    """
    if known is None:
        return True
    if is_newer(offered.occurred, offered.received, known.occurred, known.received):
        return True
    if offered.occurred == known.occurred:
        return asked and offered.received >= known.received
    return asked and offered.received >= known.received and _are_same(offered, known)


def _are_same(one: Moment, other: Moment) -> bool:
    """As numbers: a venue may write 1.50 where it is asked and 1.5 where it tells."""
    return all(Decimal(mine) == Decimal(theirs) for mine, theirs in zip(one.prices, other.prices, strict=True))
