"""An account at a venue is connected by its person and nobody else, once, with what was asked."""

from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import override_settings

from apps.accounts.models import User
from apps.audit.models import Event
from apps.common.errors import Denied, Forbidden, Invalid, Misconfigured, NotFound, OutcomeUnknown
from apps.connectors.models import Authorisation, AuthorisationRequest, AuthorisationState
from apps.connectors.services import authorisations
from tests.factories.accounts import UserFactory
from tests.factories.oauth import REDIRECT, SCOPES, OAuthSimulator, authorise, decide, oauth_connection

pytestmark = pytest.mark.django_db


def test_the_link_asks_exactly_what_the_settings_say(venue: OAuthSimulator, operator: User, now: datetime) -> None:
    url = authorisations.url_for(person=operator, now=now)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert url.startswith(f"{venue.url}/oauth2/auth?")
    assert asked["scope"].split() == list(SCOPES)
    assert (asked["redirect_uri"], asked["response_type"], asked["code_challenge_method"]) == (REDIRECT, "code", "S256")
    row = AuthorisationRequest.objects.get()
    assert row.state_hash != asked["state"] and len(asked["state"]) >= 40
    assert row.verifier.reveal() not in url


def test_what_was_granted_is_kept_and_no_token_is_readable(venue: OAuthSimulator, operator: User) -> None:
    row = authorise(operator)
    assert (row.state, row.person, row.account_name) == ("ACTIVE", operator, "Sim Trader")
    assert row.granted_scopes == list(SCOPES) and authorisations.missing_scopes(row) == []
    assert venue.oauth()["exchanges"] == 1
    event = Event.objects.get(kind="authorisation.granted")
    text = bytes(event.body).decode()
    for secret in (row.access_token.reveal(), row.refresh_token.reveal()):
        assert secret.startswith("sim") and secret not in text
    assert str(operator.pk) in text


def test_live_calls_go_to_the_venues_own_login_host() -> None:
    from apps.connectors.venues.coinbase.oauth import login_origin

    assert login_origin("https://api.coinbase.com") == "https://login.coinbase.com"


def test_connecting_the_same_account_again_renews_the_same_row(venue: OAuthSimulator, operator: User) -> None:
    first = authorise(operator)
    again = authorise(operator)
    assert (again.pk, again.generation) == (first.pk, first.generation + 1)
    assert again.access_token != first.access_token


def test_scopes_the_person_left_out_are_said(venue: OAuthSimulator, operator: User) -> None:
    row = authorise(operator, without=("wallet:buys:create",))
    assert authorisations.missing_scopes(row) == ["wallet:buys:create"]


@pytest.fixture
def back(venue: OAuthSimulator, operator: User, now: datetime) -> dict[str, str]:
    return decide(authorisations.url_for(person=operator, now=now))


def test_a_state_is_good_once(back: dict[str, str], operator: User, now: datetime) -> None:
    authorisations.consume(person=operator, state=back["state"], now=now)
    with pytest.raises(Invalid, match="AUTHORISATION_STATE_UNKNOWN"):
        authorisations.consume(person=operator, state=back["state"], now=now)


@pytest.mark.parametrize("why", ["wrong", "late", "another person's"])
def test_a_state_is_good_for_its_person_in_time(
    back: dict[str, str], operator: User, desk: object, now: datetime, why: str
) -> None:
    person, state, at = operator, back["state"], now + timedelta(minutes=9)
    if why == "wrong":
        state = state[:-1] + ("A" if state[-1] != "A" else "B")
    elif why == "late":
        at = now + timedelta(minutes=10)
    else:
        person = UserFactory(username="opal", role="operator", desk=desk)
    with pytest.raises(Invalid, match="AUTHORISATION_STATE_UNKNOWN"):
        authorisations.consume(person=person, state=state, now=at)
    authorisations.consume(person=operator, state=back["state"], now=now + timedelta(minutes=9))


def test_a_code_is_good_once_and_used_twice_gives_nothing(
    venue: OAuthSimulator, back: dict[str, str], operator: User, now: datetime
) -> None:
    asked = authorisations.consume(person=operator, state=back["state"], now=now)
    row = authorisations.complete(asked=asked, code=back["code"], now=now)
    with pytest.raises(Invalid, match="AUTHORISATION_REFUSED"):
        authorisations.complete(asked=asked, code=back["code"], now=now)
    assert Authorisation.objects.get() == row


def test_a_code_of_another_redirect_gives_nothing(
    venue: OAuthSimulator, back: dict[str, str], operator: User, now: datetime
) -> None:
    asked = authorisations.consume(person=operator, state=back["state"], now=now)
    other = REDIRECT.replace("8000", "8001")
    with override_settings(COINBASE_REDIRECT_URI=other), pytest.raises(Invalid, match="AUTHORISATION_REFUSED"):
        authorisations.complete(asked=asked, code=back["code"], now=now)
    assert not Authorisation.objects.exists()


