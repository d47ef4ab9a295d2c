"""Each answer has every field of the recorded one, of the same JSON type."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.connectors.simulator.client import PREFIX, Client

Golden = Callable[[str], Any]

# Null in one recorded answer and a time in another.
NULLABLE = {"last_fill_time"}


def assert_same_shape(expected: Any, actual: Any, where: str = "$") -> None:
    if where.rpartition(".")[2] in NULLABLE and (actual is None or isinstance(actual, str)):
        return
    if expected is None or actual is None:
        assert expected == actual, where
        return
    if isinstance(expected, dict):
        assert isinstance(actual, dict), where
        assert expected.keys() <= actual.keys(), f"{where} lacks {expected.keys() - actual.keys()}"
        for name, value in expected.items():
            # The configuration echoes the request, so its keys are the request's.
            if name != "order_configuration":
                assert_same_shape(value, actual[name], f"{where}.{name}")
    elif isinstance(expected, list):
        assert isinstance(actual, list), where
        if expected:
            assert actual, f"{where} is empty"
            assert_same_shape(expected[0], actual[0], f"{where}[0]")
    else:
        assert type(actual) is type(expected), f"{where}: {actual!r} is not like {expected!r}"


READS = {
    "accounts": "/accounts",
    "accounts_live": "/accounts",
    "best_bid_ask": "/best_bid_ask?product_ids=BTC-USD",
    "candles": "/products/BTC-USD/candles?granularity=ONE_MINUTE",
    "key_permissions": "/key_permissions",
    "list_fills": "/orders/historical/fills",
    "list_fills_size_in_quote": "/orders/historical/fills",
    "list_orders": "/orders/historical/batch",
    "market_trades": "/products/BTC-USD/ticker?limit=3",
    "portfolios": "/portfolios",
    "product": "/products/BTC-USD",
    "product_book": "/product_book?product_id=BTC-USD",
    "products": "/products",
    "server_time": "/time",
    "transaction_summary": "/transaction_summary",
}


@pytest.mark.parametrize("name", READS)
def test_reads_have_the_recorded_shape(venue: Client, golden: Golden, name: str) -> None:
    venue.place({"market_market_ioc": {"quote_size": "100"}})
    path, _, query = READS[name].partition("?")
    response = venue.call("GET", path, params=query)
    expected = golden(name)
    if name == "transaction_summary":  # whole or broken, both are JSON numbers
        numbers = ("total_volume", "total_fees", "advanced_trade_only_volume", "advanced_trade_only_fees")
        actual = response.json()
        assert all(isinstance(actual[field], int | float) for field in numbers)
        for field in (*numbers, "volume_breakdown"):
            expected.pop(field)
    assert_same_shape(expected, response.json())


@pytest.mark.parametrize("name", ["get_order", "get_order_open_live"])
def test_an_order_has_the_recorded_shape(venue: Client, golden: Golden, name: str) -> None:
    order_id = venue.place({"limit_limit_gtc": {"base_size": "0.2", "limit_price": "100.00", "post_only": False}})
    assert_same_shape(golden(name), venue.get(f"/orders/historical/{order_id}"))


def test_create_and_cancel_have_the_recorded_shape(venue: Client, golden: Golden) -> None:
    request = golden("create_order_request_limit_gtc")
    reply = venue.call("POST", "/orders", json=request).json()
    assert_same_shape(golden("create_order_success"), reply)
    assert reply["order_configuration"] == request["order_configuration"]
    results = venue.cancel(reply["success_response"]["order_id"])
    assert_same_shape(golden("cancel_orders"), {"results": results})
    assert results[0]["failure_reason"] == "UNKNOWN_CANCEL_FAILURE_REASON"


def test_refusals_are_the_recorded_ones(venue: Client, golden: Golden) -> None:
    expected = golden("create_order_error_insufficient")
    assert venue.create({"limit_limit_gtc": {"base_size": "1000", "limit_price": "10000.00"}}) == expected | {
        "order_configuration": {"limit_limit_gtc": {"base_size": "1000", "limit_price": "10000.00"}}
    }
    venue.pin("1000")
    expected = golden("create_order_error_preview")
    stop = {
        "base_size": "0.001",
        "limit_price": "2000",
        "stop_price": "2005",
        "stop_direction": "STOP_DIRECTION_STOP_DOWN",
    }
    reply = venue.create({"stop_limit_stop_limit_gtc": stop}, "SELL")
    assert reply["error_response"] == expected["error_response"]
    expected = golden("create_order_error_unsupported")
    reply = venue.create({"market_market_fok": {"base_size": "1"}})
    assert_same_shape(expected, reply)
    assert reply["error_response"]["new_order_failure_reason"] == expected["error_response"]["error"]


def test_http_errors_are_the_recorded_ones(venue: Client, golden: Golden) -> None:
    response = venue.call("GET", "/orders/historical/6a5b1f4e-0000-4000-8000-000000000000")
    assert (response.status_code, response.json()) == (404, golden("error_404_order"))
    response = venue.call("GET", "/orders/historical/fills", params={"order_ids": "a", "product_ids": "BTC-USD"})
    assert (response.status_code, response.json()) == (400, golden("error_400_invalid_argument"))


def test_public_twins_say_the_same_without_a_token(venue: Client) -> None:
    for path in ("/products/BTC-USD", "/products/BTC-USD/candles?granularity=ONE_HOUR", "/products/BTC-USD/ticker"):
        bare, _, query = path.partition("?")
        public = venue.http.get(f"{PREFIX}/market{path}")
        assert public.json() == venue.call("GET", bare, params=query).json()
    assert venue.http.get(f"{PREFIX}/time").status_code == 200
    assert venue.http.get(f"{PREFIX}/market/best_bid_ask").status_code == 404


def test_get_with_a_body_is_accepted(venue: Client) -> None:
    assert venue.call("GET", "/accounts", json={}).status_code == 200
