"""The double of Robinhood's API, and the connector that asks it."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from apps.connectors.venues.robinhood.connector import RobinhoodConnector
from tests.venues.robinhood.double import Double, robinhood
from tests.venues.test_robinhood_spec import connector_to


@pytest.fixture
def double() -> Iterator[Double]:
    with robinhood() as server:
        yield server


@pytest.fixture
def connector(double: Double) -> Iterator[RobinhoodConnector]:
    with closing(connector_to(double)) as made:
        yield made