def test_who_may_not_manage_connections_does_not_set_out_nor_arrive(
    venue: OAuthSimulator, back: dict[str, str], operator: User, trader: User, now: datetime
) -> None:
    with pytest.raises(Forbidden, match="NOT_PERMITTED"):
        authorisations.url_for(person=trader, now=now)
    asked = authorisations.consume(person=operator, state=back["state"], now=now)
    operator.groups.clear()
    with pytest.raises(Forbidden, match="NOT_PERMITTED"):
        authorisations.complete(asked=asked, code=back["code"], now=now)
    assert venue.oauth()["exchanges"] == 0


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"COINBASE_CLIENT_ID": ""}, "OAUTH_NOT_CONFIGURED"),
        ({"COINBASE_SCOPES": ()}, "OAUTH_NOT_CONFIGURED"),
        ({"COINBASE_SCOPES": (*SCOPES, "wallet:transactions:transfer")}, "OAUTH_SCOPE_MOVES_MONEY"),
        ({"COINBASE_SCOPES": (*SCOPES, "wallet:transactions:send")}, "OAUTH_SCOPE_MOVES_MONEY"),
        ({"COINBASE_SCOPES": (*SCOPES, "wallet:withdrawals:create")}, "OAUTH_SCOPE_MOVES_MONEY"),
        ({"COINBASE_REDIRECT_URI": "https://aika.example/elsewhere"}, "OAUTH_REDIRECT_UNUSABLE"),
        ({"COINBASE_REDIRECT_URI": "http://aika.example/oauth/coinbase/callback"}, "OAUTH_REDIRECT_UNUSABLE"),
    ],
)
def test_nobody_is_asked_with_settings_that_make_no_sense(
    venue: OAuthSimulator, operator: User, now: datetime, changed: dict[str, object], code: str
) -> None:
    with override_settings(**changed), pytest.raises(Misconfigured, match=code):
        authorisations.url_for(person=operator, now=now)
    assert not AuthorisationRequest.objects.exists()


def test_what_may_move_money_is_given_back(venue: OAuthSimulator, operator: User, now: datetime) -> None:
    url = authorisations.url_for(person=operator, now=now)
    widened = url.replace("offline_access", "offline_access+wallet:transactions:send")
    back = decide(widened)
    asked = authorisations.consume(person=operator, state=back["state"], now=now)
    with pytest.raises(Denied, match="AUTHORISATION_MAY_MOVE_MONEY"):
        authorisations.complete(asked=asked, code=back["code"], now=now)
    assert not Authorisation.objects.exists() and venue.oauth()["revocations"] == 1


def test_an_account_without_a_name_is_given_back(venue: OAuthSimulator, operator: User, now: datetime) -> None:
    with pytest.raises(Invalid, match="AUTHORISATION_REFUSED"):
        authorise(operator, without=("wallet:user:read",))
    assert not Authorisation.objects.exists() and venue.oauth()["revocations"] == 1


def test_a_lost_answer_keeps_nothing(venue: OAuthSimulator, operator: User) -> None:
    venue.add_fault("oauth-token", "reset-after")
    with pytest.raises(OutcomeUnknown, match="AUTHORISATION_REPLY_LOST"):
        authorise(operator)
    assert not Authorisation.objects.exists()


def test_disconnecting_revokes_at_the_venue_and_ends_its_connections(venue: OAuthSimulator, operator: User) -> None:
    row = authorise(operator)
    connection = oauth_connection(row)
    now = row.authorised_at
    assert authorisations.disconnect(authorisation_id=row.pk, actor=_actor(operator), now=now)
    row.refresh_from_db()
    connection.refresh_from_db()
    assert (row.state, bool(row.access_token), bool(row.refresh_token)) == (AuthorisationState.REVOKED, False, False)
    assert not connection.is_active and "disconnected" in connection.deactivated_reason
    assert venue.oauth()["revocations"] == 2
    assert not authorisations.disconnect(authorisation_id=row.pk, actor=_actor(operator), now=now)
    assert Event.objects.filter(kind="authorisation.revoked").count() == 1
    with pytest.raises(NotFound):
        authorisations.disconnect(authorisation_id=operator.pk, actor=_actor(operator), now=now)


def test_disconnecting_holds_here_also_where_the_venue_is_away(venue: OAuthSimulator, operator: User) -> None:
    row = authorise(operator)
    venue.add_fault("oauth-revoke", "reset-before", count=2)
    assert not authorisations.disconnect(authorisation_id=row.pk, actor=_actor(operator), now=row.authorised_at)
    row.refresh_from_db()
    assert row.state == AuthorisationState.REVOKED and not row.access_token


def _actor(person: User):  # type: ignore[no-untyped-def]
    from apps.accounts.services.people import actor_of

    return actor_of(person)
