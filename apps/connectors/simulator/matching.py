"""Matching orders against the book, and what a trade does to balances and holds."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from apps.connectors.simulator import book
from apps.connectors.simulator.amounts import ZERO, floor_to
from apps.connectors.simulator.book import Level
from apps.connectors.simulator.clock import Clock
from apps.connectors.simulator.market import TAKES, Market
from apps.connectors.simulator.prices import fraction
from apps.connectors.simulator.products import PRODUCTS, Product
from apps.connectors.simulator.records import Fill, Order
from apps.connectors.simulator.store import Store


@dataclass(frozen=True)
class Fees:
    """Rates of the one fee tier, as fractions."""

    taker: Decimal = Decimal("0.006")
    maker: Decimal = Decimal("0.004")


def hold_needed(order: Order, fees: Fees) -> Decimal:
    """What must stay reserved for the rest of a resting order: base for SELL, quote with the taker fee for BUY."""
    if order.side == "SELL":
        return order.remaining
    return order.remaining * (order.limit_price or ZERO) * (1 + fees.taker)


def taker_trades(market: Market, order: Order, step: int, fees: Fees) -> list[Level]:
    """The trades the order would make now against the book; they may not cover it."""
    product = PRODUCTS[order.product_id]
    levels = market.levels(product, TAKES[order.side], step)
    if order.base_size is None:
        # A quote-sized buy spends its size with the fee inside.
        spend = (order.quote_size or ZERO) / (1 + fees.taker)
        return book.walk_quote(levels, spend, product.base_increment)
    reachable = book.within(levels, order.side, order.limit_price if order.order_type != "MARKET" else None)
    return book.walk_base(reachable, order.remaining)


class Matcher:
    """Moves orders through their lives."""

    def __init__(self, store: Store, market: Market, fees: Fees) -> None:
        self._store = store
        self._market = market
        self._fees = fees

    def open(self, order: Order, step: int) -> None:
        """Let an accepted order into the market: take what it may, rest or end with what is left."""
        order.status = "OPEN"
        if order.order_type == "STOP_LIMIT" and not order.triggered:
            self._store.save_order(order)
            return
        trades = taker_trades(self._market, order, step, self._fees)
        covered = sum((trade.size for trade in trades), ZERO)
        if order.time_in_force == "FILL_OR_KILL" and covered < order.remaining:
            self._end(order, "CANCELLED", "fill or kill order could not be filled")
            return
        self._trade(order, trades, "TAKER", step)
        if order.base_size is None:
            self._end(order, "FILLED" if trades else "CANCELLED", "" if trades else "no liquidity")
        elif order.remaining <= 0:
            self._end(order, "FILLED", "")
        elif order.time_in_force == "IMMEDIATE_OR_CANCEL":
            self._end(order, "CANCELLED", "immediate or cancel order was not filled completely")
        else:
            self._store.save_order(order)

    def advance(self, order: Order, step: int, now: int) -> None:
        """One step in the life of an active order."""
        if order.end_step is not None and step >= order.end_step:
            self._end(order, "EXPIRED", "")
        elif order.status == "PENDING":
            if now >= order.open_at:
                self.open(order, step)
        elif order.status == "CANCEL_QUEUED" and order.cancel_at is not None and now >= order.cancel_at:
            self._end(order, "CANCELLED", "User requested cancel")
        elif order.order_type == "STOP_LIMIT" and not order.triggered:
            self._trigger(order, step)
        else:
            self._fill_resting(order, step)

    def cancel(self, order: Order) -> None:
        """Cancel at once."""
        self._end(order, "CANCELLED", "User requested cancel")

    def _trigger(self, order: Order, step: int) -> None:
        product = PRODUCTS[order.product_id]
        last = floor_to(self._market.mid_for_matching(product, step), product.price_increment)
        stop = order.stop_price or ZERO
        if last >= stop if order.side == "BUY" else last <= stop:
            order.triggered = True
            status = order.status
            self.open(order, step)
            if status == "CANCEL_QUEUED" and not order.is_terminal:
                order.status = status
                self._store.save_order(order)

    def _fill_resting(self, order: Order, step: int) -> None:
        """Trade what the crossing book offers, at the order's own price, a seeded part of the depth a step."""
        product = PRODUCTS[order.product_id]
        if order.limit_price is None or not self._market.crosses(product, order.side, order.limit_price, step):
            return
        size = min(order.remaining, self._offered(product, order, step))
        if size <= 0:
            return
        self._trade(order, [Level(order.limit_price, size)], "MAKER", step)
        if order.remaining <= 0:
            self._end(order, "FILLED", "")
        else:
            self._store.save_order(order)

    def _offered(self, product: Product, order: Order, step: int) -> Decimal:
        levels = self._market.levels(product, TAKES[order.side], step)
        depth = sum((level.size for level in book.within(levels, order.side, order.limit_price)), ZERO)
        part = fraction(self._market.seed, f"{product.book_id}|part|{order.side}", step, 30, 100)
        return floor_to(depth * part, product.base_increment)

    def _trade(self, order: Order, trades: Sequence[Level], liquidity: str, step: int) -> None:
        product = PRODUCTS[order.product_id]
        rate = self._fees.taker if liquidity == "TAKER" else self._fees.maker
        for trade in trades:
            value = trade.price * trade.size
            self._book_fill(order, product, trade, value * rate, liquidity)
            order.filled_size += trade.size
            order.filled_value += value
            order.total_fees += value * rate
            order.number_of_fills += 1
        if trades:
            order.last_fill = Clock.micros()
            self._market.take(product, TAKES[order.side], step, sum((trade.size for trade in trades), ZERO))
            self._reserve(order, hold_needed(order, self._fees) if order.hold else ZERO)

    def _book_fill(self, order: Order, product: Product, trade: Level, fee: Decimal, liquidity: str) -> None:
        self._store.add_fill(
            Fill(
                entry_id=str(uuid.uuid4()),
                trade_id=str(uuid.uuid4()),
                order_id=order.order_id,
                product_id=order.product_id,
                side=order.side,
                trade_type="FILL",
                price=trade.price,
                base=trade.size,
                commission=fee,
                liquidity=liquidity,
                size_in_quote=order.base_size is None,
                micros=Clock.micros(),
            )
        )
        self.settle(product, order.side, trade.size, trade.price * trade.size, fee)

    def settle(self, product: Product, side: str, base: Decimal, value: Decimal, fee: Decimal) -> None:
        """Move what a trade moves: the fee is always quote currency."""
        sign = 1 if side == "BUY" else -1
        self._store.move(product.base_currency, sign * base, ZERO)
        self._store.move(product.quote_currency, -sign * value - fee, ZERO)

    def _reserve(self, order: Order, hold: Decimal) -> None:
        """Set the order's hold, and move the difference on the account."""
        product = PRODUCTS[order.product_id]
        currency = product.quote_currency if order.side == "BUY" else product.base_currency
        self._store.move(currency, ZERO, hold - order.hold)
        order.hold = hold

    def reserve(self, order: Order, hold: Decimal) -> None:
        """Hold what the whole order may cost, before it meets the market."""
        self._reserve(order, hold)

    def _end(self, order: Order, status: str, message: str) -> None:
        order.status = status
        order.cancel_message = message
        self._reserve(order, ZERO)
        self._store.save_order(order)
