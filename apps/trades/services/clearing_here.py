"""Canceling after a halt without a broker or workers: passes in this process, until nothing of ours is open."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from apps.common.errors import AikaError
from apps.connectors.selectors import all_connections
from apps.policies.selectors import halted_since
from apps.trades.models import HaltClearing, Order
from apps.trades.services import fills, halting
from apps.trades.types import ClearingOutcome

PASSES_MAX: Final = 600

logger = logging.getLogger(__name__)


def clear_here(
    *, scope: str, clock: Callable[[], datetime], rest: Callable[[], None], passes_max: int = PASSES_MAX
) -> bool:
    """Clear everything halted within "global" or one connection's id. True once nothing of ours is open any more.

    `rest` waits a moment between two rounds. At most `passes_max` rounds: False where that was not enough. Safe beside
    the workers: each order and each pass has one turn.
    """
    for _ in range(passes_max):
        halted = [row.pk for row in all_connections() if scope in {halting.GLOBAL, str(row.pk)} and _is_open(row.pk)]
        if not halted:
            return True
        for connection_id in halted:
            halting.clear(connection_id=connection_id, clock=clock)
            _read_back(connection_id, clock)
        rest()
    return False


def _is_open(connection_id: UUID) -> bool:
    halt = halted_since(connection_id)
    if halt is None:
        return False
    done = HaltClearing.objects.filter(connection_id=connection_id, halted_at=halt[0])
    return not done.exclude(outcome=ClearingOutcome.RUNNING).exists()


def _read_back(connection_id: UUID, clock: Callable[[], datetime]) -> None:
    """Book what the venue says of orders that work: only that ends them."""
    ids = Order.objects.working().filter(connection_id=connection_id).values_list("pk", flat=True)
    for order_id in list(ids[: halting.ORDERS_PER_PASS]):
        try:
            fills.poll_order(order_id=order_id, now=clock())
        except AikaError as error:
            logger.warning("Order %s could not be read: %s", order_id, error.code)
