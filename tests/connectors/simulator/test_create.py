"""What the venue refuses and why, with the accepted order beside it; and one order per client_order_id."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.connectors.simulator.client import Client, MakeClient
from tests.connectors.simulator.conftest import STEP

LIMIT = {"base_size": "0.01", "limit_price": "50000.00"}


def at(offset: int) -> str:
    return (datetime.fromtimestamp(STEP, UTC) + timedelta(seconds=offset)).isoformat()


def limit(**changes: Any) -> dict[str, Any]:
    return {"limit_limit_gtc": LIMIT | changes}


def gtd(end: object) -> dict[str, Any]:
    return {"limit_limit_gtd": LIMIT | ({"end_time": end} if end else {})}


def stop(direction: str, stop_price: str, limit_price: str) -> dict[str, Any]:
    values = {"base_size": "0.01", "limit_price": limit_price, "stop_price": stop_price}
    return {"stop_limit_stop_limit_gtc": values | {"stop_direction": f"STOP_DIRECTION_STOP_{direction}"}}


def reason(reply: Any) -> str:
    """As a careful client reads it: the first of the three that is present and says something."""
    assert reply["success"] is False
    assert "success_response" not in reply
    error = reply["error_response"]
    codes = [error.get(name, "") for name in ("preview_failure_reason", "new_order_failure_reason", "error")]
    return next(str(code) for code in codes if code and not code.startswith("UNKNOWN_"))


STOP_UP = stop("UP", "61000", "61100")
ACCEPTED = [
    ("BUY", limit()),
    ("BUY", limit(post_only=True)),
    ("BUY", {"limit_limit_gtc": {"quote_size": "500.00", "limit_price": "50000.00"}}),
    ("BUY", gtd(at(60))),
    ("BUY", {"limit_limit_fok": {"base_size": "0.01", "limit_price": "70000.00"}}),
    ("BUY", {"sor_limit_ioc": {"base_size": "0.01", "limit_price": "70000.00"}}),
    ("BUY", {"market_market_ioc": {"quote_size": "10.25"}}),
    ("BUY", {"market_market_ioc": {"base_size": "0.01"}}),
    ("SELL", {"market_market_ioc": {"base_size": "0.01"}}),
    ("BUY", STOP_UP),
    ("SELL", stop("DOWN", "59000", "58900")),
    ("BUY", {"stop_limit_stop_limit_gtd": STOP_UP["stop_limit_stop_limit_gtc"] | {"end_time": at(9)}}),
]


@pytest.mark.parametrize(("side", "configuration"), ACCEPTED)
def test_it_accepts(venue: Client, side: str, configuration: dict[str, Any]) -> None:
    venue.pin("60000")
    order = venue.order(venue.place(configuration, side))
    assert order["order_configuration"] == configuration
    assert order["side"] == side


REFUSED = [
    ("BUY", limit(base_size="0.000000001"), "INVALID_SIZE_PRECISION"),
    ("BUY", limit(limit_price="50000.001"), "INVALID_PRICE_PRECISION"),
    ("BUY", limit(base_size="4000"), "PREVIEW_INVALID_BASE_SIZE_TOO_LARGE"),
    ("BUY", limit(base_size="0.00000001"), "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
    ("BUY", limit(base_size="0"), "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL"),
    ("BUY", limit(limit_price="0"), "INVALID_LIMIT_PRICE"),
    ("BUY", limit(limit_price="99999999999"), "PREVIEW_INVALID_PRICE_TOO_LARGE"),
    ("BUY", limit(base_size="1e-2"), "PREVIEW_NON_NUMERIC_ORDER_SIZE"),
    ("BUY", limit(base_size="NaN"), "PREVIEW_NON_NUMERIC_ORDER_SIZE"),
    ("BUY", limit(base_size="-1"), "PREVIEW_NON_NUMERIC_ORDER_SIZE"),
    ("BUY", limit(quote_size="500"), "PREVIEW_INVALID_ORDER_CONFIG"),
    ("BUY", limit(limit_price="60003.00", post_only=True), "INVALID_LIMIT_PRICE_POST_ONLY"),
    ("SELL", limit(limit_price="59997.00", post_only=True), "INVALID_LIMIT_PRICE_POST_ONLY"),
    ("BUY", limit(base_size="3"), "PREVIEW_INSUFFICIENT_FUND"),
    ("SELL", limit(base_size="0.51"), "PREVIEW_INSUFFICIENT_FUND"),
    ("BUY", {"market_market_ioc": {"quote_size": "100000.01"}}, "PREVIEW_INSUFFICIENT_FUND"),
    ("BUY", {"market_market_ioc": {"base_size": "1.66"}}, "PREVIEW_INSUFFICIENT_FUND"),
    ("BUY", {"market_market_ioc": {"quote_size": "10.001"}}, "PREVIEW_INVALID_QUOTE_SIZE_PRECISION"),
    ("BUY", {"market_market_ioc": {"quote_size": "0.99"}}, "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
    ("SELL", {"market_market_ioc": {"quote_size": "10"}}, "PREVIEW_INVALID_ORDER_CONFIG"),
    ("BUY", {"market_market_fok": {"quote_size": "10"}}, "UNSUPPORTED_ORDER_CONFIGURATION"),
    ("BUY", {"trigger_bracket_gtc": LIMIT}, "UNSUPPORTED_ORDER_CONFIGURATION"),
    ("BUY", gtd(None), "GTD_ORDERS_MUST_HAVE_END_TIME"),
    ("BUY", gtd(at(0)), "END_TIME_IS_IN_THE_PAST"),
    ("BUY", stop("UP", "59000", "61100"), "PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE"),
    ("SELL", stop("DOWN", "61000", "58900"), "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE"),
    ("BUY", stop("UP", "61200", "61100"), "PREVIEW_STOP_PRICE_ABOVE_LIMIT_PRICE"),
    ("SELL", stop("DOWN", "58800", "58900"), "PREVIEW_STOP_PRICE_BELOW_LIMIT_PRICE"),
    ("BUY", stop("DOWN", "59000", "58900"), "PREVIEW_INVALID_STOP_PRICE"),
    ("BUY", stop("UP", "61000.001", "61100"), "PREVIEW_INVALID_STOP_PRICE_PRECISION"),
]


@pytest.mark.parametrize(("side", "configuration", "code"), REFUSED)
def test_it_refuses(venue: Client, side: str, configuration: dict[str, Any], code: str) -> None:
    venue.pin("60000")
    before = venue.balances()
    reply = venue.create(configuration, side)
    assert reason(reply) == code
    assert reply["order_configuration"] == configuration
    assert venue.balances() == before
    assert venue.get("/orders/historical/batch")["orders"] == []
    preview = {"product_id": "BTC-USD", "side": side, "order_configuration": configuration}
    errs = venue.call("POST", "/orders/preview", json=preview).json()["errs"]
    assert [err.removeprefix("PREVIEW_") for err in errs] == [code.removeprefix("PREVIEW_")]


FLAGS = [
    ("trading_disabled", limit(), "TRADING_DISABLED"),
    ("is_disabled", limit(), "TRADING_DISABLED"),
    ("cancel_only", limit(), "ORDER_ENTRY_DISABLED"),
    ("auction_mode", limit(), "ORDER_ENTRY_DISABLED"),
    ("limit_only", {"market_market_ioc": {"quote_size": "10"}}, "PREVIEW_NOT_ALLOWED_BY_MARKET_STATE"),
    ("post_only", limit(), "PREVIEW_NOT_ALLOWED_BY_MARKET_STATE"),
]


@pytest.mark.parametrize(("flag", "configuration", "code"), FLAGS)
def test_a_flag_of_the_product_refuses_and_lets_go(
    venue: Client, flag: str, configuration: dict[str, Any], code: str
) -> None:
    body = venue.admin("POST", "/product", {"product_id": "BTC-USD", flag: True})
    assert body[flag] is True
    assert reason(venue.create(configuration)) == code
    venue.admin("POST", "/product", {"product_id": "BTC-USD", flag: False})
    assert venue.create(configuration)["success"]


def test_unknown_and_disabled_products(venue: Client) -> None:
    assert reason(venue.create(limit(), product_id="NO-USD")) == "INVALID_PRODUCT_ID"
    assert reason(venue.create(limit(limit_price="50"), product_id="LTC-USD")) == "TRADING_DISABLED"


UNREADABLE: list[Any] = [
    b"",
    b"not json",
    b"[]",
    b"[" * 100_000,
    b'{"client_order_id": "\\ud800"}',
    b'{"client_order_id": ' + b"9" * 5000 + b"}",
    {"side": "HOLD"},
    {"side": None},
    {"product_id": ""},
    {"client_order_id": ""},
    {"client_order_id": 5},
    {"order_configuration": {}},
    {"order_configuration": None},
    {"order_configuration": limit() | gtd(at(9))},
    {"order_configuration": {"limit_limit_gtc": []}},
    {"order_configuration": limit(base_size=1)},
    {"order_configuration": limit(base_size=0.01)},
    {"order_configuration": limit(post_only="true")},
    {"order_configuration": gtd("tomorrow")},
    {"order_configuration": gtd("2027-01-01T00:00:00")},
]


@pytest.mark.parametrize("change", UNREADABLE, ids=lambda change: str(change)[:60])
def test_what_cannot_be_read_is_a_400(venue: Client, change: Any) -> None:
    body = venue.body(limit(), "BUY", "BTC-USD", None)
    options = {"content": change} if isinstance(change, bytes) else {"json": body | change}
    response = venue.call("POST", "/orders", **options)
    assert (response.status_code, response.json()["error"]) == (400, "INVALID_ARGUMENT")


def test_the_same_client_order_id_replays_the_original(venue: Client) -> None:
    first = venue.create(limit(), client_order_id="one")
    venue.cancel(first["success_response"]["order_id"])
    again = venue.create(limit(base_size="0.02"), "SELL", "ETH-USD", client_order_id="one")
    assert again == first
    assert len(venue.admin("GET", "/orders")["orders"]) == 1
    log = [row for row in venue.admin("GET", "/requests")["requests"] if row["endpoint"] == "create"]
    assert [row["created_order"] for row in log] == [True, False]
    assert log[0]["order_id"] == log[1]["order_id"] == first["order_id"]


def test_the_same_client_order_id_is_refused_in_the_other_mode(make_venue: MakeClient) -> None:
    venue = make_venue("--duplicate-mode", "reject")
    assert venue.create(limit(), client_order_id="one")["success"]
    assert reason(venue.create(limit(), client_order_id="one")) == "DUPLICATE_CLIENT_ORDER_ID"
    assert len(venue.admin("GET", "/orders")["orders"]) == 1


def test_a_refused_order_does_not_use_up_its_id(venue: Client) -> None:
    assert not venue.create(limit(base_size="3000"), client_order_id="one")["success"]
    assert venue.create(limit(), client_order_id="one")["success"]


def test_preview_estimates_and_reserves_nothing(venue: Client) -> None:
    venue.pin("60000")
    before = venue.balances()
    body = {"product_id": "BTC-USD", "side": "BUY", "order_configuration": {"market_market_ioc": {"base_size": "0.1"}}}
    preview = venue.call("POST", "/orders/preview", json=body).json()
    assert preview["errs"] == [] and preview["preview_id"]
    assert (preview["best_bid"], preview["best_ask"], preview["base_size"]) == ("59997", "60003", "0.1")
    order = venue.order(venue.place({"market_market_ioc": {"base_size": "0.1"}}))
    assert preview["commission_total"] == order["total_fees"]
    assert preview["order_total"] == order["total_value_after_fees"]
    assert preview["average_filled_price"] == order["average_filled_price"]
    venue.admin("POST", "/reset", {})
    assert venue.balances() == before
