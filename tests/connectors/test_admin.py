"""The pages of connections: who may set them up, what they never show, what they never offer."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Desk, SecondPersonRequest, User
from apps.accounts.services import second_person
from apps.connectors.models import Connection
from apps.connectors.services import streams
from apps.connectors.stream_types import Live, LossReason, Lost, StreamEvent
from tests.factories.connectors import (
    SECRET,
    BalanceFactory,
    ConnectionFactory,
    InstrumentFactory,
    simulator_connection,
)
from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.django_db

ADD = "admin:connectors_connection_add"
LIST = "admin:connectors_connection_changelist"


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def page_of(connection: Connection) -> str:
    return reverse("admin:connectors_connection_change", args=[connection.pk])


def typed(desk: Desk, **changes: Any) -> dict[str, Any]:
    return {
        **{"slug": "demo", "name": "Demo", "desk": str(desk.pk), "venue": "coinbase", "environment": "paper"},
        **{"api_base": "http://localhost:9", "key_name": "organizations/o/apiKeys/k", "new_secret": SECRET},
        **changes,
    }


def test_an_operator_adds_a_paper_connection(desk: Desk, operator: User) -> None:
    client = signed_in(operator)
    assert client.get(reverse(ADD)).status_code == 200
    answer = client.post(reverse(ADD), typed(desk), follow=True)
    made = Connection.objects.get(slug="demo")
    assert made.is_active
    assert made.secret.reveal() == SECRET
    assert SECRET not in answer.content.decode()
    page = client.get(page_of(made)).content.decode()
    assert "paper: no money moves" in page
    assert made.secret_fingerprint in page
    assert SECRET not in page


@pytest.mark.parametrize("role", ["trader", "approver", "auditor", "outsider"])
def test_others_do_not(desk: Desk, role: str, request: pytest.FixtureRequest) -> None:
    client = signed_in(request.getfixturevalue(role))
    assert client.get(reverse(ADD)).status_code == 403
    assert client.post(reverse(ADD), typed(desk)).status_code == 403
    assert not Connection.objects.exists()
    connection = ConnectionFactory(desk=desk)
    for verb in ("verify", "deactivate"):
        url = reverse(f"admin:connectors_connection_{verb}", args=[connection.pk])
        assert client.post(url, {"reason": "x"}).status_code == 403
    readable = 403 if role == "outsider" else 200
    assert client.get(reverse(LIST)).status_code == readable
    assert client.get(page_of(connection)).status_code == readable
    connection.refresh_from_db()
    assert connection.is_active


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": "live"},
        {"api_base": "http://elsewhere.example"},
        {"new_secret": "no key at all"},
        {"new_secret": ""},
        {"key_name": ""},
        {"environment": "papre"},
    ],
)
def test_what_cannot_be_used_is_refused_without_showing_the_secret(
    desk: Desk, operator: User, changes: dict[str, str]
) -> None:
    answer = signed_in(operator).post(reverse(ADD), typed(desk, **changes), follow=True)
    assert not Connection.objects.exists()
    page = answer.content.decode()
    assert "errornote" in page
    assert SECRET not in page
    assert "no key at all" not in page


def test_a_live_connection_asks_for_a_second_person(desk: Desk, operator: User, risk: User) -> None:
    client = signed_in(operator)
    entered = typed(desk, environment="live", api_base="https://api.coinbase.com")
    for confirmation in ("", "yes", "trade real money on", "trade real money on another"):
        refused = client.post(reverse(ADD), {**entered, "confirmation": confirmation})
        assert "Type &quot;trade real money on demo&quot;" in refused.content.decode()
    assert not SecondPersonRequest.objects.exists()
    entered["confirmation"] = " trade real  money on demo"
    client.post(reverse(ADD), entered)
    assert not Connection.objects.exists()
    request = SecondPersonRequest.objects.get()
    assert request.requester == operator
    assert "real money" in request.summary
    second_person.second(request_id=request.pk, seconder=risk, now=timezone.now())
    client.post(reverse(ADD), entered)
    made = Connection.objects.get()
    assert made.is_live
    assert not made.is_active


def test_verify_and_end(simulator: SimulatorProcess, operator: User) -> None:
    connection = simulator_connection(simulator)
    client = signed_in(operator)
    verify = reverse("admin:connectors_connection_verify", args=[connection.pk])
    end = reverse("admin:connectors_connection_deactivate", args=[connection.pk])
    assert client.get(verify).status_code == 405
    assert client.get(end).status_code == 405
    assert "not asked yet: check the key" in client.get(page_of(connection)).content.decode()
    client.post(verify)
    connection.refresh_from_db()
    assert connection.verified_at is not None
    assert "view, trade; it may not transfer" in client.get(page_of(connection)).content.decode()
    client.post(end, {"reason": " "})
    connection.refresh_from_db()
    assert connection.is_active
    client.post(end, {"reason": "key leaked"})
    connection.refresh_from_db()
    assert (connection.is_active, connection.deactivated_reason) == (False, "key leaked")
    assert "ended: key leaked" in client.get(page_of(connection)).content.decode()


def test_a_venue_that_is_away_is_said(operator: User) -> None:
    connection = ConnectionFactory()
    client = signed_in(operator)
    answer = client.post(reverse("admin:connectors_connection_verify", args=[connection.pk]), follow=True)
    assert "cannot be reached" in answer.content.decode()


def test_the_key_is_replaced_and_nothing_else_is(operator: User) -> None:
    connection = ConnectionFactory()
    client = signed_in(operator)
    before = connection.secret_fingerprint
    client.post(
        page_of(connection), {"key_name": connection.key_name, "new_secret": "", "api_base": "https://x.example"}
    )
    connection.refresh_from_db()
    assert (connection.secret_fingerprint, connection.api_base) == (before, "http://localhost:9")
    client.post(page_of(connection), {"key_name": "another", "new_secret": ""})
    connection.refresh_from_db()
    assert connection.key_name != "another"
    other = SECRET.replace("YSBr", "YiBr")
    client.post(page_of(connection), {"key_name": "another", "new_secret": other})
    connection.refresh_from_db()
    assert connection.key_name == "another"
    assert connection.secret_fingerprint != before


def test_nobody_deletes_or_edits_what_was_read(admin_user: User) -> None:
    client = signed_in(admin_user)
    instrument, balance = InstrumentFactory(), BalanceFactory()
    for name, row in (("instrument", instrument), ("balancerecord", balance)):
        assert client.get(reverse(f"admin:connectors_{name}_changelist")).status_code == 200
        assert client.get(reverse(f"admin:connectors_{name}_add")).status_code == 403
        page = reverse(f"admin:connectors_{name}_change", args=[row.pk])
        assert client.get(page).status_code == 200
        assert client.post(page, {}).status_code == 403
        assert client.post(reverse(f"admin:connectors_{name}_delete", args=[row.pk])).status_code == 403
    connection = instrument.connection
    assert client.post(reverse("admin:connectors_connection_delete", args=[connection.pk])).status_code == 403


@pytest.mark.parametrize("name", ["connection", "instrument", "balancerecord", "connectiongrant", "connectorcheck"])
def test_lists_cost_the_same_with_ten_times_the_rows(
    name: str, operator: User, django_assert_max_num_queries: Any
) -> None:
    client = signed_in(operator)
    for number in range(10):
        row = InstrumentFactory()
        BalanceFactory(connection=row.connection, currency=f"C{number}")
    with django_assert_max_num_queries(14):
        assert client.get(reverse(f"admin:connectors_{name}_changelist")).status_code == 200


def told(connection: Connection, *events: StreamEvent) -> None:
    """What its follower said of the user channel, event by event."""
    now = timezone.now()
    report = streams.HealthReport(streams.user_stream_name(connection.pk), "machine:1:ab", now)
    for event in events:
        report.note(event, now=now)


def test_the_page_says_how_the_user_channel_does(desk: Desk, operator: User, auditor: User) -> None:
    connection, now = ConnectionFactory(desk=desk), timezone.now()
    client = signed_in(operator)
    assert "Nobody follows it" in client.get(page_of(connection)).content.decode()
    told(connection, Live(now))
    page = client.get(page_of(connection)).content.decode()
    assert "Live since" in page and "by machine:1:ab" in page
    loss = Lost(now, LossReason.GAP, "2 messages before number 9", 0.1)
    told(connection, loss, Lost(now, LossReason.CLOSED, "the connection broke", 0.1))
    for person in (operator, auditor):
        page = signed_in(person).get(page_of(connection)).content.decode()
        assert "Not live: orders are asked about every few seconds." in page
        assert re.search(r"Lost two times \(one by a gap\), last [\w ]+: closed: the connection broke\.", page)


def test_a_follower_that_fell_silent_is_not_called_live(desk: Desk, operator: User) -> None:
    connection = ConnectionFactory(desk=desk)
    told(connection, Live(timezone.now() - streams.HEARD_WITHIN - timedelta(seconds=1)))
    assert "Not live" in signed_in(operator).get(page_of(connection)).content.decode()
