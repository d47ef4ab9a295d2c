"""Connections, valid by default: paper, active, with a key nobody has; or of a running simulator."""

import base64
from datetime import UTC, datetime
from typing import Any

import factory

from apps.accounts.models import ApiKey
from apps.common.encryption import fingerprint
from apps.connectors.models import BalanceRecord, Connection, ConnectionGrant, Instrument
from tests.factories.accounts import DeskFactory
from tests.venues.simulator_process import SimulatorProcess

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = base64.b64encode(b"a key that no venue ever gave us"[:32]).decode()


class ConnectionFactory(factory.django.DjangoModelFactory[Connection]):
    class Meta:
        model = Connection

    slug = factory.Sequence(lambda n: f"connection-{n}")
    name = factory.LazyAttribute(lambda row: row.slug.title())
    desk = factory.SubFactory(DeskFactory)
    environment = "paper"
    api_base = "http://localhost:9"
    key_name = "organizations/test/apiKeys/test"
    secret = SECRET
    secret_fingerprint = factory.LazyAttribute(lambda row: fingerprint(row.secret))
    is_active = True
    created_at = LONG_AGO


def simulator_connection(simulator: SimulatorProcess, **fields: Any) -> Connection:
    """A connection that reaches the running simulator with its key."""
    made: Connection = ConnectionFactory(
        api_base=simulator.url, key_name=simulator.key_name, secret=simulator.secret, **fields
    )
    return made


class InstrumentFactory(factory.django.DjangoModelFactory[Instrument]):
    class Meta:
        model = Instrument

    connection = factory.SubFactory(ConnectionFactory)
    code = "BTC-USD"
    base_currency = "BTC"
    quote_currency = "USD"
    price_increment = "0.01"
    quantity_increment = "0.00000001"
    quote_increment = "0.01"
    min_quantity = "0.00000001"
    max_quantity = "3400"
    min_notional = "1"
    max_notional = "150000000"
    tradable = True
    cancel_only = False
    limit_only = False
    post_only = False
    fetched_at = LONG_AGO


class BalanceFactory(factory.django.DjangoModelFactory[BalanceRecord]):
    class Meta:
        model = BalanceRecord

    connection = factory.SubFactory(ConnectionFactory)
    currency = "USD"
    available = "10000"
    held = "0"
    as_of = LONG_AGO


def grant(connection: Connection, api_key: ApiKey) -> ConnectionGrant:
    return ConnectionGrant.objects.create(connection=connection, api_key=api_key, granted_at=LONG_AGO)
