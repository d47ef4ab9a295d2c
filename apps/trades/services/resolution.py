"""Settling an order whose fate is not known: look for it, and where it may be, send it again."""

from datetime import datetime
from uuid import UUID

from apps.common.errors import AikaError
from apps.trades.models import Order
from apps.trades.services import lookups, replays
from apps.trades.services.lookups import Clock
from apps.trades.types import InquiryAnswer


def resolve(
    *,
    order_id: UUID,
    clock: Clock,
    reconciled_from: datetime | None = None,
    due_only: bool = True,
    may_send: bool = True,
) -> str:
    """Look for an order of unknown fate and settle it where that can be done. Returns its state afterwards.

    Safe to call any number of times, from any number of workers: one has the turn. With `reconciled_from`, nothing is
    sent again before the connection was compared with the venue since then; without `may_send`, nothing at all.
    """
    turn = lookups.take_turn(order_id, clock(), due_only=due_only)
    if turn is None:
        return Order.objects.filter(pk=order_id).values_list("state", flat=True).first() or "MISSING"
    try:
        seen = lookups.look(turn, clock)
    except AikaError as error:
        now = clock()
        unread = InquiryAnswer.UNREADABLE
        return lookups.write_unfound(turn, unread, now, until=now, code=error.code, detail=error.message)
    if seen.found:
        return lookups.book_found(turn, seen, clock)
    if not may_send:
        return lookups.write_unfound(
            turn, InquiryAnswer.NOT_FOUND, clock(), until=seen.until, code="ONLY_LOOKED", detail="Somebody only looked."
        )
    try:
        return replays.attempt(turn, seen, clock, reconciled_from)
    except replays.Held as held:
        unfound = InquiryAnswer.NOT_FOUND
        return lookups.write_unfound(turn, unfound, clock(), until=seen.until, code=held.code, detail=held.reason)
