"""An order's bytes: one text for one request, and nothing rounded, dropped or guessed."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal as D

import pytest

from apps.common.errors import Invalid
from apps.connectors.services import venue
from apps.connectors.types import OrderRequest, OrderType, Side, TimeInForce
from apps.connectors.venues.coinbase import parse
from apps.connectors.venues.coinbase.bodies import preview_body
from tests.venues.coinbase.payloads import load, raw

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MARKET = OrderRequest("id-1", "BTC-USD", Side.BUY, OrderType.MARKET, TimeInForce.IOC, quote_quantity=D("10.00"))
LIMIT = OrderRequest(
    "id-1", "BTC-USD", Side.BUY, OrderType.LIMIT, TimeInForce.GTC, quantity=D("0.001"), limit_price=D("10000.00")
)
GTD = replace(LIMIT, time_in_force=TimeInForce.GTD, expires_at=NOW)
STOP = replace(LIMIT, order_type=OrderType.STOP_LIMIT, stop_price=D("9990"))


def configuration(request: OrderRequest) -> dict[str, object]:
    return dict(json.loads(venue.order_body("coinbase", request))["order_configuration"])


def test_the_bytes_are_fixed() -> None:
    assert venue.order_body("coinbase", LIMIT) == (
        b'{"client_order_id":"id-1","product_id":"BTC-USD","side":"BUY","order_configuration":'
        b'{"limit_limit_gtc":{"base_size":"0.001","limit_price":"10000","post_only":false}}}'
    )
    assert venue.order_body("coinbase", LIMIT) == venue.order_body("coinbase", replace(LIMIT, quantity=D("1E-3")))


def test_the_keys_are_those_of_the_documented_requests() -> None:
    for name, request in (("limit_gtc", LIMIT), ("market_ioc", MARKET)):
        documented = json.loads(raw(f"rest_create_order_request_{name}"))
        ours = json.loads(venue.order_body("coinbase", request))
        assert ours.keys() == documented.keys()
        ((key, terms),) = documented["order_configuration"].items()
        assert ours["order_configuration"][key].keys() == terms.keys()


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (MARKET, {"market_market_ioc": {"quote_size": "10"}}),
        (replace(MARKET, quote_quantity=None, quantity=D(2)), {"market_market_ioc": {"base_size": "2"}}),
        (
            replace(MARKET, side=Side.SELL, quote_quantity=None, quantity=D("1e-8")),
            {"market_market_ioc": {"base_size": "0.00000001"}},
        ),
        (
            replace(LIMIT, time_in_force=TimeInForce.IOC),
            {"sor_limit_ioc": {"base_size": "0.001", "limit_price": "10000"}},
        ),
        (
            replace(LIMIT, time_in_force=TimeInForce.FOK),
            {"limit_limit_fok": {"base_size": "0.001", "limit_price": "10000"}},
        ),
        (
            replace(GTD, post_only=True),
            {
                "limit_limit_gtd": {
                    **{"base_size": "0.001", "limit_price": "10000"},
                    **{"end_time": "2026-11-22T12:00:00.000000Z", "post_only": True},
                }
            },
        ),
        (
            STOP,
            {
                "stop_limit_stop_limit_gtc": {
                    **{"base_size": "0.001", "limit_price": "10000", "stop_price": "9990"},
                    "stop_direction": "STOP_DIRECTION_STOP_UP",
                }
            },
        ),
        (
            replace(STOP, side=Side.SELL, time_in_force=TimeInForce.GTD, expires_at=NOW),
            {
                "stop_limit_stop_limit_gtd": {
                    **{"base_size": "0.001", "limit_price": "10000", "stop_price": "9990"},
                    **{"stop_direction": "STOP_DIRECTION_STOP_DOWN", "end_time": "2026-11-22T12:00:00.000000Z"},
                }
            },
        ),
    ],
)
def test_each_kind_of_order(request_: OrderRequest, expected: dict[str, object]) -> None:
    assert configuration(request_) == expected


@pytest.mark.parametrize(
    "request_",
    [
        replace(MARKET, time_in_force=TimeInForce.FOK),
        replace(MARKET, side=Side.SELL),
        replace(MARKET, quantity=D(1)),
        replace(MARKET, quote_quantity=None),
        replace(MARKET, limit_price=D(1)),
        replace(MARKET, post_only=True),
        replace(LIMIT, limit_price=None),
        replace(LIMIT, limit_price=D("NaN")),
        replace(LIMIT, quantity=D(0)),
        replace(LIMIT, quantity=D(-1)),
        replace(LIMIT, quantity=D("Infinity")),
        replace(LIMIT, quantity=None, quote_quantity=D(5)),
        replace(LIMIT, stop_price=D(1)),
        replace(LIMIT, expires_at=NOW),
        replace(LIMIT, time_in_force=TimeInForce.IOC, post_only=True),
        replace(GTD, expires_at=None),
        replace(GTD, expires_at=datetime(2026, 11, 22)),  # noqa: DTZ001  a naive one is what is refused
        replace(STOP, stop_price=None),
        replace(STOP, time_in_force=TimeInForce.IOC),
        replace(STOP, post_only=True),
        replace(LIMIT, client_order_id=""),
        replace(LIMIT, client_order_id="x" * 65),
        replace(LIMIT, client_order_id="a\nb"),
        replace(LIMIT, instrument=""),
    ],
)
def test_terms_without_a_place_on_the_wire_are_refused(request_: OrderRequest) -> None:
    with pytest.raises(Invalid):
        venue.order_body("coinbase", request_)


def test_a_preview_has_the_same_terms_and_no_id() -> None:
    order = json.loads(venue.order_body("coinbase", LIMIT))
    del order["client_order_id"]
    assert json.loads(preview_body(LIMIT)) == order


def test_increments_are_checked_only_when_asked_and_never_rounded() -> None:
    spec = parse.instrument(load("rest_product"), NOW)
    off = replace(LIMIT, limit_price=D("10000.001"))
    assert configuration(off) == {
        "limit_limit_gtc": {"base_size": "0.001", "limit_price": "10000.001", "post_only": False}
    }
    assert venue.order_body("coinbase", LIMIT, spec=spec)
    for request in (
        off,
        replace(LIMIT, quantity=D("0.000000001")),
        replace(MARKET, quote_quantity=D("10.001")),
        replace(STOP, stop_price=D("9990.005")),
    ):
        with pytest.raises(Invalid, match="OFF_INCREMENT"):
            venue.order_body("coinbase", request, spec=spec)
