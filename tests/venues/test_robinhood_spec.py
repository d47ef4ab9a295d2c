"""The Robinhood connector against the venue spec, at a server that checks its signatures: reads, and nothing else."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from apps.connectors.venues.robinhood.auth import Signer
from apps.connectors.venues.robinhood.client import RobinhoodClient
from apps.connectors.venues.robinhood.connector import RobinhoodConnector
from tests.venues.robinhood.double import API_KEY, Double, robinhood
from tests.venues.spec import Bench, VenueSpec

MID = Decimal(60_000)


@pytest.fixture
def double() -> Iterator[Double]:
    with robinhood() as server:
        yield server


def connector_to(double: Double) -> RobinhoodConnector:
    signer = Signer.of(api_key=API_KEY, secret=double.secret)
    return RobinhoodConnector(client=RobinhoodClient(api_base=double.url, signer=signer), now=lambda: datetime.now(UTC))


@pytest.fixture
def bench(double: Double) -> Iterator[Bench]:
    with closing(connector_to(double)) as connector:
        yield Bench(venue="robinhood", connector=connector, strings=double, code="BTC-USD", mid=MID)


class TestRobinhood(VenueSpec):
    """Every numbered case of the spec that it claims."""
