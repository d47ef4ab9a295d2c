"""The venue: takes orders, keeps them moving, cancels, previews, corrects."""

import uuid
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from apps.connectors.simulator import terms as order_terms
from apps.connectors.simulator.amounts import ZERO
from apps.connectors.simulator.clock import Clock
from apps.connectors.simulator.errors import ApiError, Refusal, Refused, invalid_argument
from apps.connectors.simulator.market import Market
from apps.connectors.simulator.matching import Fees, Matcher, hold_needed, taker_trades
from apps.connectors.simulator.products import OPENING_BALANCES, PRODUCTS
from apps.connectors.simulator.records import Balance, Fill, Order
from apps.connectors.simulator.store import Store
from apps.connectors.simulator.terms import Terms

MAX_CATCH_UP_STEPS = 3600
"""Seconds of path that a jump of the clock walks through; a longer one starts there."""

CANCEL_BATCH_LIMIT = 100

DUPLICATE_MODES = ("replay", "reject")

_INSUFFICIENT = ("INSUFFICIENT_FUND", "PREVIEW_INSUFFICIENT_FUND", "Insufficient balance in source account")


@dataclass(frozen=True)
class Options:
    """How this venue behaves where the real one leaves room."""

    duplicate_mode: str = "replay"
    """`replay` answers a known client_order_id with the original order, `reject` with success false."""
    pending_ms: int = 0
    visible_ms: int = 0
    """How long get and list do not know an accepted order."""
    cancel_ms: int = 0
    subscribe_ms: int = 5_000
    """A socket that has subscribed to nothing by then is closed."""
    heartbeat_ms: int = 1_000
    idle_ms: int = 75_000
    """A socket on which nothing was said for so long is closed."""
    connects_per_s: int = 8
    """Sockets that may be opened in a second, from one address."""
    book_age_ms: int = 0
    """How long ago, as an answer about a book says, that book last changed: quiet ones are old."""
    balances: dict[str, Decimal] = field(default_factory=lambda: dict(OPENING_BALANCES))
    fees: Fees = Fees()


@dataclass(frozen=True)
class Created:
    """The answer to a create. `order_id` is set when the answer names an order; `is_new` when it made one."""

    envelope: dict[str, Any]
    order_id: str = ""
    is_new: bool = False


@dataclass(frozen=True)
class Estimate:
    """What an order would do now."""

    terms: Terms | None
    base: Decimal = ZERO
    value: Decimal = ZERO
    fee: Decimal = ZERO
    refusal: Refusal | None = None


