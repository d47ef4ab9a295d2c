"""Faults that hide, delay or repeat: what the venue did, and what its lists say of it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.connectors.simulator.client import Client
from tests.connectors.simulator.conftest import Process
from tests.connectors.simulator.test_faults import LIMIT, log, orders, send

Start = Callable[..., tuple[Process, Client]]


def listed(venue: Client) -> list[str]:
    return [order["client_order_id"] for order in venue.get("/orders/historical/batch")["orders"]]


@pytest.mark.parametrize(("kind", "status"), [("429", 429), ("5xx-before", 503)])
def test_a_refusal_before_accepting_leaves_none(venue: Client, kind: str, status: int) -> None:
    venue.admin("POST", "/faults", {"endpoint": "create", "kind": kind})
    response = send(venue)
    assert response.status_code == status
    if kind == "429":
        assert response.json() == {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}
    assert orders(venue) == []
    assert send(venue).json()["success"] is True


@pytest.mark.parametrize("kind", ["garbage", "truncated"])
def test_garbage_after_accepting_is_200_and_the_order_is_there(venue: Client, kind: str) -> None:
    venue.admin("POST", "/faults", {"endpoint": "create", "kind": kind})
    response = send(venue)
    assert response.status_code == 200
    with pytest.raises(ValueError, match="Expecting|Unterminated"):
        response.json()
    assert orders(venue) == ["one"]


def test_cut_connections(start: Start) -> None:
    """A reset before or after, half an answer, and a create that comes when its connection is long gone."""
    _, venue = start()
    for kind, left in (("reset-before", []), ("reset-after", ["one"]), ("cut-short", ["one"])):
        venue.admin("POST", "/reset", {})
        venue.admin("POST", "/faults", {"endpoint": "create", "kind": kind})
        with pytest.raises(httpx.ReadError if kind != "cut-short" else httpx.TransportError):
            send(venue)
        assert (kind, orders(venue)) == (kind, left)
        assert send(venue).json()["success"] is True
        assert orders(venue) == ["one"]


def test_a_late_arrival_is_nowhere_until_it_comes(start: Start) -> None:
    _, venue = start()
    venue.admin("POST", "/faults", {"kind": "late-arrival", "seconds": "3600"})
    with pytest.raises(httpx.ReadError):
        send(venue)
    assert (orders(venue), listed(venue)) == ([], [])
    assert venue.admin("POST", "/release") == {"released": 1}
    assert (orders(venue), listed(venue)) == (["one"], ["one"])
    assert [(row["created_order"], row["status"], row["note"]) for row in log(venue)] == [
        (True, None, "arrived late, status 200")
    ]
    assert venue.admin("POST", "/release") == {"released": 0}


def test_a_late_arrival_after_a_replay_makes_no_second_order(start: Start) -> None:
    _, venue = start()
    venue.admin("POST", "/faults", {"kind": "late-arrival", "seconds": "3600"})
    with pytest.raises(httpx.ReadError):
        send(venue)
    assert send(venue).json()["success"] is True
    venue.admin("POST", "/release")
    assert orders(venue) == ["one"]
    assert [row["created_order"] for row in log(venue)] == [False, True]


def test_a_late_arrival_comes_by_itself_and_a_reset_forgets_it(start: Start) -> None:
    _, venue = start()
    for seconds, left in (("0", ["one"]), ("3600", [])):
        venue.admin("POST", "/reset", {})
        venue.admin("POST", "/faults", {"kind": "late-arrival", "seconds": seconds})
        with pytest.raises(httpx.ReadError):
            send(venue)
        if seconds != "0":
            venue.admin("POST", "/reset", {})
            venue.admin("POST", "/release")
        assert listed(venue) == left


def test_a_slow_listing_hides_an_accepted_order_and_goes_with_a_lost_answer(venue: Client) -> None:
    venue.admin("POST", "/faults", {"kind": "slow-listing", "seconds": "3600"})
    venue.admin("POST", "/faults", {"endpoint": "create", "kind": "5xx-after"})
    assert send(venue).status_code == 502
    assert log(venue)[0]["fault"] == "slow-listing,5xx-after"
    order_id = log(venue)[0]["order_id"]
    assert (orders(venue), listed(venue)) == (["one"], [])
    assert venue.call("GET", f"/orders/historical/{order_id}").status_code == 404
    assert venue.get("/orders/historical/fills")["fills"] == []
    venue.admin("POST", "/release")
    assert listed(venue) == ["one"]
    assert venue.order(order_id)["client_order_id"] == "one"


def entries(venue: Client, **params: Any) -> list[str]:
    """All fills, page by page."""
    seen: list[str] = []
    while True:
        page = venue.get("/orders/historical/fills", **params)
        seen += [fill["entry_id"] for fill in page["fills"]]
        if not page["cursor"]:
            return seen
        params["cursor"] = page["cursor"]


@pytest.fixture
def three(venue: Client) -> Client:
    for _ in range(3):
        venue.place({"market_market_ioc": {"quote_size": "100"}})
    return venue


@pytest.mark.parametrize(("limit", "times"), [(100, 2), (2, 2), (1, 2)])
def test_duplicate_fills_repeat_rows_within_and_across_pages(three: Client, limit: int, times: int) -> None:
    plain = entries(three)
    three.admin("POST", "/faults", {"kind": "duplicate-fills", "count": 20})
    repeated = entries(three, limit=limit)
    assert set(repeated) == set(plain) and len(repeated) >= times * len(plain)
    assert (len(repeated) > 2 * len(plain)) is (limit == 2)


def test_lost_fills_are_missing_while_the_order_counts_them(three: Client) -> None:
    plain = entries(three)
    three.admin("POST", "/faults", {"kind": "lost-fills", "count": 2})
    assert entries(three) == plain[1:]
    assert entries(three, limit=2) == plain[1:]
    newest = three.get("/orders/historical/batch", limit=1)["orders"][0]
    assert newest["number_of_fills"] == "1"
    assert entries(three) == plain


def test_a_fault_may_last_for_a_time(three: Client) -> None:
    plain = entries(three)
    three.admin("POST", "/faults", {"kind": "lost-fills", "lasts": "3600", "rows": 9})
    assert [entries(three) for _ in range(3)] == [[], [], []]
    three.admin("DELETE", "/faults")
    three.admin("POST", "/faults", {"kind": "lost-fills", "lasts": "0"})
    assert entries(three) == plain


def test_the_command_line_takes_each_new_kind(start: Start) -> None:
    _, venue = start("--fault", "create:reset-after:count=1", "--fault", "fills:lost-fills:count=2,rows=1")
    assert [fault["kind"] for fault in venue.admin("GET", "/faults")["faults"]] == ["reset-after", "lost-fills"]
    with pytest.raises(httpx.ReadError):
        venue.call("POST", "/orders", json=venue.body(LIMIT, "BUY", "BTC-USD", "one"))
    assert orders(venue) == ["one"]
