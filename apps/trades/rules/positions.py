"""Average-cost bookkeeping over executions. All pure; every amount is in the instrument's quote currency."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Context, Decimal, localcontext
from typing import Final
from uuid import UUID

from apps.connectors.types import Side
from apps.trades.types import Closing, Execution, Lot

ZERO: Final = Decimal(0)
EMPTY: Final = Lot(quantity=ZERO, average_price=None, fees=ZERO)
# Averages are kept to what the exact field holds.
_PLACES: Final = Decimal(1).scaleb(-18)
# Wide enough for the product of two values of the exact field (38 digits each).
_EXACT: Final = Context(prec=80)


def apply(lot: Lot, execution: Execution) -> tuple[Lot, Closing | None]:
    """The lot after one execution, and what it closed if it was a sell.

    Selling more than the lot holds sells coins whose cost is not known here: the closing then has no P&L.
    """
    with localcontext(_EXACT):
        if execution.side is Side.BUY:
            return _bought(lot, execution), None
        return _sold(lot, execution)


def _bought(lot: Lot, execution: Execution) -> Lot:
    quantity = lot.quantity + execution.quantity
    cost = lot.quantity * (lot.average_price or ZERO) + execution.quantity * execution.price
    return Lot(
        quantity=quantity,
        average_price=(cost / quantity).quantize(_PLACES),
        fees=lot.fees + execution.fee,
        # A fill heard of late may be the older one.
        opened_at=_earliest(lot.opened_at, execution.occurred_at),
    )


def _sold(lot: Lot, execution: Execution) -> tuple[Lot, Closing]:
    known = min(lot.quantity, execution.quantity)
    share = known / lot.quantity if lot.quantity else ZERO
    entry_fees = (lot.fees * share).quantize(_PLACES)
    whole = known == execution.quantity and lot.average_price is not None
    fees = entry_fees + execution.fee
    pnl = (execution.price - (lot.average_price or ZERO)) * execution.quantity - fees if whole else None
    closing = Closing(
        order_id=execution.order_id,
        quantity=execution.quantity,
        entry_price=lot.average_price if whole else None,
        exit_price=execution.price,
        pnl=pnl.quantize(_PLACES) if pnl is not None else None,
        fees=fees,
        opened_at=lot.opened_at,
        closed_at=execution.occurred_at,
    )
    left = lot.quantity - known
    if not left:
        return EMPTY, closing
    return replace(lot, quantity=left, fees=lot.fees - entry_fees), closing


def merge(first: Closing, second: Closing) -> Closing:
    """Two closings of the same order as one, prices weighted by quantity; unknown P&L stays unknown."""
    with localcontext(_EXACT):
        return _merged(first, second)


def _merged(first: Closing, second: Closing) -> Closing:
    quantity = first.quantity + second.quantity

    def weighted(a: Decimal, b: Decimal) -> Decimal:
        return ((a * first.quantity + b * second.quantity) / quantity).quantize(_PLACES)

    known = first.pnl is not None and second.pnl is not None
    return Closing(
        order_id=first.order_id,
        quantity=quantity,
        entry_price=(
            weighted(first.entry_price, second.entry_price)
            if first.entry_price is not None and second.entry_price is not None
            else None
        ),
        exit_price=weighted(first.exit_price, second.exit_price),
        pnl=first.pnl + second.pnl if known and first.pnl is not None and second.pnl is not None else None,
        fees=first.fees + second.fees,
        opened_at=_earliest(first.opened_at, second.opened_at),
        closed_at=max(first.closed_at, second.closed_at),
    )


def _earliest(first: datetime | None, second: datetime | None) -> datetime | None:
    return min((known for known in (first, second) if known is not None), default=None)


def fold(executions: Iterable[Execution]) -> tuple[Lot, dict[UUID, Closing]]:
    """The lot and the closing per order after all executions, in the order given (by time)."""
    lot = EMPTY
    closings: dict[UUID, Closing] = {}
    for execution in executions:
        lot, closing = apply(lot, execution)
        if closing is not None:
            earlier = closings.get(closing.order_id)
            closings[closing.order_id] = merge(earlier, closing) if earlier else closing
    return lot, closings
