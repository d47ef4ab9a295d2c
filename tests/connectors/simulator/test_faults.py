"""Each fault: what the client sees, and what the venue did."""

import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from apps.connectors.simulator import faults
from tests.connectors.simulator.client import Client, MakeClient
from tests.connectors.simulator.conftest import Process

LIMIT = {"limit_limit_gtc": {"base_size": "0.01", "limit_price": "1000.00"}}
Start = Callable[..., tuple[Process, Client]]


def send(venue: Client, client_order_id: str = "one") -> httpx.Response:
    return venue.call("POST", "/orders", json=venue.body(LIMIT, "BUY", "BTC-USD", client_order_id))


def orders(venue: Client) -> list[str]:
    return [order["client_order_id"] for order in venue.admin("GET", "/orders")["orders"]]


def log(venue: Client, endpoint: str = "create") -> list[dict[str, Any]]:
    return [row for row in venue.admin("GET", "/requests")["requests"] if row["endpoint"] == endpoint]


def test_an_error_after_accepting_is_html_and_the_order_is_there(venue: Client) -> None:
    venue.admin("POST", "/faults", {"endpoint": "create", "kind": "5xx-after"})
    response = send(venue)
    assert response.status_code == 502 and response.headers["content-type"].startswith("text/html")
    assert orders(venue) == ["one"]
    assert [(row["created_order"], row["status"], row["fault"]) for row in log(venue)] == [(True, 502, "5xx-after")]
    assert send(venue).json()["success_response"]["order_id"] == log(venue)[0]["order_id"]


CUTS = [("0.05", 10.0), ("60", 0.3)]
"""Fault seconds and client patience: the venue hangs up first, and the client does."""


def cut(venue: Client, kind: str, seconds: str, patience: float) -> None:
    """One create that gets no answer."""
    venue.admin("POST", "/reset", {})
    venue.admin("POST", "/faults", {"endpoint": "create", "kind": kind, "seconds": seconds})
    venue.http.timeout = httpx.Timeout(patience)
    with pytest.raises(httpx.TransportError):
        send(venue)
    venue.http.timeout = httpx.Timeout(10)


def test_a_timeout_after_accepting_leaves_an_order(start: Start) -> None:
    _, venue = start()
    for seconds, patience in CUTS:
        cut(venue, "timeout-after", seconds, patience)
        assert orders(venue) == ["one"]
        assert [(row["created_order"], row["status"]) for row in log(venue)] == [(True, None)]
        assert send(venue).json()["success"] is True
        assert orders(venue) == ["one"]


def test_a_timeout_before_accepting_leaves_none(start: Start) -> None:
    _, venue = start()
    for seconds, patience in CUTS:
        cut(venue, "timeout-before", seconds, patience)
        assert orders(venue) == []
        assert [(row["created_order"], row["status"]) for row in log(venue)] == [(False, None)]
        assert send(venue).json()["success"] is True
        assert orders(venue) == ["one"]


def test_latency_is_added_and_combines(venue: Client) -> None:
    venue.admin("POST", "/faults", {"endpoint": "any", "kind": "latency", "milliseconds": 1})
    venue.admin("POST", "/faults", {"endpoint": "create", "kind": "5xx-after"})
    assert send(venue).status_code == 502
    assert log(venue)[0]["fault"] == "latency,5xx-after"
    assert venue.admin("GET", "/faults")["faults"] == []


def test_a_count_runs_out_and_the_scope_holds(venue: Client) -> None:
    shown = venue.admin("POST", "/faults", {"endpoint": "accounts", "kind": "5xx-after", "count": 2})["faults"]
    assert shown[0]["count"] == 2
    assert venue.call("GET", "/products").status_code == 200
    assert [venue.call("GET", "/accounts").status_code for _ in range(3)] == [502, 502, 200]


def test_a_probability_is_seeded(make_venue: MakeClient) -> None:
    def pattern(venue: Client) -> list[int]:
        venue.admin("DELETE", "/faults")
        venue.admin("POST", "/faults", {"endpoint": "time", "kind": "5xx-after", "probability": "0.5"})
        return [venue.http.get("/api/v3/brokerage/time").status_code for _ in range(40)]

    venue = make_venue("--seed", "5")
    first = pattern(venue)
    assert set(first) == {200, 502}
    assert pattern(venue) == first
    assert pattern(make_venue("--seed", "6")) != first


def test_faults_are_taken_back(venue: Client) -> None:
    venue.admin("POST", "/faults", {"endpoint": "any", "kind": "5xx-after", "count": 9})
    assert venue.admin("DELETE", "/faults") == {"faults": []}
    assert venue.call("GET", "/accounts").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"endpoint": "nowhere", "kind": "latency"},
        {"endpoint": "any", "kind": "mischief"},
        {"endpoint": "any", "kind": "latency", "count": "many"},
        {"endpoint": "any", "kind": "latency", "probability": "2"},
        {"endpoint": "any", "kind": "latency", "milliseconds": -1},
        {"endpoint": "any", "kind": "latency", "when": "now"},
        {"endpoint": "list", "kind": "late-arrival"},
        {"endpoint": "any", "kind": "lost-fills"},
        {"kind": "lost-fills", "rows": -1},
        {"kind": "lost-fills", "lasts": "soon"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(venue: Client, body: dict[str, Any]) -> None:
    response = venue.http.post("/simulator/faults", json=body)
    assert response.status_code == 400
    assert venue.admin("GET", "/faults") == {"faults": []}


def test_the_command_line_form() -> None:
    fault = faults.parse_words("create:timeout-after:count=3,seconds=2.5")
    assert (fault.endpoint, fault.kind, fault.count, str(fault.seconds)) == ("create", "timeout-after", 3, "5/2")
    assert faults.parse_words("any:5xx-after:probability=0.1").count is None
    assert (faults.parse_words("fills:lost-fills:lasts=2,rows=3").count, fault.until) == (None, None)


def test_the_log_has_the_bytes_as_they_came(venue: Client) -> None:
    raw = b'{"client_order_id" : "odd",\n "product_id":"BTC-USD","side":"BUY","order_configuration":{}}'
    assert venue.call("POST", "/orders", content=raw).status_code == 400
    row = log(venue)[0]
    assert base64.b64decode(row["body"]) == raw
    assert (row["method"], row["path"], row["status"]) == ("POST", "/api/v3/brokerage/orders", 400)
