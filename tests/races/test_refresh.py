"""Many that need one new access token, or come back with one code, at the same moment: one asks the venue."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from apps.accounts.models import User
from apps.connectors.models import Authorisation, AuthorisationRequest
from apps.connectors.services import authorisations, bearers
from apps.connectors.services.venue import connect
from apps.connectors.venues.coinbase.oauth import OAuthClient
from tests.factories.accounts import UserFactory
from tests.factories.oauth import OAuthSimulator, authorise, decide, oauth_connection
from tests.races.conftest import meet_after, together

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


def plain(authorisation_id: Any) -> Authorisation:
    """The row without its lock."""
    return Authorisation.objects.get(pk=authorisation_id)


def test_two_that_look_at_the_same_moment_are_held_apart_by_the_row_lock(
    venue: OAuthSimulator, row: Authorisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    meet_after(monkeypatch, bearers, "_locked", 2)
    results = together(works(row)[:2])
    assert {result.generation for result in results} == {2}
    assert (venue.oauth()["refreshes"], venue.oauth()["reuses"]) == (1, 0)


def test_without_the_row_lock_both_claim_and_the_consent_is_lost(
    venue: OAuthSimulator, row: Authorisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bearers, "_locked", plain)
    meet_after(monkeypatch, bearers, "_locked", 2)
    together(works(row)[:2])
    assert len(venue.requests("/oauth2/token")) == 1 + 2
    assert venue.oauth()["reuses"] == 1


@pytest.fixture
def back(transactional_db: None, venue: OAuthSimulator) -> tuple[User, dict[str, str]]:
    """An operator who said yes, and what their browser is sent back with."""
    operator: User = UserFactory(username="olga", role="operator")
    return operator, decide(authorisations.url_for(person=operator, now=datetime.now(UTC)))


def returning(operator: User, values: dict[str, str]) -> Authorisation:
    """What the callback does."""
    now = datetime.now(UTC)
    asked = authorisations.consume(person=operator, state=values["state"], now=now)
    return authorisations.complete(asked=asked, code=values["code"], now=now)


def test_of_returns_at_the_same_moment_one_takes_the_code(
    venue: OAuthSimulator, back: tuple[User, dict[str, str]]
) -> None:
    results = together([lambda: returning(*back)] * 8)
    (kept,) = [result for result in results if isinstance(result, Authorisation)]
    refused = [result for result in results if result is not kept]
    assert {getattr(result, "code", result) for result in refused} == {"AUTHORISATION_STATE_UNKNOWN"}
    assert len(venue.requests("/oauth2/token")) == 1 and venue.oauth()["reuses"] == 0
    assert connect(oauth_connection(kept)).balances()


def test_without_the_lock_a_code_is_taken_twice_and_the_consent_is_lost(
    venue: OAuthSimulator, back: tuple[User, dict[str, str]]
) -> None:
    meeting = Barrier(2)

    def naive() -> Authorisation:
        """Looks whether the state was used, and marks it."""
        asked = AuthorisationRequest.objects.get(person=back[0], used_at=None)
        meeting.wait(10)
        asked.used_at = datetime.now(UTC)
        asked.save(update_fields=["used_at"])
        return authorisations.complete(asked=asked, code=back[1]["code"], now=asked.used_at)

    together([naive] * 2)
    assert len(venue.requests("/oauth2/token")) == 2 and venue.oauth()["reuses"] == 1
