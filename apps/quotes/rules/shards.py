"""How the instruments of a market are spread over its sockets."""

from collections.abc import Iterable, Sequence

SHARD_SIZE = 250
"""Instruments of one socket. The venue names no bound (coinbase.md 4); what one loss takes away is bounded here."""

Shard = frozenset[str]


def plan(current: Sequence[Shard], wanted: Iterable[str], size: int = SHARD_SIZE) -> list[Shard]:
    """The sockets there should be: as few of the current ones change as can be, none is empty, none above `size`."""
    left = set(wanted)
    kept = [shard & left for shard in current]
    left -= {code for shard in kept for code in shard}
    new = sorted(left, reverse=True)
    planned = []
    for shard in kept:
        if not shard:
            continue
        room = max(size - len(shard), 0)
        planned.append(shard | {new.pop() for _ in range(min(room, len(new)))})
    while new:
        planned.append(frozenset(new.pop() for _ in range(min(size, len(new)))))
    return planned
