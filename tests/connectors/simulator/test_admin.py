"""The operator's side door: closed to browsers, and what it does."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.connectors.simulator.client import Client
from tests.connectors.simulator.conftest import STEP

DOORS = [
    ("GET", "/health"), ("POST", "/faults"), ("DELETE", "/faults"), ("POST", "/price"), ("POST", "/clock"),
    ("POST", "/reset"), ("POST", "/product"), ("POST", "/fills/correction"), ("GET", "/requests"), ("GET", "/orders"),
    ("GET", "/creates"), ("POST", "/options"), ("POST", "/release"), ("GET", "/sockets"), ("POST", "/sockets"),
    ("DELETE", "/sockets"), ("GET", "/replay"), ("POST", "/replay"), ("GET", "/oauth"), ("POST", "/oauth"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), DOORS)
@pytest.mark.parametrize("header", [{"Origin": "http://localhost"}, {"Origin": "null"}, {"Host": "evil.example"}])
def test_browsers_are_kept_out(venue: Client, method: str, path: str, header: dict[str, str]) -> None:
    response = venue.http.request(method, f"/simulator{path}", headers=header, json={})
    assert (response.status_code, response.json()["error"]) == (403, "PERMISSION_DENIED")


def test_health(venue: Client) -> None:
    health = venue.admin("GET", "/health")
    assert health["status"] == "ok" and health["key_name"] == venue.key["name"]
    assert (health["seed"], health["step"], health["frozen"]) == (7, STEP, True)


def test_the_clock_freezes_moves_and_runs(venue: Client) -> None:
    assert venue.admin("POST", "/clock", {"step": STEP + 9}) == {"frozen": True, "step": STEP + 9}
    assert venue.admin("POST", "/clock", {"frozen": True}) == {"frozen": True, "step": STEP + 9}
    running = venue.admin("POST", "/clock", {"frozen": False})
    assert running["frozen"] is False and running["step"] != STEP + 9


@pytest.mark.parametrize("body", [{"step": "1"}, {"step": -1}, {"frozen": "yes"}, {"frozen": False, "step": 1}])
def test_a_clock_order_that_makes_no_sense_is_refused(venue: Client, body: dict[str, Any]) -> None:
    assert venue.http.post("/simulator/clock", json=body).status_code == 400


def test_a_pin_holds_the_mid_until_it_is_let_go(venue: Client) -> None:
    path = venue.get("/best_bid_ask", product_ids="BTC-USD")["pricebooks"][0]["bids"]
    assert venue.pin("60000") == {"product_id": "BTC-USD", "bid": "59997", "ask": "60003"}
    venue.step(STEP + 1)
    assert venue.get("/products/BTC-USD")["price"] == "60000"
    assert venue.get("/products/BTC-USDC")["price"] == "60000"
    venue.pin(None)
    venue.step(STEP)
    assert venue.get("/best_bid_ask", product_ids="BTC-USD")["pricebooks"][0]["bids"] == path


@pytest.mark.parametrize("mid", ["0", "-1", "NaN", "x", 60000, "0.001"])
def test_a_pin_that_makes_no_sense_is_refused(venue: Client, mid: Any) -> None:
    assert venue.http.post("/simulator/price", json={"product_id": "BTC-USD", "mid": mid}).status_code == 400


def test_reset_starts_afresh(venue: Client) -> None:
    venue.pin("60000")
    venue.place({"market_market_ioc": {"quote_size": "100"}})
    venue.admin("POST", "/faults", {"kind": "latency", "milliseconds": 0, "count": 99})
    health = venue.admin("POST", "/reset", {"cash": "250.50", "balances": {"BTC": "2"}})
    assert (health["orders"], health["requests"], health["frozen"]) == (0, 0, False)
    balances = venue.balances()
    assert (balances["USD"], balances["BTC"], balances["ETH"]) == (("250.5", "0"), ("2", "0"), ("4", "0"))
    assert venue.admin("GET", "/faults") == {"faults": []}
    assert venue.http.post("/simulator/reset", json={"balances": {"EUR": "1"}}).status_code == 400


def test_reset_takes_an_empty_body(venue: Client) -> None:
    assert venue.http.post("/simulator/reset").status_code == 200


LIMIT = {"limit_limit_gtc": {"base_size": "0.01", "limit_price": "1000.00"}}
MORE = {"limit_limit_gtc": {"base_size": "0.02", "limit_price": "1000.00"}}


def test_creates_are_counted_per_client_order_id(venue: Client) -> None:
    first = venue.create(LIMIT, client_order_id="one")["success_response"]["order_id"]
    venue.create(LIMIT, client_order_id="one")
    venue.create(MORE, client_order_id="one")
    venue.admin("POST", "/faults", {"endpoint": "create", "kind": "429"})
    assert venue.call("POST", "/orders", json=venue.body(LIMIT, "BUY", "BTC-USD", "two")).status_code == 429
    assert venue.admin("GET", "/creates")["creates"] == [
        {"client_order_id": "one", "requests": 3, "bodies": 2, "order_id": first, "status": "OPEN"},
        {"client_order_id": "two", "requests": 1, "bodies": 1, "order_id": "", "status": ""},
    ]
    venue.admin("POST", "/reset", {})
    assert venue.admin("GET", "/creates")["creates"] == []


def test_a_known_client_order_id_gives_the_original_whatever_the_body_says(venue: Client) -> None:
    first = venue.create(LIMIT, client_order_id="one")
    assert venue.create(MORE, "SELL", "ETH-USD", client_order_id="one") == first
    assert venue.create({}, client_order_id="one") == first
    assert venue.admin("POST", "/options", {"duplicate_mode": "reject"})["duplicate_mode"] == "reject"
    refused = venue.create(LIMIT, client_order_id="one")
    assert refused["error_response"]["new_order_failure_reason"] == "DUPLICATE_CLIENT_ORDER_ID"
    assert [order["order_id"] for order in venue.admin("GET", "/orders")["orders"]] == [first["order_id"]]


def test_options_hold_until_the_next_reset(venue: Client) -> None:
    venue.admin("POST", "/options", {"visible_ms": 3_600_000, "pending_ms": 3_600_000})
    hidden = venue.place(LIMIT)
    assert venue.call("GET", f"/orders/historical/{hidden}").status_code == 404
    assert venue.admin("POST", "/release") == {"released": 1}
    assert venue.order(hidden)["status"] == "PENDING"
    venue.admin("POST", "/reset", {})
    assert venue.order(venue.place(LIMIT))["status"] == "OPEN"


def test_a_book_can_say_that_it_has_stood_still(venue: Client) -> None:
    def changed_at(body: dict[str, Any]) -> datetime:
        venue.admin("POST", "/options", body)
        (book,) = venue.get("/best_bid_ask", product_ids="BTC-USD")["pricebooks"]
        return datetime.fromisoformat(book["time"])

    assert changed_at({}) - changed_at({"book_age_ms": 3_600_000}) > timedelta(minutes=50)


@pytest.mark.parametrize("body", [{"duplicate_mode": "ignore"}, {"visible_ms": -1}, {"visible_ms": True}, {"x": 1}])
def test_an_option_that_makes_no_sense_is_refused(venue: Client, body: dict[str, Any]) -> None:
    assert venue.http.post("/simulator/options", json=body).status_code == 400
