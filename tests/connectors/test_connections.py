"""Connections begin, are checked, get a new secret and end; with whom it takes, and written down."""

from datetime import datetime
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.db import connection as database

from apps.accounts.models import Desk, User
from apps.accounts.services import api_keys, second_person
from apps.accounts.services.people import actor_of
from apps.accounts.types import Principal
from apps.audit.models import Event
from apps.audit.types import Actor
from apps.common.errors import Conflict, Denied, Invalid, Misconfigured
from apps.connectors import selectors
from apps.connectors.models import Connection, ConnectionGrant
from apps.connectors.services import connections
from tests.factories.connectors import SECRET, ConnectionFactory, simulator_connection
from tests.venues.simulator_process import SimulatorProcess
from tests.venues.socket_server import answer, saying, serving

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("test")


def draft(desk: Desk, **changes: Any) -> connections.Draft:
    fields: dict[str, Any] = {
        **{"slug": "demo", "name": "Demo", "desk": desk, "environment": "paper", "api_base": "http://localhost:9"},
        **{"key_name": "organizations/o/apiKeys/k", "secret": SECRET},
    }
    return connections.Draft(**(fields | changes))


def live(desk: Desk, **changes: Any) -> connections.Draft:
    return draft(desk, **({"slug": "real", "environment": "live", "api_base": "https://api.coinbase.com"} | changes))


def kinds(connection: Connection) -> list[str]:
    found = Event.objects.filter(subject=f"connection:{connection.pk}").order_by("seq")
    return list(found.values_list("kind", flat=True))


def test_a_paper_connection_is_active_at_once(desk: Desk, operator: User, now: datetime) -> None:
    made = connections.create(draft=draft(desk), actor=actor_of(operator), now=now)
    stored = Connection.objects.get(pk=made.pk)
    assert stored.is_active
    assert stored.secret.reveal() == SECRET
    assert len(stored.secret_fingerprint) == 8
    assert kinds(made) == ["connection.created"]


