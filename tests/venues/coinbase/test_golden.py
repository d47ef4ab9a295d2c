"""Recorded payloads, and the traps of the wire that coinbase.md section 3 lists, as our values."""

import json
from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest

from apps.common.errors import NotFound, Unavailable
from apps.connectors.errors import AlreadyExists, CredentialsRefused, Mismatch, RateLimited, Rejected
from apps.connectors.types import Liquidity, OrderType, Side, TimeInForce, TradeType, VenueOrderState
from apps.connectors.venues.coinbase import answers, parse, probes, wire
from apps.connectors.venues.coinbase.client import refusal
from apps.connectors.venues.http import Reply
from tests.venues.coinbase.payloads import load, raw

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def reply(status: int, body: bytes) -> Reply:
    return Reply(status=status, headers={}, body=body)


def sent(**changes: Any) -> answers.Sent:
    body = {
        "client_order_id": "12345678",
        "product_id": "BTC-USD",
        "side": "BUY",
        "order_configuration": {"market_market_ioc": {"quote_size": "1"}},
    }
    return answers.Sent.of(json.dumps(body | changes).encode())


def test_balances_name_both_account_types_and_add_rows_up() -> None:
    rows = list(wire.rows(load("rest_accounts"), "accounts")) + list(wire.rows(load("rest_accounts_live"), "accounts"))
    extra = json.loads(raw("rest_accounts"))["accounts"][0] | {"type": "ACCOUNT_TYPE_CRYPTO"}
    found = {item.currency: item for item in parse.balances([*rows, extra])}
    assert found["BTC"].available == D("2.46913578")
    assert found["BTC"].held == D("0.01")
    assert found["USD"].available == D("10000.50")
    assert found["USD"].total == D("10450.50")
    assert found["USDC"].total == 0


@pytest.mark.parametrize(
    "change",
    [
        {"type": "ACCOUNT_TYPE_VAULT"},
        {"active": False},
        {"deleted_at": "2024-01-01T00:00:00Z"},
        {"platform": "ACCOUNT_PLATFORM_CFM_CONSUMER"},
    ],
)
def test_balances_leave_out_what_cannot_be_spent_here(change: dict[str, object]) -> None:
    row = json.loads(raw("rest_accounts"))["accounts"][0]
    assert parse.balances([row])
    assert parse.balances([row | change]) == ()


def test_instrument_takes_the_price_increment_as_tick() -> None:
    spec = parse.instrument(load("rest_product"), NOW)
    assert (spec.code, spec.base_currency, spec.quote_currency) == ("BTC-USD", "BTC", "USD")
    assert (spec.price_increment, spec.quantity_increment, spec.quote_increment) == (D("0.01"), D("1e-8"), D("0.01"))
    assert (spec.min_notional, spec.max_notional) == (D(1), D(150_000_000))
    assert spec.tradable
    coarse = json.loads(raw("rest_product")) | {"price_increment": "0.00000001", "quote_increment": "0.01"}
    assert parse.instrument(coarse, NOW).price_increment == D("1e-8")


@pytest.mark.parametrize(
    "change",
    [
        {"status": "delisted"},
        {"is_disabled": True},
        {"trading_disabled": True},
        {"view_only": True},
        {"auction_mode": True},
    ],
)
def test_instrument_that_takes_no_orders_is_not_tradable(change: dict[str, object]) -> None:
    assert not parse.instrument(json.loads(raw("rest_product")) | change, NOW).tradable


def test_instruments_leave_out_other_products_and_rows_without_numbers() -> None:
    rows = list(wire.rows(load("rest_products"), "products"))
    future = dict(rows[0]) | {"product_id": "BIT-28JUN24-CDE", "product_type": "FUTURE"}
    silent = dict(rows[0]) | {"product_id": "OLD-USD", "price_increment": ""}
    assert [spec.code for spec in parse.instruments([*rows, future, silent], NOW)] == ["BTC-USD", "BTC-USDC"]


def test_quote_needs_two_sides_and_a_time() -> None:
    book = wire.rows(load("rest_best_bid_ask"), "pricebooks")[0]
    quote = parse.quote(book, NOW)
    assert quote is not None
    assert (quote.bid, quote.ask, quote.mid) == (D("0.2384"), D("0.2406"), D("0.2395"))
    assert quote.occurred_at == datetime(2023, 6, 30, 7, 15, 24, 656044, tzinfo=UTC)
    assert parse.quote(dict(book) | {"asks": []}, NOW) is None
    assert parse.quote(dict(book) | {"time": ""}, NOW) is None


def test_candle_times_are_epoch_texts() -> None:
    first = parse.candle(wire.rows(load("rest_candles"), "candles")[0])
    assert first.start == datetime(2024, 4, 4, 1, tzinfo=UTC)
    assert (first.open, first.high, first.low, first.close) == tuple(
        map(D, ("66312.4", "66331.99", "66055.14", "66181.6"))
    )