class Exchange:
    """All state changes of the venue go through here, one at a time, each in one transaction."""

    def __init__(self, store: Store, market: Market, options: Options) -> None:
        self.store = store
        self.market = market
        self._configured = self.options = options
        self.fees = options.fees
        self._matcher = Matcher(store, market, options.fees)
        self._step = market.clock.step
        if not store.balances():
            store.open_account(options.balances)
        self.user_id = store.meta("user_id", str(uuid.uuid4()))
        self.portfolio_id = store.meta("portfolio_id", str(uuid.uuid4()))

    def reset(self, balances: dict[str, Decimal] | None = None) -> None:
        """A fresh account with no orders; balances not named and switched options are as configured again."""
        self.options = self._configured
        self.market.clock.release()
        Clock.skew_s = 0
        self.market.reset()
        self.store.open_account(self.options.balances | (balances or {}))
        self._step = self.market.clock.step

    def advance(self, *, again: bool = False) -> None:
        """Bring every active order to the clock's step. `again` repeats the current one, after a pin moved the mid."""
        target = self.market.clock.step
        if target < self._step:
            self._step = target
        if target > self._step or again:
            first = min(max(self._step + 1, target - MAX_CATCH_UP_STEPS), target)
            self._walk(self.store.active_orders(), range(first, target + 1))
        elif self.options.pending_ms or self.options.cancel_ms:
            now = Clock.micros()
            self._walk(
                [order for order in self.store.active_orders() if order.is_due(now)],
                range(target, target + 1),
            )
        self._step = target

    def _walk(self, orders: list[Order], steps: range) -> None:
        """Step by step, oldest order first, so that it does not matter how many steps one call covers."""
        if not orders:
            return
        now = Clock.micros()
        with self.store.transaction():
            for step in steps:
                orders = [order for order in orders if not order.is_terminal]
                for order in orders:
                    self._matcher.advance(order, step, now)

    def create(self, body: dict[str, Any], *, hidden_us: int = 0) -> Created:
        """Take an order, or say why not. The same client_order_id makes one order for ever.

        `hidden_us` is how much later than usual get and list learn of it, in microseconds.
        """
        client_order_id = body.get("client_order_id")
        if not isinstance(client_order_id, str) or not client_order_id or len(client_order_id) > 128:
            raise invalid_argument("client_order_id is required")
        known = self.store.order_by_client_id(client_order_id)
        if known is not None:
            return self._duplicate(known, body)
        try:
            terms = order_terms.read(body)
            order_terms.check(terms, self.market)
            order = self._new_order(client_order_id, terms, hidden_us)
            cost = self._check_funds(order)
        except Refused as refused:
            return Created(refused.refusal.envelope(body.get("order_configuration")))
        with self.store.transaction():
            self.store.add_order(order)
            self._matcher.reserve(order, cost)
            if self.options.pending_ms:
                self.store.save_order(order)
            else:
                self._matcher.open(order, self.market.clock.step)
        return Created(success_envelope(order), order.order_id, is_new=True)

    def _duplicate(self, known: Order, body: dict[str, Any]) -> Created:
        if self.options.duplicate_mode == "reject":
            refusal = Refusal("DUPLICATE_CLIENT_ORDER_ID", message="client_order_id has been used")
            return Created(refusal.envelope(body.get("order_configuration")))
        return Created(success_envelope(known), known.order_id)

    def _new_order(self, client_order_id: str, terms: Terms, hidden_us: int = 0) -> Order:
        now = Clock.micros()
        return Order(
            order_id=str(uuid.uuid4()),
            client_order_id=client_order_id,
            product_id=terms.product.product_id,
            side=terms.side,
            order_type=terms.order_type,
            time_in_force=terms.time_in_force,
            configuration=terms.configuration,
            created=now,
            updated=now,
            visible_at=now + self.options.visible_ms * 1000 + hidden_us,
            open_at=now + self.options.pending_ms * 1000,
            base_size=terms.base_size,
            quote_size=terms.quote_size if terms.base_size is None else None,
            limit_price=terms.limit_price,
            stop_price=terms.stop_price,
            end_step=terms.end_step,
        )

    def _check_funds(self, order: Order) -> Decimal:
        """What the order must hold: base for SELL, quote for BUY."""
        product = PRODUCTS[order.product_id]
        if order.side == "SELL":
            currency, needed = product.base_currency, order.base_size or ZERO
        else:
            currency, needed = product.quote_currency, self._cost(order)
        if self.store.balance(currency).available < needed:
            raise Refused(*_INSUFFICIENT)
        return needed

    def _cost(self, order: Order) -> Decimal:
        """The most a BUY can cost, fees included."""
        if order.order_type != "MARKET":
            return hold_needed(order, self.fees)
        if order.base_size is None:
            return order.quote_size or ZERO
        trades = taker_trades(self.market, order, self.market.clock.step, self.fees)
        return sum((trade.price * trade.size for trade in trades), ZERO) * (1 + self.fees.taker)

    def estimate(self, body: dict[str, Any]) -> Estimate:
        """What create would do with this body now, reserving nothing."""
        try:
            terms = order_terms.read(body)
        except Refused as refused:
            return Estimate(None, refusal=refused.refusal)
        order = self._new_order("preview", terms)
        trades = taker_trades(self.market, order, self.market.clock.step, self.fees)
        base = sum((trade.size for trade in trades), ZERO)
        value = sum((trade.price * trade.size for trade in trades), ZERO)
        fee = value * self.fees.taker
        if order.base_size is not None and order.limit_price is not None and order.remaining > base:
            rest = (order.remaining - base) * order.limit_price
            base, value, fee = order.base_size, value + rest, fee + rest * self.fees.maker
        estimate = Estimate(terms, base, value, fee)
        try:
            order_terms.check(terms, self.market)
            self._check_funds(order)
        except Refused as refused:
            return replace(estimate, refusal=refused.refusal)
        return estimate

    def cancel(self, order_ids: list[str]) -> list[tuple[str, str]]:
        """Per order the failure reason, or the empty string where the cancel request was taken."""
        if len(order_ids) > CANCEL_BATCH_LIMIT:
            message = f"Too many orderIDs entered, limit is {CANCEL_BATCH_LIMIT}"
            raise ApiError(400, "InvalidArgument", message)
        with self.store.transaction():
            return [(order_id, self._cancel_one(order_id)) for order_id in order_ids]

    def _cancel_one(self, order_id: str) -> str:
        order = self.store.order(order_id)
        if order is None:
            return "UNKNOWN_CANCEL_ORDER"
        if order.is_terminal:
            return "ORDER_IS_FULLY_FILLED" if order.status == "FILLED" else "INVALID_CANCEL_REQUEST"
        if order.status == "CANCEL_QUEUED":
            return "DUPLICATE_CANCEL_REQUEST"
        if self.options.cancel_ms:
            order.status = "CANCEL_QUEUED"
            order.cancel_at = Clock.micros() + self.options.cancel_ms * 1000
            self.store.save_order(order)
        else:
            self._matcher.cancel(order)
        return ""

    def reverse(self, entry_id: str) -> Fill | None:
        """Book the reversal of a fill: balances go back, and the order's totals with them. None if there is none."""
        fill = self.store.fill(entry_id)
        if fill is None or fill.trade_type != "FILL" or self.store.is_reversed(fill.trade_id):
            return None
        reversal = replace(fill, entry_id=str(uuid.uuid4()), trade_type="REVERSAL", micros=Clock.micros())
        value = fill.price * fill.base
        with self.store.transaction():
            self.store.add_fill(reversal)
            self._matcher.settle(PRODUCTS[fill.product_id], fill.side, -fill.base, -value, -fill.commission)
            order = self.store.order(fill.order_id)
            if order is not None and order.is_terminal:
                order.filled_size -= fill.base
                order.filled_value -= value
                order.total_fees -= fill.commission
                self.store.save_order(order)
        return reversal

    def account_value(self) -> Decimal:
        """Everything in dollars at the current mids."""
        return sum((self._dollars(balance) for balance in self.store.balances()), ZERO)

    def _dollars(self, balance: Balance) -> Decimal:
        product = PRODUCTS.get(f"{balance.currency}-USD")
        return balance.total * self.market.mid(product) if product else balance.total


def success_envelope(order: Order) -> dict[str, Any]:
    """The reply to an accepted create; a replay gives the same one."""
    return {
        "success": True,
        "failure_reason": "UNKNOWN_FAILURE_REASON",
        "order_id": order.order_id,
        "success_response": {
            "order_id": order.order_id,
            "product_id": order.product_id,
            "side": order.side,
            "client_order_id": order.client_order_id,
        },
        "order_configuration": order.configuration,
    }
