"""What the last verification said is remembered, and tampering is an alarm until the log is whole again."""

import io
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from apps.audit import selectors, tasks
from apps.audit.models import Event
from apps.audit.services import verifications
from apps.audit.types import Actor, Result

ACTOR = Actor.system("audit.verify_log")


def test_before_the_first_there_is_none(log: list[Event]) -> None:
    assert selectors.last_verification() is None


def test_the_newest_counts_and_says_when_what_and_by_whom(log: list[Event], now: datetime) -> None:
    verifications.verify_and_record(by=ACTOR, now=now)
    verifications.verify_and_record(by=Actor.system("nightly"), now=now + timedelta(days=1))
    found = selectors.last_verification()
    assert found is not None
    assert (found.verified_at, found.intact, found.by) == (now + timedelta(days=1), True, "nightly")
    assert (found.events, found.findings) == (6, 0)


def test_tampering_is_an_alarm_and_only_an_intact_log_ends_it(
    log: list[Event], key: Any, unguarded: Any, now: datetime
) -> None:
    kind = log[0].kind
    unguarded(("UPDATE audit_event SET kind = 'x.y' WHERE id = %s", [log[0].pk]))
    for _ in range(2):
        report = verifications.verify_and_record(by=ACTOR, now=now)
    assert report.result is Result.TAMPERED
    alarm = selectors.open_alarms().get()
    assert (alarm.code, alarm.subject) == ("AUDIT_TAMPERED", "audit:log")
    assert "COLUMN_DIFFERS at proposal:a #1" in alarm.message
    found = selectors.last_verification()
    assert found is not None
    assert not found.intact
    unguarded(("UPDATE audit_event SET kind = %s WHERE id = %s", [kind, log[0].pk]))
    assert tasks.verify_log(unknown="tolerated") == "intact"
    assert not selectors.open_alarms().exists()


def test_what_could_not_be_looked_at_is_not_intact_and_no_alarm(
    log: list[Event], monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    monkeypatch.setattr("apps.audit.services.verification.missing_guards", lambda connection: ["a trigger"])
    assert verifications.verify_and_record(by=ACTOR, now=now).result is Result.INCOMPLETE
    found = selectors.last_verification()
    assert found is not None
    assert found.result is Result.INCOMPLETE
    assert not found.intact
    assert not selectors.open_alarms().exists()


def test_a_part_or_a_reading_role_records_nothing(log: list[Event]) -> None:
    call_command("audit_verify", "--stream", "proposal:a", stdout=io.StringIO())
    call_command("audit_verify", "--no-record", stdout=io.StringIO())
    assert selectors.last_verification() is None
    call_command("audit_verify", stdout=io.StringIO())
    found = selectors.last_verification()
    assert found is not None
    assert found.by.startswith("audit_verify, run by ")


def test_a_changed_record_of_a_verification_is_not_believed(log: list[Event], unguarded: Any, now: datetime) -> None:
    verifications.verify_and_record(by=ACTOR, now=now)
    unguarded(("UPDATE audit_event SET body = %s WHERE stream = 'audit:verification'", [b"{}"]))
    with pytest.raises(ValueError, match="schema"):
        selectors.last_verification()


def test_the_database_keeps_it(log: list[Event], now: datetime) -> None:
    verifications.verify_and_record(by=ACTOR, now=now)
    with pytest.raises(IntegrityError, match="guard"), transaction.atomic():
        Event.objects.filter(stream="audit:verification").delete()
