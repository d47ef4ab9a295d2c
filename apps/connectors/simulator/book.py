"""The order book around a mid: a ladder of levels with growing sizes, the same for the same seed and step."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from apps.connectors.simulator.amounts import ZERO, ceil_to, floor_to
from apps.connectors.simulator.prices import fraction
from apps.connectors.simulator.products import Product

LEVELS = 60
_HALF_SPREAD = Decimal("0.00005")
_GAP = Decimal("0.00004")


@dataclass(frozen=True)
class Level:
    """Base size resting at one price."""

    price: Decimal
    size: Decimal


def best(product: Product, mid: Decimal) -> tuple[Decimal, Decimal]:
    """Best bid and ask: about one basis point apart, on the price grid, never touching."""
    half = max(mid * _HALF_SPREAD, product.price_increment / 2)
    bid = max(floor_to(mid - half, product.price_increment), product.price_increment)
    return bid, max(ceil_to(mid + half, product.price_increment), bid + product.price_increment)


def ladder(seed: int, product: Product, mid: Decimal, step: int, side: str) -> Iterator[Level]:
    """Levels of one side ("bids" or "asks"), best first."""
    bid, ask = best(product, mid)
    gap = max(mid * _GAP, product.price_increment)
    for index in range(LEVELS):
        away = gap * index * (10 + index) / 10
        if side == "bids":
            price = floor_to(bid - away, product.price_increment)
        else:
            price = ceil_to(ask + away, product.price_increment)
        if price <= 0:
            return
        grown = product.top_depth * (10 + 3 * index) / 10
        jitter = fraction(seed, f"{product.book_id}|{side}|{index}", step, 70, 130)
        size = floor_to(grown * jitter / mid, product.base_increment)
        yield Level(price, max(size, product.base_increment))


def without(levels: Iterable[Level], taken: Decimal) -> Iterator[Level]:
    """The levels left after `taken` was traded away from the best price on."""
    for level in levels:
        if taken >= level.size:
            taken -= level.size
            continue
        yield Level(level.price, level.size - taken)
        taken = ZERO


def within(levels: Iterable[Level], side: str, limit: Decimal | None) -> Iterator[Level]:
    """The levels a taker of `side` (BUY takes asks) may trade against without passing `limit`."""
    for level in levels:
        if limit is not None and (level.price > limit if side == "BUY" else level.price < limit):
            return
        yield level


def walk_base(levels: Iterable[Level], size: Decimal) -> list[Level]:
    """The trades that a taker of `size` base makes, best first; they may add up to less."""
    trades: list[Level] = []
    for level in levels:
        if size <= 0:
            break
        part = min(size, level.size)
        trades.append(Level(level.price, part))
        size -= part
    return trades


def walk_quote(levels: Iterable[Level], spend: Decimal, increment: Decimal) -> list[Level]:
    """The trades that `spend` quote buys, in whole base increments; dust smaller than one stays unspent."""
    trades: list[Level] = []
    for level in levels:
        part = min(floor_to(spend / level.price, increment), level.size)
        if part <= 0:
            break
        trades.append(Level(level.price, part))
        spend -= part * level.price
    return trades
