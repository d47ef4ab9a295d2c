"""One connector per connection and secret, at an address that fits the word, outside transactions."""

from datetime import datetime, timedelta
from threading import Thread

import pytest
from django.db import transaction

from apps.audit.types import Actor
from apps.common.errors import Misconfigured
from apps.connectors.models import Connection
from apps.connectors.services import connections, venue
from tests.factories.connectors import SECRET, ConnectionFactory, simulator_connection
from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.django_db


def test_one_connector_until_the_secret_changes(simulator: SimulatorProcess, now: datetime) -> None:
    connection = simulator_connection(simulator)
    first = venue.connect(connection)
    assert venue.connect(Connection.objects.get(pk=connection.pk)) is first
    assert venue.connect(simulator_connection(simulator)) is not first
    connections.replace_secret(connection=connection, key_name="k", secret=SECRET, actor=Actor.system("test"), now=now)
    assert venue.connect(connection) is not first


def test_threads_share_it(simulator: SimulatorProcess) -> None:
    connector = venue.connect(simulator_connection(simulator))
    found: list[bool] = []
    threads = [Thread(target=lambda: found.append(connector.permissions().can_trade)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8


def test_a_call_inside_a_transaction_is_refused_and_not_sent(simulator: SimulatorProcess) -> None:
    connector = venue.connect(simulator_connection(simulator))
    assert connector.permissions().can_view
    with transaction.atomic(), pytest.raises(Misconfigured, match="VENUE_CALL_IN_TRANSACTION"):
        connector.permissions()
    assert len(simulator.requests("key_permissions")) == 1


@pytest.mark.parametrize(
    ("environment", "api_base"),
    [
        ("paper", "https://api.coinbase.com"),
        ("paper", "https://API.coinbase.com"),
        ("paper", "https://other.coinbase.com"),
        ("live", "http://localhost:8100"),
        ("live", "https://api-sandbox.coinbase.com"),
        ("live", "https://api.coinbase.com.evil.example"),
        ("paper", "http://simulator.example"),
        ("Paper", "http://localhost:8100"),
        ("", "http://localhost:8100"),
    ],
)
def test_an_address_that_does_not_fit_the_word_is_refused(environment: str, api_base: str) -> None:
    with pytest.raises(Misconfigured):
        venue.connect(ConnectionFactory.build(environment=environment, api_base=api_base))


@pytest.mark.parametrize(
    ("environment", "api_base"),
    [
        ("live", "https://api.coinbase.com"),
        ("paper", "https://api-sandbox.coinbase.com"),
        ("paper", "https://simulator.example"),
        ("paper", "http://127.0.0.1:8100"),
    ],
)
def test_an_address_that_fits_the_word(environment: str, api_base: str) -> None:
    connection = ConnectionFactory.build(environment=environment, api_base=api_base)
    assert venue.connect(connection) is venue.connect(connection)


@pytest.mark.parametrize("fields", [{"key_name": ""}, {"secret": ""}, {"secret": "no key"}, {"venue": "another"}])
def test_a_connection_without_a_usable_key_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(Misconfigured):
        venue.connect(ConnectionFactory.build(**fields))


def test_an_ended_connection_reads_and_places_nothing(simulator: SimulatorProcess, now: datetime) -> None:
    connection = simulator_connection(simulator)
    venue.connect(connection)
    connections.deactivate(connection=connection, reason="test", actor=Actor.system("test"), now=now)
    connector = venue.connect(connection)
    body = b'{"client_order_id":"1","product_id":"BTC-USD","side":"BUY","order_configuration":{"a":{}}}'
    with pytest.raises(Misconfigured, match="CONNECTION_INACTIVE"):
        connector.place_order(body)
    assert connector.orders(["BTC-USD"], now - timedelta(days=1), now) == ()
    assert simulator.requests("/orders") == []
