"""Orders meet the book: types, times in force, partial fills, stops, cancels."""

from decimal import Decimal
from typing import Any

from tests.connectors.simulator.client import Client, MakeClient
from tests.connectors.simulator.conftest import STEP
from tests.connectors.simulator.test_create import at, stop


def limit(base_size: str, price: str, **more: Any) -> dict[str, Any]:
    return {"limit_limit_gtc": {"base_size": base_size, "limit_price": price, **more}}


def test_a_market_buy_walks_the_book_and_pays_the_taker_fee(venue: Client) -> None:
    venue.pin("60000")
    book = venue.get("/product_book", product_id="BTC-USD")["pricebook"]["asks"]
    order_id = venue.place({"market_market_ioc": {"base_size": "0.5"}})
    order, fills = venue.order(order_id), list(reversed(venue.fills(order_id)))
    assert (order["status"], order["filled_size"], order["completion_percentage"]) == ("FILLED", "0.5", "100")
    assert len(fills) > 1
    assert [fill["price"] for fill in fills] == [level["price"] for level in book[: len(fills)]]
    assert [fill["size"] for fill in fills[:-1]] == [level["size"] for level in book[: len(fills) - 1]]
    for fill in fills:
        assert Decimal(fill["commission"]) == Decimal(fill["price"]) * Decimal(fill["size"]) * Decimal("0.006")
        assert (fill["liquidity_indicator"], fill["trade_type"], fill["size_in_quote"]) == ("TAKER", "FILL", False)
    assert Decimal(order["average_filled_price"]) > Decimal(book[0]["price"])
    assert len({fill["entry_id"] for fill in fills}) == len(fills)
    after = venue.get("/product_book", product_id="BTC-USD")["pricebook"]["asks"]
    assert Decimal(after[0]["price"]) == Decimal(fills[-1]["price"])
    venue.step(STEP + 1)
    assert venue.get("/product_book", product_id="BTC-USD")["pricebook"]["asks"][0]["price"] == book[0]["price"]


def test_a_quote_sized_buy_spends_its_size_fees_included(venue: Client) -> None:
    order_id = venue.place({"market_market_ioc": {"quote_size": "25000.00"}})
    order, fills = venue.order(order_id), venue.fills(order_id)
    assert order["size_in_quote"] is True and order["status"] == "FILLED"
    assert all(fill["size_in_quote"] for fill in fills)
    base = sum(Decimal(fill["size"]) / Decimal(fill["price"]) for fill in fills)
    assert base == Decimal(order["filled_size"])
    spent = sum(Decimal(fill["size"]) + Decimal(fill["commission"]) for fill in fills)
    assert Decimal("24999.99") < spent <= Decimal("25000")
    assert Decimal(venue.balances()["USD"][0]) == Decimal("100000") - spent


def test_a_marketable_limit_takes_up_to_its_limit_and_rests(venue: Client) -> None:
    venue.pin("60000")
    order = venue.order(venue.place(limit("1", "60003.00")))
    taken = Decimal(order["filled_size"])
    assert order["status"] == "OPEN" and 0 < taken < 1
    assert order["average_filled_price"] == "60003"
    rest = (1 - taken) * Decimal("60003") * Decimal("1.006")
    assert Decimal(order["outstanding_hold_amount"]) == rest == Decimal(venue.balances()["USD"][1])


def test_a_resting_limit_fills_when_the_price_comes(venue: Client) -> None:
    venue.pin("60000")
    order_id = venue.place(limit("0.01", "59000.00"))
    venue.step(STEP + 5)
    assert venue.order(order_id)["status"] == "OPEN"
    venue.pin("58990")
    order, fills = venue.order(order_id), venue.fills(order_id)
    assert (order["status"], order["average_filled_price"]) == ("FILLED", "59000")
    assert [fill["liquidity_indicator"] for fill in fills] == ["MAKER"]
    assert Decimal(order["total_fees"]) == Decimal("590") * Decimal("0.004")
    assert venue.balances()["USD"] == ("99407.64", "0")


def test_a_large_resting_limit_fills_in_parts_over_steps(venue: Client) -> None:
    venue.pin("60000")
    order_id = venue.place(limit("1.5", "59990.00"))
    venue.pin("59980")
    sizes = [Decimal(venue.order(order_id)["filled_size"])]
    for step in range(1, 60):
        venue.step(STEP + step)
        sizes.append(Decimal(venue.order(order_id)["filled_size"]))
    assert 0 < sizes[0] < sizes[1] < Decimal("1.5")
    assert sizes[-1] == Decimal("1.5") and sizes == sorted(sizes)
    assert venue.order(order_id)["status"] == "FILLED"
    assert int(venue.order(order_id)["number_of_fills"]) == len(venue.fills(order_id)) > 2


def test_ioc_cancels_the_rest_and_fok_takes_all_or_nothing(venue: Client) -> None:
    venue.pin("60000")
    ioc = venue.order(venue.place({"sor_limit_ioc": {"base_size": "1", "limit_price": "60003"}}))
    assert ioc["status"] == "CANCELLED" and 0 < Decimal(ioc["filled_size"]) < 1
    venue.step(STEP + 1)
    fok = venue.order(venue.place({"limit_limit_fok": {"base_size": "1", "limit_price": "60003"}}))
    assert (fok["status"], fok["filled_size"], fok["number_of_fills"]) == ("CANCELLED", "0", "0")
    fok = venue.order(venue.place({"limit_limit_fok": {"base_size": "0.001", "limit_price": "60003"}}))
    assert (fok["status"], fok["filled_size"]) == ("FILLED", "0.001")
    assert venue.balances()["USD"][1] == "0"


