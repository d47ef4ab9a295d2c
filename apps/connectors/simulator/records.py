"""What the venue remembers: orders and fills, as plain values."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apps.connectors.simulator.amounts import ZERO

TERMINAL = frozenset({"FILLED", "CANCELLED", "EXPIRED", "FAILED"})
ACTIVE = ("PENDING", "OPEN", "CANCEL_QUEUED")


@dataclass
class Order:
    """One order. Times are microseconds since 1970; `end_step` is the epoch second a GTD order ends at."""

    order_id: str
    client_order_id: str
    product_id: str
    side: str
    order_type: str
    time_in_force: str
    configuration: dict[str, Any]
    created: int
    visible_at: int
    open_at: int
    base_size: Decimal | None = None
    quote_size: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    end_step: int | None = None
    status: str = "PENDING"
    triggered: bool = False
    cancel_at: int | None = None
    cancel_message: str = ""
    filled_size: Decimal = ZERO
    filled_value: Decimal = ZERO
    total_fees: Decimal = ZERO
    number_of_fills: int = 0
    hold: Decimal = ZERO
    """What is held for it now: quote currency for BUY, base currency for SELL."""
    updated: int = 0
    last_fill: int | None = None
    seq: int = 0

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.status in TERMINAL

    def is_due(self, now: int) -> bool:
        """Whether waiting is over for a pending order, or one whose cancel is queued."""
        if self.status == "CANCEL_QUEUED":
            return self.cancel_at is not None and now >= self.cancel_at
        return self.status == "PENDING" and now >= self.open_at

    @property
    def remaining(self) -> Decimal:
        """Base size not filled yet (a quote-sized order has none of its own)."""
        return (self.base_size or ZERO) - self.filled_size


@dataclass(frozen=True)
class Fill:
    """One execution, or the reversal of one. `base` is always base currency, whatever the wire says of `size`."""

    entry_id: str
    trade_id: str
    order_id: str
    product_id: str
    side: str
    trade_type: str
    price: Decimal
    base: Decimal
    commission: Decimal
    liquidity: str
    size_in_quote: bool
    micros: int
    seq: int = 0


@dataclass
class Balance:
    """One currency of the account: `total` includes `hold`."""

    currency: str
    uuid: str
    total: Decimal
    hold: Decimal = ZERO
    created: int = 0
    updated: int = 0

    @property
    def available(self) -> Decimal:
        """What may be spent."""
        return self.total - self.hold


@dataclass(frozen=True)
class OrderFilter:
    """The documented filters of the order list; empty means all."""

    order_ids: tuple[str, ...] = ()
    product_ids: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    time_in_forces: tuple[str, ...] = ()
    order_types: tuple[str, ...] = ()
    side: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class FillFilter:
    """The documented filters of the fill list; empty means all."""

    order_ids: tuple[str, ...] = ()
    trade_ids: tuple[str, ...] = ()
    product_ids: tuple[str, ...] = ()
    side: str = ""
    start: int | None = None
    end: int | None = None