def test_fees_time_and_permissions() -> None:
    rates = parse.fee_rates(load("rest_transaction_summary"))
    assert (rates.taker, rates.maker) == (D("0.012"), D("0.006"))
    assert parse.server_time(load("rest_server_time")) == datetime(2024, 2, 27, 3, 37, 14, 333000, tzinfo=UTC)
    assert parse.permissions(load("rest_key_permissions")).can_transfer
    with pytest.raises(wire.Malformed):
        parse.permissions({"can_view": True, "can_trade": True})


def test_order_open_live_with_an_empty_fee() -> None:
    order = parse.order(wire.row_of(load("rest_get_order_open_live")["order"], "order"))
    assert (order.state, order.side, order.order_type, order.time_in_force) == (
        VenueOrderState.OPEN,
        Side.SELL,
        OrderType.LIMIT,
        TimeInForce.GTC,
    )
    assert (order.quantity, order.limit_price, order.filled_quantity) == (D("0.2"), D("0.006"), 0)
    assert order.average_fill_price is None
    assert order.created_at == datetime(2023, 1, 16, 23, 37, 23, 947030, tzinfo=UTC)
    assert order.reject_reason == ""


def test_order_sized_in_quote_and_null_times() -> None:
    first, second = map(parse.order, wire.rows(load("rest_list_orders"), "orders"))
    assert first.updated_at == first.created_at
    assert (second.quantity, second.quote_quantity) == (None, D(100))
    assert (second.state, second.filled_quantity, second.total_fees) == (VenueOrderState.FILLED, D("0.0325"), D("0.50"))


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("PENDING", "PENDING"),
        ("QUEUED", "PENDING"),
        ("OPEN", "OPEN"),
        ("CANCEL_QUEUED", "OPEN"),
        ("EDIT_QUEUED", "OPEN"),
        ("FILLED", "FILLED"),
        ("CANCELLED", "CANCELED"),
        ("EXPIRED", "EXPIRED"),
        ("FAILED", "REJECTED"),
        ("UNKNOWN_ORDER_STATUS", "UNKNOWN"),
        ("SOMETHING_NEW", "UNKNOWN"),
        ("", "UNKNOWN"),
    ],
)
def test_order_states(status: str, state: str) -> None:
    row = dict(wire.row_of(load("rest_get_order_open_live")["order"], "order")) | {"status": status}
    assert parse.order(row).state == state


def test_a_failed_order_with_fills_is_not_rejected() -> None:
    row = dict(wire.row_of(load("rest_get_order")["order"], "order")) | {"status": "FAILED"}
    assert parse.order(row | {"filled_size": "0"}).state is VenueOrderState.REJECTED
    assert parse.order(row).state is VenueOrderState.CANCELED


def test_order_of_a_kind_we_do_not_place_and_without_configuration() -> None:
    row = dict(wire.row_of(load("rest_get_order")["order"], "order"))
    other = parse.order(
        row | {"order_type": "BRACKET", "time_in_force": "UNKNOWN_TIME_IN_FORCE", "order_configuration": None}
    )
    assert (other.order_type, other.time_in_force, other.quantity) == (None, None, None)


def test_zero_time_is_none() -> None:
    row = dict(wire.row_of(load("rest_get_order")["order"], "order")) | {"created_time": "0001-01-01T00:00:00Z"}
    assert parse.order(row).created_at is None


def test_fills() -> None:
    first, second = map(parse.fill, wire.rows(load("rest_list_fills"), "fills"))
    assert (first.venue_fill_id, first.quantity, first.fee, first.fee_currency) == (
        "22222-2222222-22222222",
        D("0.005"),
        D("1.14"),
        "USD",
    )
    assert (first.liquidity, second.liquidity, second.side) == (Liquidity.MAKER, Liquidity.TAKER, Side.SELL)


def test_fill_sized_in_quote_becomes_base_with_nanoseconds_cut() -> None:
    (fill,) = map(parse.fill, wire.rows(load("rest_list_fills_size_in_quote"), "fills"))
    assert fill.quantity == D("0.000000220684504963")
    assert fill.quantity * fill.price <= D("0.0046830664333996")
    assert fill.liquidity is Liquidity.UNKNOWN
    assert fill.fee_currency == "USDT"
    assert fill.occurred_at == datetime(2023, 1, 18, 1, 37, 38, 91377, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "kind"), [("REVERSAL", "REVERSAL"), ("CORRECTION", "CORRECTION"), ("NEW_ONE", "UNKNOWN")]
)
def test_fill_kinds(name: str, kind: str) -> None:
    row = dict(wire.rows(load("rest_list_fills"), "fills")[0]) | {"trade_type": name}
    assert parse.fill(row).trade_type is TradeType(kind)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e400", "--1", "1_000", "0x1", "١", " 1", "1,5"])
