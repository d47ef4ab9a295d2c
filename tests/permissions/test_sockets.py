"""The doors that stay open: who may sit at each, and whose connections they see there."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.errors import Unauthenticated
from apps.accounts.sockets import Caller, Credential, SocketConsumer, standings
from apps.common.errors import AikaError, Forbidden
from apps.dashboard.consumers import DeskConsumer
from apps.quotes.consumers import QuotesConsumer
from tests.factories.accounts import issue_key
from tests.permissions.doors import sockets
from tests.permissions.setting import LETTERS, ROLES, Setting

pytestmark = pytest.mark.django_db

# Path -> consumer, and who may sit at it: whoever may read, with a session or with a key that has the scope.
SOCKETS: dict[str, tuple[type[SocketConsumer], str]] = {
    "ws/quotes": (QuotesConsumer, "TAROUtarouSK"),
    "ws/desk": (DeskConsumer, "TAROUtarouSK"),
}


def standing(credential: Credential, *, now: datetime) -> Caller:
    """As asked for an open socket; raises why not."""
    (found,) = standings([credential], now=now).values()
    if isinstance(found, AikaError):
        raise found
    return found


def sight(consumer: type[SocketConsumer], one: Caller) -> Any:
    return consumer.sights_of([one])[one.credential]


def caller(setting: Setting, letter: str, now: datetime) -> Caller:
    if letter == "K":
        return standing(Credential(key_id=setting.paper.key.pk), now=now)
    session = setting.cookies[letter]["sessionid"].value if letter in setting.cookies else ""
    return standing(Credential(session=session), now=now)


def test_every_socket_has_a_row_and_every_row_a_socket() -> None:
    assert sorted(sockets()) == sorted(SOCKETS)


@pytest.mark.parametrize("path", sorted(SOCKETS))
def test_each_socket_lets_in_exactly_whom_its_row_names(setting: Setting, path: str) -> None:
    consumer, letters = SOCKETS[path]
    allowed, now = "", timezone.now()
    for letter in LETTERS:
        try:
            sight(consumer, caller(setting, letter, now))
            allowed += letter
        except (Forbidden, Unauthenticated):
            continue
    assert allowed == letters


def test_prices_are_seen_over_connections_of_the_own_desk_only(setting: Setting) -> None:
    slug, now = setting.paper.connection.slug, timezone.now()
    for letter in ROLES:
        assert slug in sight(QuotesConsumer, caller(setting, letter, now))
        assert sight(QuotesConsumer, caller(setting, letter.lower(), now)) == {}
    assert slug in sight(QuotesConsumer, caller(setting, "K", now))


def test_a_key_without_the_scope_or_out_of_time_sits_at_none(setting: Setting) -> None:
    now = timezone.now()
    halter, _ = issue_key(owner=setting.paper.trader, now=now, scopes=["halt"])
    for key_id, when in ((halter.pk, now), (setting.paper.key.pk, now + timedelta(days=31))):
        with pytest.raises(AikaError):
            standing(Credential(key_id=key_id), now=when)
