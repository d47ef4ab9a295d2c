"""Latches latch: tripped at once and alone, with alarm, state and event in one; reset by two named people only."""

from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from apps.accounts.models import Desk, User
from apps.accounts.services import second_person
from apps.accounts.services.people import actor_of
from apps.audit.models import Alarm
from apps.audit.selectors import events_of, facts_of
from apps.audit.types import Actor
from apps.common.errors import Conflict, Denied, Forbidden, Invalid, NotFound
from apps.connectors.models import Connection
from apps.policies.models import Latch
from apps.policies.selectors import trading_state, tripped_question
from apps.policies.services import latches
from apps.policies.services import trading_state as states
from apps.policies.types import LatchKind, State
from tests.policies.rows import a_connection
from tests.policies.test_halt import evidence

pytestmark = pytest.mark.django_db

CHECK = Actor.system("self_check")


@pytest.fixture
def paper(desk: Desk, now: datetime) -> Connection:
    return a_connection(desk, now)


def trip(paper: Connection | None, now: datetime, kind: LatchKind = LatchKind.DRAWDOWN) -> Latch:
    return latches.trip(
        kind=kind,
        connection_id=paper.pk if paper else None,
        message="It fell.",
        evidence={"fall_bps": "2100"},
        actor=CHECK,
        now=now,
    )


@pytest.mark.parametrize("kind", LatchKind)
def test_tripping_shuts_says_and_records_at_once(paper: Connection, now: datetime, kind: LatchKind) -> None:
    latch = trip(paper, now, kind)
    assert (latch.kind, latch.evidence, trading_state(paper.pk)) == (kind, {"fall_bps": "2100"}, kind.imposes)
    assert trading_state(None) == "ACTIVE"
    assert "It fell." in Alarm.objects.get(code=f"LATCH_{kind}", cleared_at=None).message
    event = events_of(f"trading_state:{paper.pk}").last()
    assert event is not None and event.kind == "latch.tripped"
    assert facts_of(event)["payload"]["evidence"] == {"fall_bps": "2100"}  # type: ignore[index]


def test_a_failure_of_the_log_halts_everything(paper: Connection, now: datetime) -> None:
    trip(None, now, LatchKind.AUDIT_FAILURE)
    assert trading_state(paper.pk) == "HALTED"


def test_tripping_again_keeps_the_first_and_never_loosens(paper: Connection, risk: User, now: datetime) -> None:
    states.halt(connection_id=paper.pk, actor=actor_of(risk), reason="Odd.", now=now)
    first = trip(paper, now)
    again = trip(paper, now + timedelta(hours=1))
    assert (again.pk, Latch.objects.count(), Alarm.objects.filter(cleared_at=None).count()) == (first.pk, 1, 1)
    assert trading_state(paper.pk) == "HALTED"


def test_two_named_people_reset_it_and_say_why(paper: Connection, risk: User, approver: User, now: datetime) -> None:
    latch = trip(paper, now)
    with pytest.raises(NotFound, match="RESET_NOT_ASKED"):
        latches.second_reset(latch_id=latch.pk, seconder=approver, now=now)
    with pytest.raises(Invalid, match="REASON_NEEDED"):
        latches.request_reset(latch_id=latch.pk, requester=risk, reason="  ", now=now)
    latches.request_reset(latch_id=latch.pk, requester=risk, reason="We sold it.", now=now)
    with pytest.raises(Denied, match="SECOND_PERSON_IS_REQUESTER"):
        latches.second_reset(latch_id=latch.pk, seconder=risk, now=now)
    latches.second_reset(latch_id=latch.pk, seconder=approver, now=now)
    latch.refresh_from_db()
    assert (latch.reset_at, latch.reset_requester, latch.reset_seconder) == (now, risk, approver)
    assert "We sold it." in latch.reset_reason
    assert not Alarm.objects.filter(cleared_at=None).exists()
    assert not any(tripped_question(paper.pk, LatchKind(latch.kind)).answer)
    with pytest.raises(Conflict, match="LATCH_IS_RESET"):
        latches.request_reset(latch_id=latch.pk, requester=risk, reason="Again.", now=now)
    assert trip(paper, now).pk != latch.pk, "it trips again"


