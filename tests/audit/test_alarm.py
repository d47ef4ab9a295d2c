"""An alarm is raised once, acknowledged by a person and cleared when it is over."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.audit import selectors
from apps.audit.models import Alarm
from apps.audit.services import alarms
from apps.audit.services.verification import verify
from apps.audit.types import Actor, ActorKind
from apps.common.errors import Conflict, NotFound

PERSON = Actor(ActorKind.USER, "u-1", "Mara Lind")


@pytest.fixture
def alarm(empty_log: None, now: datetime) -> Alarm:
    return alarms.raise_alarm(code="ORDER_UNKNOWN", subject="order:1", message="No answer.", now=now)


def test_raising_again_finds_the_open_one(alarm: Alarm, now: datetime) -> None:
    later = now + timedelta(hours=1)
    again = alarms.raise_alarm(code="ORDER_UNKNOWN", subject="order:1", message="Still none.", now=later)
    other = alarms.raise_alarm(code="ORDER_UNKNOWN", subject="order:2", message="No answer.", now=later)
    assert (again.pk, again.since, again.message) == (alarm.pk, now, "No answer.")
    assert list(selectors.open_alarms()) == [alarm, other]


def test_a_long_message_is_cut_and_the_alarm_stands(empty_log: None, now: datetime) -> None:
    alarm = alarms.raise_alarm(code="X", subject="y", message="m" * 900, now=now)
    alarm.refresh_from_db()
    assert alarm.message == "m" * 499 + "…"


def test_a_cleared_one_is_over_and_may_come_again(alarm: Alarm, now: datetime) -> None:
    assert alarms.clear_alarm(code="ORDER_UNKNOWN", subject="order:1", now=now)
    assert not alarms.clear_alarm(code="ORDER_UNKNOWN", subject="order:1", now=now)
    assert list(selectors.open_alarms()) == []
    with pytest.raises(Conflict, match="ALARM_CLEARED"):
        alarms.acknowledge(alarm_id=alarm.pk, actor=PERSON, now=now)
    again = alarms.raise_alarm(code="ORDER_UNKNOWN", subject="order:1", message="Again.", now=now)
    assert again.pk != alarm.pk


def test_one_person_acknowledges_and_the_log_tells_the_story(alarm: Alarm, now: datetime) -> None:
    acknowledged = alarms.acknowledge(alarm_id=alarm.pk, actor=PERSON, now=now)
    assert (acknowledged.acknowledged_by, acknowledged.acknowledged_at) == ("Mara Lind", now)
    with pytest.raises(Conflict, match="Mara Lind has acknowledged"):
        alarms.acknowledge(alarm_id=alarm.pk, actor=PERSON, now=now)
    with pytest.raises(NotFound):
        alarms.acknowledge(alarm_id=alarm.pk + 1, actor=PERSON, now=now)
    alarms.clear_alarm(code="ORDER_UNKNOWN", subject="order:1", now=now)
    story = [event.kind for event in selectors.events_of(f"alarm:{alarm.pk}")]
    assert story == ["alarm.raised", "alarm.acknowledged", "alarm.cleared"]
    assert verify().exit_code == 0


def test_the_database_keeps_alarms_as_they_were_raised(alarm: Alarm) -> None:
    for attempt in (
        lambda: alarm.delete(),
        lambda: Alarm.objects.update(code="NOTHING"),
        lambda: Alarm.objects.create(code=alarm.code, subject=alarm.subject, message="twin", since=alarm.since),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            attempt()


def test_raising_inside_a_transaction_that_fails_leaves_nothing(empty_log: None, now: datetime) -> None:
    def fail() -> Any:
        with transaction.atomic():
            alarms.raise_alarm(code="X", subject="y", message="z", now=now)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not Alarm.objects.exists()
