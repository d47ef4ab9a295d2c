"""Paging and filters, with the documented rules that mislead."""

from typing import Any

import pytest

from tests.connectors.simulator.client import Client


def limit(price: str) -> dict[str, Any]:
    return {"limit_limit_gtc": {"base_size": "0.001", "limit_price": price}}


@pytest.fixture
def busy(venue: Client) -> dict[str, str]:
    """Five orders, oldest first, by a name of their own."""
    return {
        "open": venue.place(limit("50000")),
        "filled": venue.place({"market_market_ioc": {"quote_size": "100"}}),
        "sell": venue.place({"market_market_ioc": {"base_size": "1"}}, "SELL", "ETH-USD"),
        "eth": venue.place({"limit_limit_gtc": {"base_size": "0.1", "limit_price": "1000"}}, "BUY", "ETH-USD"),
        "ioc": venue.place({"sor_limit_ioc": {"base_size": "0.001", "limit_price": "1000"}}),
    }


ALL = ["ioc", "eth", "sell", "filled", "open"]
FILTERS = {
    "": ALL,
    "product_ids=BTC-USD": ["ioc", "filled", "open"],
    "product_ids=BTC-USD&product_ids=ETH-USD": ALL,
    "product_id=ETH-USD": ALL,
    "order_id=x&status=OPEN": ALL,
    "order_status=OPEN": ["eth", "open"],
    "order_status=FILLED&order_status=CANCELLED": ["ioc", "sell", "filled"],
    "order_side=SELL": ["sell"],
    "order_types=MARKET": ["sell", "filled"],
    "time_in_forces=IMMEDIATE_OR_CANCEL": ["ioc", "sell", "filled"],
    "asset_filters=ETH": ["eth", "sell"],
    "asset_filters=ETH&product_ids=BTC-USD": [],
    "product_type=SPOT": ALL,
    "product_type=FUTURE": [],
    "order_placement_source=RETAIL_ADVANCED": ALL,
    "order_placement_source=RETAIL_SIMPLE": [],
    "start_date=2020-01-01T00:00:00Z": ALL,
    "start_date=2099-01-01T00:00:00%2B00:00": [],
    "end_date=2020-01-01T00:00:00.123456789Z": [],
}


@pytest.mark.parametrize("query", FILTERS)
def test_orders_are_filtered(venue: Client, busy: dict[str, str], query: str) -> None:
    names = {order_id: name for name, order_id in busy.items()}
    response = venue.call("GET", "/orders/historical/batch", params=query)
    assert [names[order["order_id"]] for order in response.json()["orders"]] == FILTERS[query]


def test_start_is_inclusive_and_end_exclusive(venue: Client, busy: dict[str, str]) -> None:
    moment = venue.order(busy["sell"])["created_time"]
    since = venue.get("/orders/historical/batch", start_date=moment)["orders"]
    until = venue.get("/orders/historical/batch", end_date=moment)["orders"]
    assert [order["order_id"] for order in since] == [busy["ioc"], busy["eth"], busy["sell"]]
    assert [order["order_id"] for order in until] == [busy["filled"], busy["open"]]


@pytest.mark.parametrize("query", ["order_status=DONE", "start_date=now", "order_side=HOLD", "cursor=!", "limit=-1"])
def test_bad_filters_are_a_400(venue: Client, query: str) -> None:
    response = venue.call("GET", "/orders/historical/batch", params=query)
    assert (response.status_code, response.json()["error"]) == (400, "INVALID_ARGUMENT")


def test_orders_are_paged_and_new_ones_do_not_disturb(venue: Client, busy: dict[str, str]) -> None:
    seen: list[str] = []
    cursor, page = "", {"has_next": True}
    while page["has_next"]:
        page = venue.get("/orders/historical/batch", limit=2, cursor=cursor)
        seen += [order["order_id"] for order in page["orders"]]
        cursor = page["cursor"]
        venue.place(limit("40000"))
    assert seen == [busy[name] for name in ALL]
    assert cursor == ""


def test_fills_are_paged_to_an_empty_cursor(venue: Client, busy: dict[str, str]) -> None:
    everything = venue.get("/orders/historical/fills")["fills"]
    page = venue.get("/orders/historical/fills", limit=1)
    assert "has_next" not in page
    seen = page["fills"]
    while page["cursor"]:
        page = venue.get("/orders/historical/fills", limit=1, cursor=page["cursor"])
        seen += page["fills"]
    assert seen == everything and len(seen) > 1
    stamps = [fill["sequence_timestamp"] for fill in seen]
    assert stamps == sorted(stamps, reverse=True)


def test_fills_are_filtered(venue: Client, busy: dict[str, str]) -> None:
    def orders_of(query: str) -> set[str]:
        response = venue.call("GET", "/orders/historical/fills", params=query)
        return {fill["order_id"] for fill in response.json()["fills"]}

    filled, sold = busy["filled"], busy["sell"]
    assert orders_of("") == orders_of(f"order_id={filled}") == {filled, sold}
    assert orders_of(f"order_ids={filled}") == {filled}
    assert orders_of(f"order_ids={filled}&order_ids={sold}&limit=50") == {filled, sold}
    assert orders_of("product_ids=ETH-USD") == orders_of("order_side=SELL") == {sold}
    trade = venue.fills(filled)[0]
    assert orders_of(f"trade_ids={trade['trade_id']}") == {filled}
    assert orders_of("start_sequence_timestamp=2099-01-01T00:00:00Z") == set()
    assert filled not in orders_of(f"end_sequence_timestamp={trade['sequence_timestamp']}")


@pytest.mark.parametrize(
    "other", ["product_ids=BTC-USD", "order_side=BUY", "trade_ids=x", "start_sequence_timestamp=2020-01-01T00:00:00Z"]
)
def test_order_ids_stand_alone(venue: Client, other: str) -> None:
    response = venue.call("GET", "/orders/historical/fills", params=f"order_ids=x&{other}")
    assert response.status_code == 400
    assert response.json()["message"] == "cannot pass order_ids with other filters"


def test_accounts_are_paged(venue: Client) -> None:
    everything = venue.get("/accounts")
    assert everything["has_next"] is False and everything["size"] == 8
    page = venue.get("/accounts", limit=3)
    assert page["has_next"] is True
    rows = page["accounts"]
    while page["has_next"]:
        page = venue.get("/accounts", limit=3, cursor=page["cursor"])
        rows += page["accounts"]
    assert rows == everything["accounts"]
    one = venue.get(f"/accounts/{rows[0]['uuid']}")["account"]
    assert one == rows[0] and one["type"] == "ACCOUNT_TYPE_FIAT"
    assert venue.call("GET", "/accounts/none").status_code == 404
