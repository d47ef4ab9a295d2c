"""How the feed of a connection does, and each instrument's last message, for who may see the connection."""

from dataclasses import dataclass
from datetime import datetime

from apps.accounts.types import Principal
from apps.quotes.selectors.feed import feed_of, told_of
from apps.quotes.services.board import connection_named
from apps.quotes.types import FeedState, Told


@dataclass(frozen=True, slots=True)
class FeedTold:
    """`state` is None where the venue has no socket, and prices are only asked for; `told` is the longest ago first.

    `left_out` says how many more there are.
    """

    state: FeedState | None
    told: list[Told]
    left_out: int


def feed_told(*, principal: Principal, connection: str, limit: int, now: datetime) -> FeedTold:
    """At most `limit` instruments. Raises NotFound CONNECTION_UNKNOWN."""
    found = connection_named(principal, connection)
    state = feed_of(found, now=now)
    told = [] if state is None else told_of(found, state)
    return FeedTold(state, told[:limit], max(len(told) - limit, 0))
