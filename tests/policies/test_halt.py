"""Tightening is one act by anybody; loosening takes two people and evidence; what would be denied now is said."""

import json
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from apps.accounts.models import Desk, User
from apps.accounts.services import second_person
from apps.accounts.services.people import actor_of
from apps.audit.selectors import events_of, facts_of
from apps.common.errors import Denied, Forbidden, NotFound
from apps.connectors.models import Connection
from apps.policies.models import TradingState
from apps.policies.selectors import gate_findings, trading_state
from apps.policies.services import trading_state as services
from apps.policies.services import versions
from apps.policies.types import ResumeEvidence
from tests.policies.cases import APPROVALS, COLLAR, NOTIONAL, rule
from tests.policies.rows import a_connection, activated

pytestmark = pytest.mark.django_db


def evidence(now: datetime, **changes: Any) -> ResumeEvidence:
    """A clean reconciliation and an intact log of this moment, unless told otherwise."""
    values = {"reconciled_at": now, "differences": (), "verified_at": now, "intact": True}
    return ResumeEvidence(**(values | changes))


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


def test_reducing_tightens_and_never_loosens(paper: Connection, trader: User, now: datetime) -> None:
    actor = actor_of(trader)
    row = services.reduce(connection_id=paper.pk, actor=actor, reason="Odd fills.", now=now)
    assert (row.state, trading_state(paper.pk), trading_state(None)) == ("REDUCING", "REDUCING", "ACTIVE")
    assert services.reduce(connection_id=paper.pk, actor=actor, reason="Again.", now=now).reason == "Odd fills."
    services.halt(connection_id=paper.pk, actor=actor, reason="Worse.", now=now)
    row = services.reduce(connection_id=paper.pk, actor=actor, reason="Better?", now=now)
    assert (row.state, row.reason, trading_state(paper.pk)) == ("HALTED", "Worse.", "HALTED")
    said = [event.kind for event in events_of(f"trading_state:{paper.pk}")]
    assert said == ["trading_state.reduced", "trading_state.halted"]


@pytest.mark.parametrize(
    ("everything", "own", "worst"),
    [
        ("reduce", None, "REDUCING"),
        (None, "reduce", "REDUCING"),
        ("reduce", "halt", "HALTED"),
        ("halt", "reduce", "HALTED"),
    ],
)
def test_the_worse_of_everything_and_the_connection_counts(
    paper: Connection, trader: User, now: datetime, everything: str | None, own: str | None, worst: str
) -> None:
    for verb, connection_id in ((everything, None), (own, paper.pk)):
        if verb is not None:
            getattr(services, verb)(connection_id=connection_id, actor=actor_of(trader), reason="", now=now)
    assert trading_state(paper.pk) == worst
    codes = [found.code for found in gate_findings(paper)]
    assert codes[0] == ("TRADING_HALTED" if worst == "HALTED" else "ONLY_REDUCING")


