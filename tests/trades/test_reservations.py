"""What an order can still cost. Pure sums, and properties of them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from apps.common.money import product
from apps.connectors.types import Environment, OrderType, Side, TimeInForce
from apps.trades.rules.reservations import OpenOrder, reservation_for, unseen_by_currency, working
from apps.trades.types import Reservation, Terms

RATE = Decimal("0.006")
AMOUNTS = st.decimals(min_value="0.00000001", max_value="1000000", places=8)


def terms(**changes: Any) -> Terms:
    values: dict[str, Any] = {
        "connection_id": uuid4(),
        "connection": "paper",
        "venue": "coinbase",
        "environment": Environment.PAPER,
        "instrument": "BTC-USD",
        "base_currency": "BTC",
        "quote_currency": "USD",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "quantity": Decimal("0.01"),
        "quote_quantity": None,
        "limit_price": Decimal(64000),
        "stop_price": None,
        "post_only": False,
        "not_after": datetime(2026, 3, 2, tzinfo=UTC),
    }
    return Terms(**{**values, **changes})


def open_order(**changes: Any) -> OpenOrder:
    values: dict[str, Any] = {
        "instrument": "BTC-USD",
        "side": Side.BUY,
        "quantity": Decimal(4),
        "filled_quantity": Decimal(0),
        "worst_price": Decimal(10),
        "reserved": Reservation(currency="USD", amount=Decimal(41)),
        "seen_by_venue": False,
    }
    return OpenOrder(**{**values, **changes})


@given(AMOUNTS, AMOUNTS)
def test_a_buy_binds_its_worst_worth_and_the_fee(quantity: Decimal, price: Decimal) -> None:
    found = reservation_for(terms(), quantity=quantity, worst_price=price, taker_rate=RATE)
    assert found == Reservation(currency="USD", amount=product(quantity, price, 1 + RATE))


def test_a_buy_by_worth_binds_the_worth_and_the_fee() -> None:
    asked = terms(quantity=None, quote_quantity=Decimal(500), order_type=OrderType.MARKET, limit_price=None)
    found = reservation_for(asked, quantity=Decimal("0.0078"), worst_price=Decimal(64000), taker_rate=RATE)
    assert found == Reservation(currency="USD", amount=Decimal("503"))


@given(AMOUNTS, AMOUNTS)
def test_a_sale_binds_its_coins(quantity: Decimal, price: Decimal) -> None:
    found = reservation_for(terms(side=Side.SELL), quantity=quantity, worst_price=price, taker_rate=RATE)
    assert found == Reservation(currency="BTC", amount=quantity)


def test_a_fill_frees_its_part_and_no_more() -> None:
    assert open_order().still_reserved == 41
    assert open_order(filled_quantity=Decimal(1)).still_reserved == Decimal("30.75")
    assert open_order(filled_quantity=Decimal(4)).still_reserved == 0
    assert open_order(filled_quantity=Decimal(5)).still_reserved == 0


def test_what_the_venue_holds_back_itself_is_not_taken_off_twice() -> None:
    orders = [
        open_order(),
        open_order(seen_by_venue=True),
        open_order(side=Side.SELL, reserved=Reservation(currency="BTC", amount=Decimal(4))),
        open_order(filled_quantity=Decimal(2)),
    ]
    assert unseen_by_currency(orders) == {"USD": Decimal("61.5"), "BTC": Decimal(4)}


def test_what_works_counts_whether_the_venue_shows_it_or_not() -> None:
    orders = [
        open_order(),
        open_order(seen_by_venue=True, filled_quantity=Decimal(1)),
        open_order(side=Side.SELL),
        open_order(instrument="ETH-USD"),
    ]
    assert working(orders, "BTC-USD") == (7, 4)
