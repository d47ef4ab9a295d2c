"""Halting is one act by anybody; resuming takes two; and what would be denied now is said."""

from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from apps.accounts.models import Desk, User
from apps.accounts.services import second_person
from apps.accounts.services.people import actor_of
from apps.audit.selectors import events_of
from apps.common.errors import Denied, Forbidden, NotFound
from apps.connectors.models import Connection
from apps.policies.models import TradingState
from apps.policies.selectors import gate_findings, trading_state
from apps.policies.services import trading_state as services
from apps.policies.services import versions
from tests.policies.cases import APPROVALS, COLLAR, NOTIONAL, rule
from tests.policies.rows import a_connection, activated

pytestmark = pytest.mark.django_db


@pytest.fixture
def paper(desk: Desk, now: datetime) -> Connection:
    return a_connection(desk, now, codes=("BTC-USD", "ETH-USD"))


def test_trading_begins_active_and_without_its_row_is_halted(paper: Connection) -> None:
    assert trading_state(paper.pk) == "ACTIVE"
    assert (trading_state(None), TradingState.objects.count()) == ("ACTIVE", 1)


def test_one_connection_is_halted_alone(paper: Connection, desk: Desk, trader: User, now: datetime) -> None:
    other = a_connection(desk, now, slug="other")
    row = services.halt(connection_id=paper.pk, actor=actor_of(trader), reason="Odd fills.", now=now)
    assert (trading_state(paper.pk), trading_state(other.pk), row.reason) == ("HALTED", "ACTIVE", "Odd fills.")


def test_everything_is_halted_at_once(paper: Connection, trader: User, now: datetime) -> None:
    services.halt(connection_id=None, actor=actor_of(trader), reason="", now=now)
    assert trading_state(paper.pk) == "HALTED"


def test_halting_again_changes_nothing_and_is_recorded_once(paper: Connection, trader: User, now: datetime) -> None:
    for reason in ("First.", "Second."):
        row = services.halt(connection_id=None, actor=actor_of(trader), reason=reason, now=now)
    assert row.reason == "First."
    assert [event.kind for event in events_of("trading_state:global")] == ["trading_state.halted"]


def test_a_long_reason_does_not_stop_a_halt(trader: User, now: datetime) -> None:
    row = services.halt(connection_id=None, actor=actor_of(trader), reason="x" * 9000, now=now)
    assert (row.state, len(row.reason)) == ("HALTED", 500)


def test_resuming_takes_two_people(paper: Connection, risk: User, approver: User, now: datetime) -> None:
    services.halt(connection_id=None, actor=actor_of(risk), reason="Odd.", now=now)
    with pytest.raises(Denied, match="SECOND_PERSON_REQUIRED"):
        services.resume(connection_id=None, person=risk, now=now)
    asked = services.request_resume(connection_id=None, requester=risk, reason="Explained.", now=now)
    with pytest.raises(Denied, match="SECOND_PERSON_IS_REQUESTER"):
        second_person.second(request_id=asked.pk, seconder=risk, now=now)
    second_person.second(request_id=asked.pk, seconder=approver, now=now)
    services.resume(connection_id=None, person=risk, now=now)
    assert trading_state(paper.pk) == "ACTIVE"
    with pytest.raises(NotFound, match="NOT_HALTED"):
        services.resume(connection_id=None, person=risk, now=now)


def test_a_new_halt_is_not_resumed_by_an_old_second(risk: User, approver: User, now: datetime) -> None:
    services.halt(connection_id=None, actor=actor_of(risk), reason="One.", now=now)
    for _ in range(2):
        asked = services.request_resume(connection_id=None, requester=risk, reason="Why.", now=now)
        second_person.second(request_id=asked.pk, seconder=approver, now=now)
        services.resume(connection_id=None, person=risk, now=now)
        now += timedelta(seconds=1)
        services.halt(connection_id=None, actor=actor_of(risk), reason="Again.", now=now)
    with pytest.raises(Denied, match="SECOND_PERSON_REQUIRED"):
        services.resume(connection_id=None, person=risk, now=now)


def test_an_outsider_and_an_auditor_do_not_resume(outsider: User, auditor: User, risk: User, now: datetime) -> None:
    services.halt(connection_id=None, actor=actor_of(risk), reason="Odd.", now=now)
    for person in (outsider, auditor):
        with pytest.raises(Forbidden, match="MAY_NOT_RESUME"):
            services.request_resume(connection_id=None, requester=person, reason="Why.", now=now)


def test_the_row_for_everything_cannot_be_removed() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        TradingState.objects.all().delete()


def test_the_command_halts_one_and_all(paper: Connection) -> None:
    out = StringIO()
    call_command("halt", "--connection", "paper", "--reason", "Odd fills.", stdout=out)
    assert "Odd fills." in out.getvalue()
    assert (trading_state(paper.pk), trading_state(None)) == ("HALTED", "ACTIVE")
    call_command("halt", "--reason", "All of it.", stdout=out)
    assert trading_state(None) == "HALTED"
    with pytest.raises(CommandError, match="no connection"):
        call_command("halt", "--connection", "nowhere", "--reason", "x")


def test_what_would_be_denied_now_is_said(
    paper: Connection, desk: Desk, risk: User, approver: User, now: datetime
) -> None:
    assert [found.code for found in gate_findings(paper)] == ["NO_ACTIVE_POLICY"]
    made = versions.create_set(slug="main", name="Main", desk_id=desk.pk, author=risk, now=now)
    narrow = rule("notional", "max_order_notional", scope={"instrument": "BTC-USD"}, max_notional="100")
    activated(made, (narrow, APPROVALS), risk, approver, now)
    found = {item.code: item.message for item in gate_findings(paper)}
    assert set(found) == {"NO_LIMIT_SET", "NO_MARKET_BOUND"}
    assert "ETH-USD" in found["NO_LIMIT_SET"] and "BTC-USD" not in found["NO_LIMIT_SET"]
    activated(made, (NOTIONAL, APPROVALS, COLLAR), risk, approver, now)
    assert gate_findings(paper) == ()
    services.halt(connection_id=paper.pk, actor=actor_of(risk), reason="Odd.", now=now)
    assert [item.code for item in gate_findings(paper)] == ["TRADING_HALTED"]


def test_the_command_shows_states_and_denials(paper: Connection) -> None:
    out = StringIO()
    call_command("trading_state", stdout=out)
    assert "paper (paper): ACTIVE" in out.getvalue()
    assert "NO_ACTIVE_POLICY" in out.getvalue()
