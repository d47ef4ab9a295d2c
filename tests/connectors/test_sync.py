"""What a venue says, into our rows: whole, of one instant, and unchanged when the venue is away."""

from datetime import datetime, timedelta
from decimal import Decimal as D

import pytest

from apps.common.errors import Unavailable
from apps.connectors import selectors
from apps.connectors.models import BalanceRecord, Instrument
from apps.connectors.services import sync
from tests.factories.connectors import BalanceFactory, ConnectionFactory, InstrumentFactory, simulator_connection
from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.django_db


def test_instruments(simulator: SimulatorProcess, now: datetime) -> None:
    connection = simulator_connection(simulator)
    gone = InstrumentFactory(connection=connection, code="GONE-USD")
    other = InstrumentFactory(code="GONE-USD")
    assert sync.refresh_instruments(connection, now) > 3
    spec = selectors.instrument_of(connection.pk, "BTC-USD")
    assert spec is not None
    assert (spec.price_increment, spec.fetched_at, spec.tradable) == (D("0.01"), now, True)
    assert connection.instruments_as_of == now
    gone.refresh_from_db()
    other.refresh_from_db()
    assert (gone.tradable, other.tradable) == (False, True)

    assert selectors.cash_currencies(connection.pk) >= {"USD", "USDC"}
    assert [row.code for row in selectors.instruments_of(connection.pk, codes=("ETH-USD", "NOPE-USD"))] == ["ETH-USD"]

    simulator.switch("BTC-USD", cancel_only=True)
    later = now + timedelta(minutes=5)
    count = Instrument.objects.count()
    sync.refresh_instruments(connection, later)
    assert Instrument.objects.count() == count
    spec = selectors.instrument_of(connection.pk, "BTC-USD")
    assert spec is not None
    assert (spec.cancel_only, spec.fetched_at) == (True, later)
    simulator.switch("BTC-USD", cancel_only=False)


def test_balances_are_one_snapshot(simulator: SimulatorProcess, now: datetime) -> None:
    simulator.reset(USD="1234.5")
    connection = simulator_connection(simulator)
    BalanceFactory(connection=connection, currency="GONE", available="5")
    elsewhere = BalanceFactory()
    sync.refresh_balances(connection, now)
    balances = selectors.balances_of(connection)
    assert balances["USD"].available == D("1234.5")
    assert "GONE" not in balances
    assert {"USD", "BTC"} <= selectors.held_currencies(connection.pk)
    assert "LTC" not in selectors.held_currencies(connection.pk)
    assert connection.balances_as_of == now
    assert {row.as_of for row in connection.balances.all()} == {now}
    assert BalanceRecord.objects.filter(pk=elsewhere.pk).exists()


def test_fees(simulator: SimulatorProcess, now: datetime) -> None:
    connection = simulator_connection(simulator)
    sync.refresh_fees(connection, now)
    connection.refresh_from_db()
    assert connection.fee_taker is not None
    assert 0 < connection.fee_taker < 1
    assert connection.fees_as_of == now


@pytest.mark.slow
def test_a_venue_that_is_away_changes_nothing(now: datetime) -> None:
    connection = ConnectionFactory(api_base="http://localhost:9")
    row = InstrumentFactory(connection=connection)
    BalanceFactory(connection=connection)
    for refresh in (sync.refresh_instruments, sync.refresh_balances, sync.refresh_fees):
        with pytest.raises(Unavailable):
            refresh(connection, now)
    row.refresh_from_db()
    assert row.tradable
    assert selectors.balances_of(connection)["USD"].available == D(10000)
    assert connection.balances_as_of is None
