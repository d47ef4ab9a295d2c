"""The state of the feeds as each caller of a socket may see it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from apps.quotes.selectors.feed import feed_record, feed_states

Record = dict[str, Any]


def feed_records(*, now: datetime) -> list[Record]:
    """Every feed's state as JSON."""
    return [feed_record(state, now) for state in feed_states(now=now)]


def feeds_for(connections: Collection[str], records: Sequence[Record] | None) -> list[Record] | None:
    """The feeds that bring prices of these connections, naming no other; None where how the feeds are is not known."""
    if records is None:
        return None
    shown = []
    for record in records:
        mine = [slug for slug in record["connections"] if slug in connections]
        if mine:
            shown.append({**record, "connections": mine})
    return shown
