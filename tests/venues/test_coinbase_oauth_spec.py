"""The Coinbase connector by OAuth against the whole venue spec: a bearer does what a key does."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from apps.accounts.models import User
from apps.connectors.errors import CredentialsRefused
from apps.connectors.services.venue import connect, order_body
from tests.factories.oauth import OAuthSimulator, authorise, oauth_connection
from tests.venues.spec import Bench, VenueSpec

pytestmark = pytest.mark.django_db

CODE = "BTC-USD"
MID = Decimal(60_000)


@pytest.fixture
def bench(oauth_venue: OAuthSimulator, operator: User) -> Iterator[Bench]:
    oauth_venue.pin_price(CODE, MID)
    connector = connect(oauth_connection(authorise(operator)))
    yield Bench(venue="coinbase", connector=connector, strings=oauth_venue, code=CODE, mid=MID)


class TestCoinbaseByOAuth(VenueSpec):
    """Every numbered case of the spec."""


def test_a_refused_create_is_not_sent_again_and_the_next_one_has_a_new_token(
    oauth_venue: OAuthSimulator, bench: Bench
) -> None:
    first, second = _body(bench), _body(bench)
    oauth_venue.oauth(expire=True)
    with pytest.raises(CredentialsRefused):
        bench.connector.place_order(first)
    assert [row["requests"] for row in oauth_venue.creates()] == [1] and oauth_venue.orders() == []
    bench.connector.place_order(second)
    assert len(oauth_venue.orders()) == 1 and oauth_venue.oauth()["refreshes"] == 1


def test_an_order_waits_for_the_refresh_it_needs(oauth_venue: OAuthSimulator, bench: Bench) -> None:
    oauth_venue.oauth(expire=True)
    oauth_venue.add_fault("oauth-token", "latency", milliseconds=400)
    assert bench.connector.balances()
    assert oauth_venue.oauth()["refreshes"] == 1
    placed = bench.place(bench.resting())
    assert placed.venue_order_id


def _body(bench: Bench) -> bytes:
    return order_body(bench.venue, bench.resting())