def test_numbers_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(wire.Malformed):
        wire.decimal({"size": text}, "size")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b"{", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff", b"[" * 5000]
)
def test_bodies_that_are_no_object_are_refused(body: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.decode(body)


def test_create_success_in_its_old_form() -> None:
    placed = answers.placement_of(reply(200, raw("rest_create_order_success")), sent())
    assert (placed.venue_order_id, placed.side) == ("62475e97-7485-45eb-a5ac-594805fa2748", Side.BUY)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rest_create_order_error_insufficient", "PREVIEW_INSUFFICIENT_FUND"),
        ("rest_create_order_error_preview", "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE"),
        ("rest_create_order_error_unsupported", "UNSUPPORTED_ORDER_CONFIGURATION"),
    ],
)
def test_create_failure_names_the_first_reason_that_says_something(name: str, reason: str) -> None:
    with pytest.raises(Rejected) as refused:
        answers.placement_of(reply(200, raw(name)), sent())
    assert refused.value.reason == reason


@pytest.mark.parametrize("key", ["preview_failure_reason", "new_order_failure_reason", "error"])
def test_a_duplicate_is_an_order_that_exists(key: str) -> None:
    body = {"success": False, "error_response": {"error": "UNKNOWN_FAILURE_REASON", key: "DUPLICATE_CLIENT_ORDER_ID"}}
    with pytest.raises(AlreadyExists) as exists:
        answers.placement_of(reply(200, json.dumps(body).encode()), sent())
    assert exists.value.client_order_id == "12345678"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"client_order_id": "another"}, "client_order_id"),
        ({"product_id": "ETH-USD"}, "instrument"),
        ({"side": "SELL"}, "side"),
        ({"order_configuration": {"market_market_ioc": {"quote_size": "2"}}}, "quote_size"),
        ({"order_configuration": {"limit_limit_gtc": {"base_size": "2"}}}, "order_configuration"),
    ],
)
def test_what_comes_back_different_is_a_mismatch(changes: dict[str, object], field: str) -> None:
    with pytest.raises(Mismatch) as found:
        answers.placement_of(reply(200, raw("rest_create_order_success")), sent(**changes))
    assert set(found.value.differences) == {field}
    assert found.value.placement.venue_order_id == "62475e97-7485-45eb-a5ac-594805fa2748"


def test_the_same_terms_written_otherwise_are_no_mismatch() -> None:
    body = json.loads(raw("rest_create_order_success"))
    body["order_configuration"] = {
        "limit_limit_gtd": {
            **{"base_size": "0.0010", "limit_price": "10000.00", "post_only": "false", "reduce_only": False},
            "end_time": "2026-11-22T12:00:00Z",
        }
    }
    asked = {
        "limit_limit_gtd": {
            **{"base_size": "0.001", "limit_price": "10000", "post_only": False},
            "end_time": "2026-11-22T12:00:00.000000Z",
        }
    }
    assert answers.placement_of(reply(200, json.dumps(body).encode()), sent(order_configuration=asked)).venue_order_id


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "rest_error_400_invalid_argument", Rejected),
        (403, "rest_error_403_missing_scopes", CredentialsRefused),
        (404, "rest_error_404_order", NotFound),
        (429, "rest_error_429", RateLimited),
        (500, "rest_error_429", Unavailable),
    ],
)
def test_what_the_error_bodies_mean_to_a_read(status: int, name: str, kind: type[Exception]) -> None:
    assert type(refusal(reply(status, raw(name)), path="/x")) is kind


def test_cancel_result_with_the_unknown_reason_is_taken() -> None:
    (result,) = answers.cancellations_of(reply(200, raw("rest_cancel_orders")), ["0000-00000"])
    assert result.requested
    assert result.reason == ""
    (none,) = answers.cancellations_of(reply(200, raw("rest_cancel_orders")), ["another"])
    assert not none.requested
    assert none.read_order


def test_the_expected_keys_are_those_of_the_recorded_payloads() -> None:
    rows = {
        "time": load("rest_server_time"),
        "key_permissions": load("rest_key_permissions"),
        "accounts": wire.rows(load("rest_accounts"), "accounts")[0],
        "portfolios": wire.rows(load("rest_portfolios"), "portfolios")[0],
        "transaction_summary": load("rest_transaction_summary"),
        "products": wire.rows(load("rest_products"), "products")[0],
        "product": load("rest_product"),
        "product_book": load("rest_product_book"),
        "best_bid_ask": wire.rows(load("rest_best_bid_ask"), "pricebooks")[0],
        "orders": wire.rows(load("rest_list_orders"), "orders")[0],
        "fills": wire.rows(load("rest_list_fills"), "fills")[0],
    }
    assert {name: tuple(sorted(row)) for name, row in rows.items()} == dict(probes.expected_keys())