def test_resuming_takes_two_people(paper: Connection, risk: User, approver: User, now: datetime) -> None:
    services.reduce(connection_id=None, actor=actor_of(risk), reason="Odd.", now=now)
    clean = evidence(now)
    with pytest.raises(Denied, match="SECOND_PERSON_REQUIRED"):
        services.resume(connection_id=None, person=risk, evidence=clean, now=now)
    with pytest.raises(NotFound, match="RESUME_NOT_ASKED"):
        services.second_resume(connection_id=None, seconder=approver, evidence=clean, now=now)
    services.request_resume(connection_id=None, requester=risk, reason="Explained.", evidence=clean, now=now)
    with pytest.raises(Denied, match="SECOND_PERSON_IS_REQUESTER"):
        services.second_resume(connection_id=None, seconder=risk, evidence=clean, now=now)
    services.second_resume(connection_id=None, seconder=approver, evidence=clean, now=now)
    assert trading_state(paper.pk) == "ACTIVE"
    with pytest.raises(NotFound, match="NOT_HALTED"):
        services.resume(connection_id=None, person=risk, evidence=clean, now=now)
    said = facts_of(events_of("trading_state:global").last())["payload"]
    assert (said["requester"], said["seconder"]) == (str(risk.pk), str(approver.pk))
    assert said["evidence"]["intact"] is True and said["evidence"]["differences"] == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reconciled_at": None}, "Nothing has been reconciled"),
        ({"reconciled_at": timedelta(seconds=300, microseconds=1)}, "too old"),
        ({"differences": ("One order is not ours.",)}, "One order is not ours."),
        ({"verified_at": None}, "not been verified"),
        ({"verified_at": timedelta(seconds=900, microseconds=1)}, "too old"),
        ({"intact": False}, "not intact"),
    ],
)
def test_without_evidence_nobody_loosens_at_either_step(
    paper: Connection, risk: User, approver: User, now: datetime, changes: dict[str, Any], says: str
) -> None:
    services.halt(connection_id=paper.pk, actor=actor_of(risk), reason="Odd.", now=now)
    aged = {name: now - value if isinstance(value, timedelta) else value for name, value in changes.items()}
    lacking = evidence(now, **aged)
    with pytest.raises(Denied, match="RESUME_UNFOUNDED") as refused:
        services.request_resume(connection_id=paper.pk, requester=risk, reason="Why.", evidence=lacking, now=now)
    assert says in refused.value.message
    services.request_resume(connection_id=paper.pk, requester=risk, reason="Why.", evidence=evidence(now), now=now)
    with pytest.raises(Denied, match="RESUME_UNFOUNDED"):
        services.second_resume(connection_id=paper.pk, seconder=approver, evidence=lacking, now=now)
    assert trading_state(paper.pk) == "HALTED"
    edge = evidence(now, reconciled_at=now - timedelta(minutes=5), verified_at=now - timedelta(minutes=15))
    assert services.second_resume(connection_id=paper.pk, seconder=approver, evidence=edge, now=now).state == "ACTIVE"


def test_what_was_asked_before_it_tightened_again_is_not_enough(risk: User, approver: User, now: datetime) -> None:
    services.reduce(connection_id=None, actor=actor_of(risk), reason="One.", now=now)
    clean = evidence(now)
    asked = services.request_resume(connection_id=None, requester=risk, reason="Why.", evidence=clean, now=now)
    second_person.second(request_id=asked.pk, seconder=approver, now=now)
    services.halt(connection_id=None, actor=actor_of(risk), reason="Two.", now=now)
    with pytest.raises(Denied, match="SECOND_PERSON_REQUIRED"):
        services.resume(connection_id=None, person=risk, evidence=clean, now=now)
    with pytest.raises(NotFound, match="RESUME_NOT_ASKED"):
        services.second_resume(connection_id=None, seconder=approver, evidence=clean, now=now)


def test_an_outsider_and_an_auditor_do_not_resume(outsider: User, auditor: User, risk: User, now: datetime) -> None:
    services.halt(connection_id=None, actor=actor_of(risk), reason="Odd.", now=now)
    clean = evidence(now)
    for person in (outsider, auditor):
        with pytest.raises(Forbidden, match="MAY_NOT_RESUME"):
            services.request_resume(connection_id=None, requester=person, reason="Why.", evidence=clean, now=now)


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
    for command in ("halt", "reduce"):
        with pytest.raises(CommandError, match="no connection"):
            call_command(command, "--connection", "nowhere", "--reason", "x")


def test_the_command_reduces(paper: Connection) -> None:
    out = StringIO()
    call_command("reduce", "--reason", "Odd fills.", stdout=out)
    assert "Everything: REDUCING" in out.getvalue()
    out = StringIO()
    call_command("halt", "--connection", "paper", "--reason", "Odd fills.", "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert (told["connection"], told["state"], told["reason"]) == ("paper", "HALTED", "Odd fills.")
    assert (trading_state(paper.pk), trading_state(None)) == ("HALTED", "REDUCING")


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