def test_the_secret_is_nowhere_in_clear(desk: Desk, now: datetime) -> None:
    asked = draft(desk)
    made = connections.create(draft=asked, actor=SYSTEM, now=now)
    assert SECRET not in repr(asked) + str(asked.described()) + repr(made.__dict__)
    with database.cursor() as cursor:
        cursor.execute("SELECT * FROM connectors_connection")
        assert SECRET not in repr([bytes(v) if isinstance(v, memoryview) else v for row in cursor for v in row])
    assert all(SECRET.encode() not in bytes(event.body) for event in Event.objects.all())


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"environment": "papre"}, Invalid),
        ({"environment": ""}, Invalid),
        ({"environment": "paper", "api_base": "https://api.coinbase.com"}, Misconfigured),
        ({"api_base": "http://elsewhere.example"}, Misconfigured),
        ({"secret": "not a key"}, Misconfigured),
        ({"key_name": ""}, Misconfigured),
    ],
)
def test_what_cannot_be_used_is_not_created(
    desk: Desk, now: datetime, changes: dict[str, str], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        connections.create(draft=draft(desk, **changes), actor=SYSTEM, now=now)
    assert not Connection.objects.exists()


def test_a_short_name_is_taken_once(desk: Desk, now: datetime) -> None:
    connections.create(draft=draft(desk), actor=SYSTEM, now=now)
    with pytest.raises(Conflict, match="CONNECTION_EXISTS"):
        connections.create(draft=draft(desk), actor=SYSTEM, now=now)


def test_live_needs_a_second_person_for_exactly_this(desk: Desk, operator: User, risk: User, now: datetime) -> None:
    asked = live(desk)
    with pytest.raises(Denied, match="SECOND_PERSON_REQUIRED"):
        connections.create(draft=asked, actor=actor_of(operator), now=now)
    request = connections.request_live(draft=asked, requester=operator, now=now)
    with pytest.raises(Denied):
        second_person.second(request_id=request.pk, seconder=operator, now=now)
    second_person.second(request_id=request.pk, seconder=risk, now=now)
    for other in (live(desk, key_name="organizations/o/apiKeys/other"), live(desk, secret=SECRET[:-3] + "A2c=")):
        with pytest.raises((Denied, Misconfigured)):
            connections.create(draft=other, actor=actor_of(operator), now=now)
    made = connections.create(draft=asked, actor=actor_of(operator), now=now)
    assert not made.is_active, "until its key is checked"


def test_verify_accepts_a_key_that_may_trade_and_not_transfer(simulator: SimulatorProcess, now: datetime) -> None:
    connection = simulator_connection(simulator, is_active=False)
    told = connections.verify(connection=connection, actor=SYSTEM, now=now)
    assert told.can_trade
    assert connection.is_active
    assert connection.verified_at == now
    assert kinds(connection) == ["connection.verified"]


@pytest.mark.parametrize(
    ("may", "code", "ended"),
    [
        ({"can_transfer": True}, "KEY_MAY_TRANSFER", True),
        ({"can_trade": False}, "KEY_LACKS_PERMISSION", False),
        ({"can_view": False}, "KEY_LACKS_PERMISSION", False),
        ({"can_view": False, "can_transfer": True}, "KEY_MAY_TRANSFER", True),
    ],
)
def test_verify_refuses_other_keys(now: datetime, may: dict[str, bool], code: str, ended: bool) -> None:
    told = {"can_view": True, "can_trade": True, "can_transfer": False, **may}
    with serving(saying(answer(200, told))) as server:
        connection = ConnectionFactory(api_base=server.url)
        with pytest.raises(Misconfigured, match=code):
            connections.verify(connection=connection, actor=SYSTEM, now=now)
    connection.refresh_from_db()
    assert (connection.deactivated_at is not None) is ended
    assert connection.is_active is not ended
    assert connection.verified_at is None


def test_an_ended_connection_stays_ended(simulator: SimulatorProcess, now: datetime) -> None:
    connection = simulator_connection(simulator)
    connections.deactivate(connection=connection, reason="no more", actor=SYSTEM, now=now)
    connections.deactivate(connection=connection, reason="again", actor=SYSTEM, now=now)
    connections.verify(connection=connection, actor=SYSTEM, now=now)
    assert not connection.is_active
    assert connection.deactivated_reason == "no more"
    assert kinds(connection) == ["connection.deactivated", "connection.verified"]


def test_a_new_secret_for_paper_needs_one_person_for_live_two(operator: User, risk: User, now: datetime) -> None:
    paper = ConnectionFactory()
    connections.replace_secret(connection=paper, key_name="new", secret=SECRET, actor=actor_of(operator), now=now)
    assert (paper.key_name, paper.is_active, paper.secret.reveal()) == ("new", True, SECRET)
    real = ConnectionFactory(environment="live", api_base="https://api.coinbase.com", verified_at=now)
    change: dict[str, Any] = {"connection": real, "key_name": "new", "secret": SECRET}
    with pytest.raises(Denied):
        connections.replace_secret(**change, actor=actor_of(operator), now=now)
    request = connections.request_replace_secret(**change, requester=operator, now=now)
    second_person.second(request_id=request.pk, seconder=risk, now=now)
    connections.replace_secret(**change, actor=actor_of(operator), now=now)
    assert (real.key_name, real.is_active, real.verified_at) == ("new", False, None)


@pytest.mark.parametrize(
    "change",
    [
        {"environment": "live"},
        {"api_base": "https://evil.example"},
        {"venue": "another"},
        {"slug": "renamed"},
        {"is_active": True, "deactivated_at": datetime.fromisoformat("2026-01-01T00:00:00Z")},
    ],
)
def test_the_database_refuses_what_no_service_does(change: dict[str, object]) -> None:
    connection = ConnectionFactory()
    with pytest.raises(DatabaseError), transaction.atomic():
        Connection.objects.filter(pk=connection.pk).update(**change)
    with pytest.raises(DatabaseError), transaction.atomic():
        connection.delete()
    connection.refresh_from_db()


def test_the_database_refuses_an_active_live_connection_that_was_never_verified() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ConnectionFactory(environment="live", is_active=True)


def test_who_may_propose_where(desk: Desk, trader: User, outsider: User, now: datetime) -> None:
    connection = ConnectionFactory(desk=desk)
    key, _ = api_keys.issue(
        owner=trader, name="bot", scopes=["propose"], expires_at=now.replace(year=2027), actor=SYSTEM, now=now
    )
    person = Principal(user_id=trader.pk, api_key_id=None, name="tara")
    program = Principal(user_id=trader.pk, api_key_id=key.pk, name="bot")
    stranger = Principal(user_id=outsider.pk, api_key_id=None, name="olaf")
    assert selectors.may_propose_on(person, connection.pk)
    assert not selectors.may_propose_on(stranger, connection.pk)
    assert not selectors.may_propose_on(program, connection.pk)
    connections.grant(connection=connection, api_key=key, actor=SYSTEM, now=now)
    connections.grant(connection=connection, api_key=key, actor=SYSTEM, now=now)
    assert ConnectionGrant.objects.count() == 1
    assert selectors.may_propose_on(program, connection.pk)
    desk.members.remove(trader)
    assert not selectors.may_propose_on(program, connection.pk), "a key never reaches further than its owner"
    desk.members.add(trader)
    connections.revoke_grant(connection=connection, api_key=key, actor=SYSTEM, now=now)
    assert not selectors.may_propose_on(program, connection.pk)
    assert kinds(connection) == ["connection.granted", "connection.grant_revoked"]