def test_gtd_expires_and_keeps_its_partial_fill(venue: Client) -> None:
    venue.pin("60000")
    values = {"base_size": "1", "limit_price": "60003.00", "end_time": at(30)}
    order_id = venue.place({"limit_limit_gtd": values})
    venue.pin("61000")
    venue.step(STEP + 29)
    assert venue.order(order_id)["status"] == "OPEN"
    venue.step(STEP + 30)
    order = venue.order(order_id)
    assert order["status"] == "EXPIRED" and Decimal(order["filled_size"]) > 0
    assert order["outstanding_hold_amount"] == venue.balances()["USD"][1] == "0"


def test_a_stop_waits_for_its_price(venue: Client) -> None:
    venue.pin("60000")
    order_id = venue.place(stop("DOWN", "59000", "58000"), "SELL")
    order = venue.order(order_id)
    assert (order["status"], order["trigger_status"], order["order_type"]) == ("OPEN", "STOP_PENDING", "STOP_LIMIT")
    assert order["outstanding_hold_amount"] == "0.01" == venue.balances()["BTC"][1]
    venue.pin("58995")
    order = venue.order(order_id)
    assert (order["status"], order["trigger_status"]) == ("FILLED", "STOP_TRIGGERED")
    assert Decimal(order["average_filled_price"]) > 58000


def test_cancel_releases_the_hold_and_names_what_it_cannot_do(venue: Client) -> None:
    order_id = venue.place(limit("0.3", "50000.00"))
    assert venue.balances()["USD"] == ("84910", "15090")
    results = venue.cancel(order_id, "nonsense")
    assert [(row["success"], row["failure_reason"]) for row in results] == [
        (True, "UNKNOWN_CANCEL_FAILURE_REASON"),
        (False, "UNKNOWN_CANCEL_ORDER"),
    ]
    assert venue.order(order_id)["status"] == "CANCELLED"
    assert venue.balances()["USD"] == ("100000", "0")
    assert venue.cancel(order_id)[0]["failure_reason"] == "INVALID_CANCEL_REQUEST"
    response = venue.call("POST", "/orders/batch_cancel", json={"order_ids": ["x"] * 101})
    assert (response.status_code, response.json()["error"]) == (400, "InvalidArgument")


def test_a_queued_cancel_can_lose_the_race(make_venue: MakeClient) -> None:
    venue = make_venue("--cancel-ms", "60000")
    venue.pin("60000")
    order_id = venue.place(limit("0.01", "59000.00"))
    assert venue.cancel(order_id)[0]["success"]
    order = venue.order(order_id)
    assert (order["status"], order["pending_cancel"]) == ("CANCEL_QUEUED", True)
    assert venue.cancel(order_id)[0]["failure_reason"] == "DUPLICATE_CANCEL_REQUEST"
    venue.pin("58990")
    assert venue.order(order_id)["status"] == "FILLED"
    assert venue.cancel(order_id)[0]["failure_reason"] == "ORDER_IS_FULLY_FILLED"


def test_a_pending_order_holds_funds_and_is_not_open(make_venue: MakeClient) -> None:
    venue = make_venue("--pending-ms", "60000")
    order_id = venue.place({"market_market_ioc": {"quote_size": "1000"}})
    assert venue.order(order_id)["status"] == "PENDING"
    assert venue.balances()["USD"] == ("99000", "1000")
    assert venue.get("/orders/historical/batch", order_status="OPEN")["orders"] == []
    assert len(venue.get("/orders/historical/batch", order_status="PENDING")["orders"]) == 1
    assert venue.cancel(order_id)[0]["success"]
    assert venue.balances()["USD"] == ("100000", "0")


def test_a_new_order_can_be_invisible_for_a_while(make_venue: MakeClient) -> None:
    venue = make_venue("--visible-ms", "60000")
    order_id = venue.place({"market_market_ioc": {"quote_size": "100"}})
    assert venue.call("GET", f"/orders/historical/{order_id}").status_code == 404
    assert venue.fills(order_id) == []
    assert venue.get("/orders/historical/batch")["orders"] == []
    assert [row["order_id"] for row in venue.admin("GET", "/orders")["orders"]] == [order_id]


def test_an_alias_shares_the_book_and_settles_in_its_own_currency(venue: Client) -> None:
    venue.pin("60000")
    order = venue.order(venue.place({"market_market_ioc": {"base_size": "0.01"}}, product_id="BTC-USDC"))
    assert order["average_filled_price"] == "60003"
    balances = venue.balances()
    assert balances["USD"] == ("100000", "0")
    assert Decimal(balances["USDC"][0]) == 5000 - Decimal(order["total_value_after_fees"])


def test_a_reversal_takes_the_trade_back(venue: Client) -> None:
    before = venue.balances()
    order_id = venue.place({"market_market_ioc": {"base_size": "0.01"}})
    entry = venue.fills(order_id)[0]["entry_id"]
    reversal = venue.admin("POST", "/fills/correction", {"entry_id": entry})["fill"]
    newest, oldest = venue.fills(order_id)
    assert newest == reversal and newest["entry_id"] != oldest["entry_id"]
    assert (newest["trade_type"], newest["trade_id"]) == ("REVERSAL", oldest["trade_id"])
    assert venue.balances() == before
    assert venue.order(order_id)["filled_size"] == "0"
    response = venue.http.post("/simulator/fills/correction", json={"entry_id": entry})
    assert response.status_code == 404
