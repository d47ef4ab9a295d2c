"""A book kept from its snapshot and the changes after it (level 2)."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from apps.connectors.stream_types import Book
from apps.connectors.types import Quote, Side


@dataclass(slots=True)
class LocalBook:
    """One instrument's levels. Without a snapshot it knows nothing, and changes alone tell nothing."""

    instrument: str
    occurred_at: datetime | None = None
    received_at: datetime | None = None
    _sides: dict[Side, dict[Decimal, Decimal]] = field(default_factory=dict)

    def hear(self, told: Book) -> None:
        """Take a snapshot or changes into account. Quantities are absolute; zero takes a level away."""
        if told.is_snapshot:
            self._sides = {Side.BUY: {}, Side.SELL: {}}
        elif not self._sides:
            return
        for level in told.levels:
            side = self._sides[level.side]
            if level.quantity > 0:
                side[level.price] = level.quantity
            else:
                side.pop(level.price, None)
        self.occurred_at, self.received_at = told.occurred_at, told.received_at

    def forget(self) -> None:
        """Something may have been missed: nothing is known until the next snapshot."""
        self._sides.clear()

    def best(self) -> Quote | None:
        """Best bid and ask; None where a side is empty, or they contradict each other."""
        bids, asks = self._sides.get(Side.BUY), self._sides.get(Side.SELL)
        if not bids or not asks or self.occurred_at is None or self.received_at is None:
            return None
        bid, ask = max(bids), min(asks)
        if bid >= ask:
            return None
        return Quote(self.instrument, bid, ask, bids[bid], asks[ask], self.occurred_at, self.received_at)