def test_a_reset_does_not_resume_and_nothing_resumes_before_it(
    paper: Connection, risk: User, approver: User, now: datetime
) -> None:
    latch, clean = trip(paper, now), evidence(now)
    with pytest.raises(Denied, match="LATCH_TRIPPED"):
        states.request_resume(connection_id=paper.pk, requester=risk, reason="Why.", evidence=clean, now=now)
    latches.request_reset(latch_id=latch.pk, requester=risk, reason="Understood.", now=now)
    latches.second_reset(latch_id=latch.pk, seconder=approver, now=now)
    assert trading_state(paper.pk) == "REDUCING"
    states.request_resume(connection_id=paper.pk, requester=risk, reason="Why.", evidence=clean, now=now)
    trip(paper, now, LatchKind.QUOTES_DEAD)
    with pytest.raises(Denied, match="LATCH_TRIPPED"):
        states.second_resume(connection_id=paper.pk, seconder=approver, evidence=clean, now=now)
    assert trading_state(paper.pk) == "REDUCING"


def test_one_that_was_seconded_elsewhere_is_reset_here(
    paper: Connection, risk: User, approver: User, now: datetime
) -> None:
    latch = trip(paper, now)
    asked = latches.request_reset(latch_id=latch.pk, requester=risk, reason="Understood.", now=now)
    with pytest.raises(Denied, match="SECOND_PERSON_REQUIRED"):
        latches.reset(latch_id=latch.pk, person=risk, now=now)
    second_person.second(request_id=asked.pk, seconder=approver, now=now)
    assert latches.reset(latch_id=latch.pk, person=risk, now=now).reset_seconder == approver


def test_who_may_not_reset_is_refused(paper: Connection, auditor: User, outsider: User, now: datetime) -> None:
    latch = trip(paper, now)
    for person in (auditor, outsider):
        with pytest.raises(Forbidden, match="MAY_NOT_RESET"):
            latches.request_reset(latch_id=latch.pk, requester=person, reason="Please.", now=now)


@pytest.mark.parametrize(
    "change",
    [
        lambda latch, person, now: Latch.objects.filter(pk=latch.pk).delete(),
        lambda latch, person, now: Latch.objects.filter(pk=latch.pk).update(reset_at=now),
        lambda latch, person, now: Latch.objects.filter(pk=latch.pk).update(
            reset_at=now, reset_requester=person, reset_seconder=person, reset_reason="Alone."
        ),
        lambda latch, person, now: Latch.objects.filter(pk=latch.pk).update(scope="global", connection=None),
        lambda latch, person, now: Latch.objects.filter(pk=latch.pk).update(tripped_at=now - timedelta(days=1)),
        lambda latch, person, now: Latch.objects.create(
            kind="DRAWDOWN", scope="global", tripped_at=now, message="x", reset_at=now
        ),
    ],
    ids=["delete", "reset by nobody", "reset alone", "move", "change", "begin reset"],
)
def test_the_database_refuses_every_shorter_way(
    paper: Connection, risk: User, now: datetime, change: Callable[[Latch, User, datetime], object]
) -> None:
    latch = trip(paper, now)
    with pytest.raises(IntegrityError), transaction.atomic():
        change(latch, risk, now)
    assert Latch.objects.get().reset_at is None


def test_what_was_reset_never_changes(paper: Connection, risk: User, approver: User, now: datetime) -> None:
    latch = trip(paper, now)
    latches.request_reset(latch_id=latch.pk, requester=risk, reason="Understood.", now=now)
    latches.second_reset(latch_id=latch.pk, seconder=approver, now=now)
    for change in ({"reset_reason": "Other."}, {"reset_at": None, "reset_requester": None, "reset_seconder": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Latch.objects.update(**change)


def test_the_command_shows_what_tripped_and_the_way_back(paper: Connection, now: datetime) -> None:
    trip(paper, now, LatchKind.MISMATCH)
    out = StringIO()
    call_command("trading_state", stdout=out)
    said = out.getvalue()
    assert "paper (paper): HALTED" in said and "MISMATCH" in said and "It fell." in said
    assert "two people reset what has tripped, then two people resume" in said


def test_every_kind_says_what_it_means_and_imposes_a_tighter_state() -> None:
    for kind in LatchKind:
        assert kind.sentence.endswith(".") and kind.loosening.endswith(".") and kind.imposes is not State.ACTIVE
