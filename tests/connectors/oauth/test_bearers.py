"""The access token in use: refreshed before it ends, once; what goes wrong ends in a clear word and never in a loop."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.db import transaction
from django.test import override_settings

from apps.accounts.models import User
from apps.accounts.services.people import actor_of
from apps.audit.models import Alarm, Event
from apps.common.errors import AikaError, Misconfigured, Unavailable
from apps.connectors.models import Authorisation
from apps.connectors.services import authorisations, bearers, connections, streams
from apps.connectors.services.bearers import CLAIM_TTL, Bearer, ReconnectNeeded
from apps.connectors.services.venue import connect
from apps.connectors.stream_types import StreamChannel
from tests.factories.oauth import OAuthSimulator, authorise, oauth_connection

pytestmark = pytest.mark.django_db

Ask = Callable[..., Bearer]


@pytest.fixture
def row(venue: OAuthSimulator, operator: User) -> Authorisation:
    return authorise(operator)


@pytest.fixture
def ask(row: Authorisation) -> Ask:
    """The token as it is asked for so many seconds after the consent."""

    def asking(after_s: float = 0, refused: int | None = None) -> Bearer:
        at = row.access_from + timedelta(seconds=after_s)
        return bearers.bearer(row.pk, clock=lambda: at, before_call=lambda: None, refused=refused)

    return asking


def refreshes(venue: OAuthSimulator) -> int:
    return int(venue.oauth()["refreshes"])


@pytest.mark.parametrize(("after_s", "count"), [(0, 0), (3299, 0), (3301, 1), (3600, 1), (90_000, 1)])
def test_it_is_refreshed_shortly_before_its_end(venue: OAuthSimulator, ask: Ask, after_s: int, count: int) -> None:
    first = ask()
    later = ask(after_s)
    assert refreshes(venue) == count and (later.token != first.token) is bool(count)
    assert later.generation == first.generation + count


def test_a_short_life_is_refreshed_in_its_last_third(venue: OAuthSimulator, operator: User) -> None:
    venue.oauth(access_s=30)
    row = authorise(operator)
    assert bearers.margin_of(row) == timedelta(seconds=10)


def test_both_new_tokens_are_kept_and_the_next_refresh_uses_them(
    venue: OAuthSimulator, row: Authorisation, ask: Ask
) -> None:
    before = row.refresh_token.reveal()
    ask(3600)
    row.refresh_from_db()
    assert row.refresh_token != before and row.refreshed_at is not None and row.refresh_begun_at is None
    ask(3600 * 3)
    assert refreshes(venue) == 2 and venue.oauth()["reuses"] == 0
    assert Event.objects.filter(kind="authorisation.refreshed").count() == 2


@pytest.mark.parametrize("fault", ["reset-after", "garbage", "truncated"])
def test_a_lost_answer_needs_a_person_and_nothing_is_tried_again(
    venue: OAuthSimulator, row: Authorisation, ask: Ask, fault: str
) -> None:
    venue.add_fault("oauth-token", fault)
    for _ in range(3):
        with pytest.raises(ReconnectNeeded, match="AUTHORISATION_RECONNECT_NEEDED"):
            ask(3600)
    row.refresh_from_db()
    assert row.state == "RECONNECT_NEEDED" and "did not arrive" in row.state_reason
    assert (refreshes(venue), venue.oauth()["reuses"]) == (1, 0)
    alarm = Alarm.objects.get(code="AUTHORISATION_RECONNECT_NEEDED")
    assert alarm.subject == f"authorisation:{row.pk}" and alarm.cleared_at is None


def test_while_the_old_token_lasts_it_still_cancels(venue: OAuthSimulator, row: Authorisation, ask: Ask) -> None:
    venue.add_fault("oauth-token", "reset-after")
    first, ended = ask(), []
    ended.append(ask(3400))
    row.refresh_from_db()
    assert row.state == "RECONNECT_NEEDED" and refreshes(venue) == 1
    ended.append(ask(3500))
    assert refreshes(venue) == 1
    assert first.problem is None
    assert all(isinstance(found.problem, ReconnectNeeded) for found in ended), "it places no order"
    assert [replace(found, problem=None) for found in ended] == [first, first]
    with pytest.raises(ReconnectNeeded):
        ask(3600)


def test_connecting_again_goes_on_and_ends_the_alarm(
    venue: OAuthSimulator, row: Authorisation, ask: Ask, operator: User
) -> None:
    venue.add_fault("oauth-token", "reset-after")
    with pytest.raises(ReconnectNeeded):
        ask(3600)
    again = authorise(operator)
    assert again.pk == row.pk and again.state == "ACTIVE"
    assert ask().token == again.access_token.reveal()
    assert Alarm.objects.get(code="AUTHORISATION_RECONNECT_NEEDED").cleared_at is not None


def test_where_nothing_was_sent_nothing_is_lost(venue: OAuthSimulator, row: Authorisation, ask: Ask) -> None:
    venue.add_fault("oauth-token", "429")
    with pytest.raises(Unavailable, match="AUTHORISATION_SERVER_AWAY"):
        ask(3600)
    with pytest.raises(Unavailable, match="AUTHORISATION_BEING_REFRESHED"):
        ask(3603)
    assert ask(3606).generation == 2 and refreshes(venue) == 1


def test_a_server_error_is_tried_again_twice_and_no_more(venue: OAuthSimulator, row: Authorisation, ask: Ask) -> None:
    venue.add_fault("oauth-token", "5xx-before", count=9)
    for after_s in (3600, 3631):
        with pytest.raises(Unavailable, match="AUTHORISATION_SERVER_BROKE"):
            ask(after_s)
    for after_s in (3662, 3693):
        with pytest.raises(ReconnectNeeded):
            ask(after_s)
    assert len(venue.requests("/oauth2/token")) == 1 + 3


def test_a_server_error_that_passes_is_forgotten(venue: OAuthSimulator, row: Authorisation, ask: Ask) -> None:
    venue.add_fault("oauth-token", "5xx-before", count=1)
    first = ask()
    assert ask(3400) == first  # early enough: the old one serves meanwhile
    assert ask(3431).generation == 2
    row.refresh_from_db()
    assert (row.state, row.refresh_failures) == ("ACTIVE", 0)


def test_a_consent_taken_back_at_the_venue_needs_a_person(venue: OAuthSimulator, row: Authorisation, ask: Ask) -> None:
    venue.oauth(revoke_all=True)
    with pytest.raises(ReconnectNeeded):
        ask(3600)
    with pytest.raises(ReconnectNeeded):
        ask(7200)
    assert len(venue.requests("/oauth2/token")) == 1 + 1


def test_a_refresh_token_that_ended_there_needs_a_person_and_is_not_asked_for_again(
    venue: OAuthSimulator, row: Authorisation, ask: Ask, operator: User
) -> None:
    """The first one is taken, the one it gave is left to lie until the venue takes it no more."""
    venue.oauth(refresh_s=40_000)
    connector = connect(oauth_connection(authorise(operator)))
    venue.skew_clock(30_000)
    ask(30_000)
    assert refreshes(venue) == 1
    venue.skew_clock(30_000 + 40_000)
    asked = len(venue.requests("/oauth2/token"))
    for _ in range(3):
        with pytest.raises(ReconnectNeeded, match="The refresh token has expired"):
            connector.balances()
        with pytest.raises(ReconnectNeeded):
            ask(70_000)
    assert len(venue.requests("/oauth2/token")) == asked + 1 and refreshes(venue) == 1
    row.refresh_from_db()
    assert row.state == "RECONNECT_NEEDED" and "has expired" in row.state_reason
    assert Alarm.objects.get(code="AUTHORISATION_RECONNECT_NEEDED").cleared_at is None
    assert authorise(operator).state == "ACTIVE"
    assert connector.balances(), "a person connected again, and it goes on"


def test_a_wrong_secret_of_ours_is_said_and_loses_nothing(venue: OAuthSimulator, row: Authorisation, ask: Ask) -> None:
    with (
        override_settings(COINBASE_CLIENT_SECRET="another"),
        pytest.raises(Misconfigured, match="OAUTH_CLIENT_REFUSED"),
    ):
        ask(3600)
    assert ask(3631).generation == 2


def test_without_a_refresh_token_it_ends_with_its_life(venue: OAuthSimulator, operator: User) -> None:
    row = authorise(operator, without=("offline_access",))

    def asked(after_s: int) -> Bearer:
        at = row.access_from + timedelta(seconds=after_s)
        return bearers.bearer(row.pk, clock=lambda: at, before_call=lambda: None)

    assert asked(3500).token == row.access_token.reveal()
    with pytest.raises(ReconnectNeeded, match="no refresh token"):
        asked(3600)


def test_who_died_between_asking_and_writing_leaves_it_to_a_person(
    venue: OAuthSimulator, row: Authorisation, ask: Ask
) -> None:
    Authorisation.objects.filter(pk=row.pk).update(refresh_begun_at=row.access_until)
    with pytest.raises(ReconnectNeeded, match="never written down"):
        ask(3600 + CLAIM_TTL.total_seconds())
    assert refreshes(venue) == 0


def test_a_disconnected_one_gives_no_token(venue: OAuthSimulator, row: Authorisation, ask: Ask, operator: User) -> None:
    authorisations.disconnect(authorisation_id=row.pk, actor=actor_of(operator), now=row.authorised_at)
    with pytest.raises(ReconnectNeeded):
        ask()


def test_the_venue_is_not_asked_inside_a_transaction(venue: OAuthSimulator, row: Authorisation) -> None:
    late = row.access_until
    connector = connect(oauth_connection(row))
    Authorisation.objects.filter(pk=row.pk).update(
        access_from=late - timedelta(days=9), access_until=late - timedelta(days=8)
    )
    with transaction.atomic(), pytest.raises(Misconfigured, match="VENUE_CALL_IN_TRANSACTION"):
        connector.balances()
    assert refreshes(venue) == 0


def test_a_connection_trades_with_a_bearer_as_with_a_key(
    venue: OAuthSimulator, row: Authorisation, operator: User, now: datetime
) -> None:
    connection = oauth_connection(row)
    connector = connect(connection)
    assert {balance.currency for balance in connector.balances()} >= {"USD", "BTC"}
    assert connector.permissions().can_trade and not connector.permissions().can_transfer
    connections.verify(connection=connection, actor=actor_of(operator), now=now)
    assert connection.verified_at == now
    assert connector.fee_rates().taker > 0 and connector.instruments()


def test_a_connection_that_may_not_trade_is_not_verified(venue: OAuthSimulator, operator: User, now: datetime) -> None:
    connection = oauth_connection(authorise(operator, without=("wallet:buys:create",)))
    with pytest.raises(Misconfigured, match="KEY_LACKS_PERMISSION"):
        connections.verify(connection=connection, actor=actor_of(operator), now=now)


def test_a_401_is_answered_with_one_new_token(venue: OAuthSimulator, row: Authorisation) -> None:
    connector = connect(oauth_connection(row))
    connector.balances()
    venue.oauth(expire=True)
    connector.balances()
    assert refreshes(venue) == 1


def test_a_401_with_a_new_token_too_needs_a_person(venue: OAuthSimulator, row: Authorisation) -> None:
    connector = connect(oauth_connection(row))
    venue.oauth(revoke_all=True)
    for _ in range(3):
        with pytest.raises(AikaError, match="AUTHORISATION_RECONNECT_NEEDED|VENUE_KEY_REFUSED"):
            connector.balances()
    assert len(venue.requests("/oauth2/token")) == 1 + 1
    row.refresh_from_db()
    assert row.state == "RECONNECT_NEEDED"


def test_tokens_go_to_no_other_address(venue: OAuthSimulator, row: Authorisation) -> None:
    connection = oauth_connection(row, api_base="http://localhost:9")
    with pytest.raises(Misconfigured, match="AUTHORISATION_OF_ANOTHER_ADDRESS"):
        connect(connection)


def test_sockets_tell_the_market_and_no_orders(venue: OAuthSimulator, row: Authorisation) -> None:
    connection = oauth_connection(row)
    assert not connection.tells_orders
    assert streams.market_stream(connection, (StreamChannel.QUOTES,), ("BTC-USD",))
    with pytest.raises(Misconfigured, match="VENUE_HAS_NO_SOCKET"):
        streams.user_stream(connection)
