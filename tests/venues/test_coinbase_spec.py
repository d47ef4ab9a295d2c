"""The Coinbase connector against the venue spec, at the simulator; and the faults that only a venue can make."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.common.errors import OutcomeUnknown
from apps.connectors.errors import AlreadyExists, CredentialsRefused
from apps.connectors.services import venue
from apps.connectors.types import TradeType, VenueOrderState
from apps.connectors.venues.coinbase.auth import Signer
from apps.connectors.venues.coinbase.client import CoinbaseClient
from apps.connectors.venues.coinbase.connector import CoinbaseConnector
from tests.venues.simulator_process import SimulatorProcess
from tests.venues.spec import Bench, VenueSpec

CODE = "BTC-USD"
MID = Decimal(60_000)


def connector_to(process: SimulatorProcess, *, deadline_s: float = 10.0, key_name: str = "") -> CoinbaseConnector:
    signer = Signer.of(key_name=key_name or process.key_name, secret=process.secret)
    return CoinbaseConnector(
        client=CoinbaseClient(api_base=process.url, signer=signer, deadline_s=deadline_s),
        now=lambda: datetime.now(UTC),
        may_place=True,
    )


@pytest.fixture
def bench(simulator: SimulatorProcess) -> Iterator[Bench]:
    simulator.pin_price(CODE, MID)
    with closing(connector_to(simulator)) as connector:
        yield Bench(venue="coinbase", connector=connector, strings=simulator, code=CODE, mid=MID)


class TestCoinbase(VenueSpec):
    """Every numbered case of the spec."""


@pytest.mark.parametrize(("kind", "exists"), [("timeout-after", True), ("timeout-before", False), ("5xx-after", True)])
def test_an_unanswered_create_is_unknown_and_the_list_tells(
    simulator: SimulatorProcess, kind: str, exists: bool
) -> None:
    simulator.pin_price(CODE, MID)
    simulator.add_fault("create", kind, seconds="3")
    with closing(connector_to(simulator, deadline_s=0.8)) as connector:
        bench = Bench(venue="coinbase", connector=connector, strings=simulator, code=CODE, mid=MID)
        request = bench.resting()
        body = venue.order_body("coinbase", request)
        with pytest.raises(OutcomeUnknown):
            connector.place_order(body)
        since = datetime.now(UTC) - timedelta(minutes=1)
        listed = connector.orders([CODE], since, datetime.now(UTC) + timedelta(minutes=1))
        assert [item.client_order_id for item in listed] == ([request.client_order_id] if exists else [])
        assert len(simulator.requests("/orders")) == 1, "sent once"
        assert len(simulator.orders()) == (1 if exists else 0)


def test_replaying_the_same_bytes_makes_one_order(bench: Bench, simulator: SimulatorProcess) -> None:
    body = venue.order_body("coinbase", bench.resting())
    assert bench.connector.place_order(body) == bench.connector.place_order(body)
    assert len(simulator.orders()) == 1


def test_a_venue_that_refuses_duplicates_says_exists() -> None:
    process = SimulatorProcess(arguments=["--duplicate-mode", "reject"])
    try:
        process.start().pin_price(CODE, MID)
        with closing(connector_to(process)) as connector:
            bench = Bench(venue="coinbase", connector=connector, strings=process, code=CODE, mid=MID)
            request = bench.resting()
            bench.place(request)
            with pytest.raises(AlreadyExists):
                bench.place(request)
            assert len(process.orders()) == 1
    finally:
        process.stop()


def test_a_reversed_fill_is_a_row_of_its_own(bench: Bench, simulator: SimulatorProcess) -> None:
    placed = bench.place(bench.crossing())
    first = bench.connector.fills(venue_order_id=placed.venue_order_id)[0]
    simulator.correct_fill(first.venue_fill_id)
    kinds = [fill.trade_type for fill in bench.connector.fills(venue_order_id=placed.venue_order_id)]
    assert kinds.count(TradeType.REVERSAL) == 1


def test_another_key_is_refused(simulator: SimulatorProcess) -> None:
    with (
        closing(connector_to(simulator, key_name=f"organizations/x/apiKeys/{uuid.uuid4()}")) as connector,
        pytest.raises(CredentialsRefused),
    ):
        connector.permissions()


def test_a_resting_order_fills_when_the_price_comes(bench: Bench, simulator: SimulatorProcess) -> None:
    placed = bench.place(bench.resting())
    simulator.pin_price(CODE, MID / 3)
    order = bench.final(placed.venue_order_id)
    assert order.state is VenueOrderState.FILLED
    assert order.total_fees > 0
