"""Many that need one new access token at the same moment: one asks the venue, and all go on."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.accounts.models import User
from apps.connectors.models import Authorisation
from apps.connectors.services import bearers
from apps.connectors.venues.coinbase.oauth import OAuthClient
from tests.factories.accounts import UserFactory
from tests.factories.oauth import OAuthSimulator, authorise
from tests.races.conftest import together

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

MANY = 20


@pytest.fixture
def venue() -> Iterator[OAuthSimulator]:
    process = OAuthSimulator()
    process.start()
    with process.registered():
        yield process
    process.stop()


@pytest.fixture
def row(transactional_db: None, venue: OAuthSimulator) -> Authorisation:
    operator: User = UserFactory(username="otto", role="operator")
    return authorise(operator)


def works(row: Authorisation, ask: Any = bearers.bearer) -> list[Any]:
    late: datetime = row.access_until + timedelta(seconds=1)
    return [lambda: ask(row.pk, clock=lambda: late, before_call=lambda: None)] * MANY


def test_twenty_refreshes_are_one_token_exchange(venue: OAuthSimulator, row: Authorisation) -> None:
    results = together(works(row))
    assert [result for result in results if isinstance(result, Exception)] == []
    assert len({result.token for result in results}) == 1 and {result.generation for result in results} == {2}
    counts = venue.oauth()
    assert (counts["refreshes"], counts["reuses"]) == (1, 0)
    assert len(venue.requests("/oauth2/token")) == 2  # the code, and one refresh


def test_a_lost_answer_under_twenty_is_asked_once_too(venue: OAuthSimulator, row: Authorisation) -> None:
    venue.add_fault("oauth-token", "reset-after")
    results = together(works(row))
    assert {type(result) for result in results} == {bearers.ReconnectNeeded}
    assert len(venue.requests("/oauth2/token")) == 2


def test_a_slow_answer_is_waited_for(venue: OAuthSimulator, row: Authorisation) -> None:
    venue.add_fault("oauth-token", "latency", milliseconds=1500)
    results = together(works(row))
    assert [result for result in results if isinstance(result, Exception)] == []
    assert venue.oauth()["refreshes"] == 1


def naive(authorisation_id: Any, *, clock: Any, before_call: Any) -> bearers.Bearer:
    """Looks whether the token has ended, and refreshes it."""
    row = Authorisation.objects.get(pk=authorisation_id)
    if clock() >= row.access_until:
        tokens = OAuthClient(bearers.application(), api_base=row.api_base).refresh(row.refresh_token.reveal())
        bearers.write_tokens(row, tokens, asked_at=clock())
        row.generation += 1
        row.save()
    return bearers.Bearer(token=row.access_token.reveal(), generation=row.generation, until=row.access_until)


def test_the_naive_refresh_asks_again_and_loses_the_consent(venue: OAuthSimulator, row: Authorisation) -> None:
    venue.add_fault("oauth-token", "latency", count=MANY, milliseconds=200)
    results = together(works(row, naive))
    assert len(venue.requests("/oauth2/token")) > 2
    assert venue.oauth()["reuses"] >= 1 and any(isinstance(result, Exception) for result in results)
