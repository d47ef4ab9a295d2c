"""What was held and what it was worth at earlier instants, walked back from what is held now. All pure.

Money that came or went without a trade is not seen: the walk takes it to have been there all along.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.common.money import product
from apps.connectors.types import Side
from apps.trades.rules.equity import ZERO, worth


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A fill changed what is held of a currency: positive came in."""

    at: datetime
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What everything was worth at an instant; None where something held had no price."""

    at: datetime
    equity: Decimal | None


def moves_of(
    *,
    at: datetime,
    side: Side,
    base_currency: str,
    quote_currency: str,
    quantity: Decimal,
    price: Decimal,
    fee: Decimal,
    fee_currency: str,
) -> tuple[Move, ...]:
    """What one fill (or its correction, with negative quantity and fee) changed."""
    sign = 1 if side is Side.BUY else -1
    return (
        Move(at=at, currency=base_currency, amount=sign * quantity),
        Move(at=at, currency=quote_currency, amount=-sign * product(quantity, price)),
        Move(at=at, currency=fee_currency or quote_currency, amount=-fee),
    )


def curve(
    *,
    totals: Mapping[str, Decimal],
    moves: Iterable[Move],
    prices: Mapping[str, Mapping[datetime, Decimal]],
    instants: Sequence[datetime],
    reporting: str,
) -> tuple[Point, ...]:
    """The worth at each instant, oldest first. `totals` is held now; `prices` gives, by currency, the price in the
    reporting currency at those instants where one is known."""
    held = dict(totals)
    later = sorted(moves, key=lambda move: move.at)
    points = []
    for instant in sorted(instants, reverse=True):
        while later and later[-1].at > instant:
            move = later.pop()
            held[move.currency] = held.get(move.currency, ZERO) - move.amount
        known = {currency: found[instant] for currency, found in prices.items() if instant in found}
        points.append(Point(at=instant, equity=worth(held, known | {reporting: Decimal(1)})))
    return tuple(reversed(points))


def deepest_fall(points: Iterable[Point]) -> Decimal:
    """The largest fall from a height to a later depth, as a fraction of the height; 0 where it never fell."""
    height, deepest = ZERO, ZERO
    for point in points:
        if point.equity is None:
            continue
        height = max(height, point.equity)
        if height > ZERO:
            deepest = max(deepest, (height - point.equity) / height)
    return deepest
