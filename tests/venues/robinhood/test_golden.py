"""Whole answers of Robinhood, read by the connector over a real socket, as our values."""

from datetime import UTC, datetime
from decimal import Decimal as D
from pathlib import Path

import pytest

from apps.common.errors import Unavailable
from apps.connectors.types import OrderType, Side, TimeInForce, VenueOrderState
from apps.connectors.venues.robinhood.connector import RobinhoodConnector
from tests.venues.robinhood.double import Double

HERE = Path(__file__).parent
SINCE, UNTIL = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)


def answer(double: Double, path: str, name: str, times: int = 1) -> None:
    double.answers[path] = [(200, (HERE / f"{name}.json").read_text())] * times


def test_accounts_and_holdings(connector: RobinhoodConnector, double: Double) -> None:
    answer(double, "/accounts/", "rest_accounts")
    answer(double, "/holdings/", "rest_holdings")
    found = {row.currency: (row.available, row.held) for row in connector.balances()}
    assert found == {
        "BTC": (D("0.1"), D("0.004700000000000001")),
        "DOGE": (D("1500.25"), D(0)),
        "USD": (D("2500.75"), D(0)),
    }


def test_an_account_that_may_only_sell_may_be_viewed(connector: RobinhoodConnector, double: Double) -> None:
    answer(double, "/accounts/", "rest_accounts_sell_only")
    permissions = connector.permissions()
    assert (permissions.can_view, permissions.can_trade, permissions.can_transfer) == (True, False, False)


def test_trading_pairs(connector: RobinhoodConnector, double: Double) -> None:
    answer(double, "/trading_pairs/", "rest_trading_pairs")
    btc, doge = connector.instruments()
    assert (btc.code, btc.price_increment, btc.quantity_increment) == ("BTC-USD", D("0.01"), D("0.00000001"))
    assert (btc.min_quantity, btc.max_quantity, btc.tradable) == (D("0.000001"), D(20), True)
    assert (doge.quote_increment, doge.min_quantity, doge.tradable) == (D("0.000001"), D(1), False)


def test_best_bid_ask(connector: RobinhoodConnector, double: Double) -> None:
    answer(double, "/best_bid_ask/", "rest_best_bid_ask")
    quote = connector.quotes(["BTC-USD"])["BTC-USD"]
    assert (quote.bid, quote.ask) == (D("96012.7615"), D("97656.0485"))
    assert quote.occurred_at == datetime(2026, 11, 20, 14, 15, 22, 123456, tzinfo=UTC)


def test_estimated_price(connector: RobinhoodConnector, double: Double) -> None:
    answer(double, "/estimated_price/", "rest_estimated_price")
    found = connector.estimated_prices("BTC-USD", [D("0.1"), D("1.999")])
    assert [(item.quantity, item.side, item.price) for item in found] == [
        (D("0.1"), Side.BUY, D("97656.0485")),
        (D("0.1"), Side.SELL, D("96012.7615")),
        (D("1.999"), Side.SELL, D("95990.1")),
    ], "the last of the four has no price"
    assert {item.occurred_at for item in found} == {datetime(2026, 11, 20, 19, 15, 22, 123456, tzinfo=UTC)}


def test_estimates_that_were_not_asked_for_are_not_taken(connector: RobinhoodConnector, double: Double) -> None:
    answer(double, "/estimated_price/", "rest_estimated_price", times=2)
    assert {item.quantity for item in connector.estimated_prices("BTC-USD", [D("0.1"), D(1)])} == {D("0.1")}
    assert connector.estimated_prices("DOGE-USD", [D("0.1")]) == ()


@pytest.mark.parametrize("key", ['"symbol"', '"quantity"', '"timestamp"', '"side"'])
def test_an_estimate_without_what_makes_it_one_is_no_answer(
    connector: RobinhoodConnector, double: Double, key: str
) -> None:
    told = (HERE / "rest_estimated_price.json").read_text().replace(key, '"other"')
    double.answers["/estimated_price/"] = [(200, told)] * 3
    with pytest.raises(Unavailable, match="VENUE_ANSWER_UNREADABLE"):
        connector.estimated_prices("BTC-USD", [D("0.1")])


def test_orders_of_every_kind(connector: RobinhoodConnector, double: Double) -> None:
    answer(double, "/orders/", "rest_orders")
    failed, canceled, stop, partly, filled = connector.orders(["BTC-USD"], SINCE, UNTIL)
    assert (filled.state, filled.order_type, filled.quantity) == (VenueOrderState.FILLED, OrderType.MARKET, D("0.02"))
    assert (filled.filled_notional, filled.average_fill_price) == (D("1953.0002"), D("97650.01"))
    assert (partly.state, partly.side, partly.filled_quantity) == (VenueOrderState.OPEN, Side.SELL, D("0.005"))
    assert (partly.limit_price, partly.quote_quantity) == (D(99000), D(990))
    assert (stop.state, stop.order_type, stop.stop_price) == (VenueOrderState.OPEN, None, D(90000))
    assert (canceled.state, canceled.order_type, canceled.time_in_force, canceled.stop_price) == (
        *(VenueOrderState.CANCELED, OrderType.STOP_LIMIT, TimeInForce.GTC),
        D(90000),
    )
    assert (failed.state, failed.reject_reason) == (VenueOrderState.REJECTED, "failed")


def test_executions_are_fills(connector: RobinhoodConnector, double: Double) -> None:
    answer(double, "/orders/", "rest_orders", times=3)
    fills = connector.fills(codes=["BTC-USD"], since=SINCE)
    assert [(fill.price, fill.quantity) for fill in fills] == [
        (D("97650.02"), D("0.01")),
        (D("97650"), D("0.01")),
        (D(99000), D("0.005")),
    ]
