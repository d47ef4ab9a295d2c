"""What the user channel has told of orders and our rows do not show yet. Pure.

A message of the channel has cumulative figures and no fill: it says *look*, and the venue's lists say what there is to
see. Until they do, the look is owed; a later message never makes less of it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from apps.connectors.stream_types import OrderUpdate
from apps.trades.types import LIVE_ORDER_STATES

# The venue's lists may be behind its socket; after the last of these the regular polling has it.
LOOK_AGAIN_AFTER: Final = tuple(timedelta(milliseconds=ms) for ms in (150, 300, 600, 1_200, 2_500, 5_000))
OWED_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Shown:
    """What our row of an order shows."""

    order_id: UUID
    state: str
    filled_quantity: Decimal


@dataclass(slots=True)
class _Look:
    update: OrderUpdate
    due: datetime
    looks: int = 0


def is_shown(update: OrderUpdate, row: Shown) -> bool:
    """Whether our row is at least where the message was."""
    if update.state.is_final:
        return row.state not in LIVE_ORDER_STATES
    return row.filled_quantity >= update.filled_quantity


def further(one: OrderUpdate, other: OrderUpdate) -> OrderUpdate:
    """The later of two messages of one order, in whatever order they came: an end, else the one with more filled."""
    if one.state.is_final != other.state.is_final:
        return one if one.state.is_final else other
    return one if one.filled_quantity >= other.filled_quantity else other


@dataclass(slots=True)
class Owed:
    """Looks that are owed, by the venue's id of the order. Bounded: what does not fit is left to the polling."""

    _looks: dict[str, _Look] = field(default_factory=dict)

    def add(self, update: OrderUpdate, now: datetime) -> None:
        """A message: look at once, unless one as far has been looked after already."""
        known = self._looks.get(update.venue_order_id)
        if known is None:
            if len(self._looks) < OWED_MAX:
                self._looks[update.venue_order_id] = _Look(update, now)
        elif (ahead := further(known.update, update)) is not known.update:
            self._looks[update.venue_order_id] = _Look(ahead, now)

    def due(self, now: datetime) -> list[OrderUpdate]:
        """What to look after now."""
        return [look.update for look in self._looks.values() if look.due <= now]

    def looked(self, update: OrderUpdate, now: datetime) -> None:
        """A look was asked for; the next one is due a little later, until there were enough."""
        look = self._looks[update.venue_order_id]
        if look.looks >= len(LOOK_AGAIN_AFTER):
            del self._looks[update.venue_order_id]
            return
        look.due = now + LOOK_AGAIN_AFTER[look.looks]
        look.looks += 1

    def settle(self, update: OrderUpdate) -> None:
        """Nothing more is owed for this order."""
        self._looks.pop(update.venue_order_id, None)

    def __len__(self) -> int:
        return len(self._looks)
