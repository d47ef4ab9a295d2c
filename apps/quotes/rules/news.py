"""Of two prices of one instrument from two sources, which is the one to keep."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

LATE: Final = timedelta(seconds=2)
"""A price told by a socket is not taken when it is older than this by the venue's clock: either what is told is old, or
that clock is wrong, and the two cannot be told apart. The venue is asked instead."""


class Moment(NamedTuple):
    """When a price was so by the venue's clock and when we heard it, in microseconds since 1970, and what it was."""

    occurred: int
    received: int
    prices: tuple[str, str]


def is_late(occurred_at: datetime, received_at: datetime) -> bool:
    """Whether a told price was old when it came."""
    return received_at - occurred_at > LATE


def is_news(offered: Moment, known: Moment | None, *, asked: bool) -> bool:
    """Whether `offered` replaces `known`: the newer `occurred_at` does, whatever the source.

    A venue's clock ahead of ours makes nothing newer than the moment we heard it, and once it is put right does not
    keep newer prices out. A message that repeats an instant is no news, or prices that stand still would look fresh. An
    answer to our own question (`asked`) is: the venue has just said that it is still so, even where it names the
    instant of the last change.
    """
    if known is None:
        return True
    if offered.occurred == known.occurred:
        return asked and offered.received >= known.received
    if min(offered.occurred, offered.received) > min(known.occurred, known.received):
        return True
    return asked and offered.prices == known.prices and offered.received >= known.received
