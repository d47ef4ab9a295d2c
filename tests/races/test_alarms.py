"""Two beats, or a beat and a person at the command line: an alarm is opened once and told once."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from apps.audit.models import Alarm, Delivery, Notice
from apps.audit.services import alarms, notices, pulses
from apps.audit.types import Actor, ActorKind, Says
from tests.factories.alarms import Receiver, swept
from tests.races.conftest import meet_after, together

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

SWEEPS = 6
PERSON = Actor(ActorKind.USER, "u-1", "Mara Lind")


def raised() -> Alarm:
    return alarms.raise_alarm(code="FILLS_DIFFER", subject="order:1", message="They differ.", now=timezone.now())


def tell(receiver: Receiver, now: Any) -> int:
    notices.tell_due(channels=[receiver.channel], now=now)
    return notices.send_owed(senders=[receiver], clock=lambda: now)


def test_sweeps_at_once_tell_once(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """They meet when each has read that the alarm is due."""
    alarm, receiver = raised(), Receiver()
    now = timezone.now()
    meet_after(monkeypatch, notices.rules, "wait_s", SWEEPS)
    results = together([partial(tell, receiver, now) for _ in range(SWEEPS)])
    assert sorted(results) == [0] * (SWEEPS - 1) + [1]
    assert [message.number for message in receiver.heard] == [1]
    alarm.refresh_from_db()
    assert (alarm.told, Notice.objects.count(), Delivery.objects.count()) == (1, 1, 1)


def test_one_notice_is_taken_by_one(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    raised()
    now = timezone.now()
    notices.tell_due(channels=[Receiver().channel], now=now)
    notice = Notice.objects.get()
    turns = together([partial(notices._take, notice.pk, now) for _ in range(SWEEPS)])
    assert len([turn for turn in turns if turn is not None]) == 1
    notice.refresh_from_db()
    assert notice.attempts == 1


def test_whole_sweeps_at_once_open_and_tell_once(transactional_db: None) -> None:
    """Nothing has run by the clock for an hour: every one of them notices."""
    pulses.beat(pulses.BEAT, now=timezone.now())
    receiver, late = Receiver(), timezone.now() + timedelta(hours=1)
    together([partial(swept, late, senders=[receiver]) for _ in range(SWEEPS)])
    told = [(message.code, message.subject) for message in receiver.heard]
    assert ("BEAT_SILENT", "beat") in told
    assert len(told) == len(set(told)) == Alarm.objects.filter(cleared_at=None).count()


@pytest.mark.parametrize("_", range(5))
def test_over_in_the_same_moment_whoever_heard_of_it_hears_the_end_once(transactional_db: None, _: int) -> None:
    alarm, receiver = raised(), Receiver()
    now = timezone.now()
    over = partial(alarms.clear_alarm, code=alarm.code, subject=alarm.subject, now=now)
    together([partial(tell, receiver, now), over, over, partial(tell, receiver, now)])
    for wait_s in (60, 120, 86_400):
        tell(receiver, now + timedelta(seconds=wait_s))
    assert [message.says for message in receiver.heard] in ([], [Says.OPEN, Says.OVER])


def test_acknowledged_in_the_same_moment_it_is_told_at_most_once_more(transactional_db: None) -> None:
    alarm, receiver = raised(), Receiver()
    now = timezone.now()
    seen = partial(alarms.acknowledge, alarm_id=alarm.pk, actor=PERSON, now=now)
    together([partial(tell, receiver, now), seen, partial(tell, receiver, now)])
    assert len([message for message in receiver.heard if message.says is Says.OPEN]) <= 1
    heard = bool(receiver.heard)
    tell(receiver, now + timedelta(minutes=1))
    assert tell(receiver, now + timedelta(days=1)) == 0
    assert [message.says for message in receiver.heard] == [Says.OPEN, Says.ACKNOWLEDGED] * heard
    alarm.refresh_from_db()
    assert alarm.acknowledged_by == "Mara Lind"
