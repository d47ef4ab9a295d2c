"""Who is told of an alarm, how often, and what is kept of it."""

import json
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.audit.models import Alarm, Delivery, Notice
from apps.audit.services import alarms, channels, notices
from apps.audit.types import Actor, ActorKind, Channel, Says, Standing
from tests.factories.alarms import Receiver

pytestmark = pytest.mark.django_db

PERSON = Actor(ActorKind.USER, "u-1", "Mara Lind")


@pytest.fixture
def alarm(db: None, now: datetime) -> Alarm:
    return alarms.raise_alarm(code="ORDER_UNKNOWN", subject="order:1", message="No answer.", now=now)


def tell(now: datetime, *receivers: Any) -> int:
    """What a sweep does once alarms are settled. Returns how many notices got out."""
    notices.tell_due(channels=[item.channel for item in receivers], now=now)
    return notices.send_owed(senders=receivers, clock=lambda: now)


def after(now: datetime, seconds: int) -> datetime:
    return now + timedelta(seconds=seconds)


def test_it_is_told_once_and_again_after_ever_longer_waits(alarm: Alarm, now: datetime, settings: Any) -> None:
    settings.ALARM_REPEAT_AFTER_S, settings.ALARM_REPEAT_AFTER_MAX_S = 300, 900
    receiver = Receiver()
    heard_at = [second for second in range(0, 4000, 10) if tell(after(now, second), receiver)]
    assert heard_at == [0, 300, 900, 1800, 2700, 3600]
    assert [message.number for message in receiver.heard] == [1, 2, 3, 4, 5, 6]
    assert len({message.key for message in receiver.heard}) == 6
    said = receiver.heard[0]
    assert (said.code, said.subject, said.message, said.since) == ("ORDER_UNKNOWN", "order:1", "No answer.", now)
    assert "may exist" in said.means and said.do


def test_acknowledged_it_is_told_no_more(alarm: Alarm, now: datetime) -> None:
    receiver = Receiver()
    assert tell(now, receiver) == 1
    alarms.acknowledge(alarm_id=alarm.pk, actor=PERSON, now=now)
    assert tell(now, receiver) == 1, "that it is acknowledged"
    assert tell(after(now, 100_000), receiver) == 0


def test_over_it_is_told_no_more_and_comes_back_as_a_new_one(alarm: Alarm, now: datetime) -> None:
    receiver = Receiver()
    tell(now, receiver)
    alarms.clear_alarm(code=alarm.code, subject=alarm.subject, now=now)
    assert tell(now, receiver) == 1, "that it is over"
    assert tell(after(now, 100_000), receiver) == 0
    alarms.raise_alarm(code=alarm.code, subject=alarm.subject, message="Again.", now=now)
    assert tell(after(now, 100_000), receiver) == 1
    assert [message.number for message in receiver.heard] == [1, 2, 1]


def test_whoever_heard_of_it_hears_once_who_acknowledged_it_and_once_that_it_is_over(
    alarm: Alarm, now: datetime
) -> None:
    receiver, seen_at, over_at = Receiver(), after(now, 20), after(now, 400)
    tell(now, receiver)
    alarms.acknowledge(alarm_id=alarm.pk, actor=PERSON, now=seen_at)
    told_at = [second for second in range(20, 400, 10) if tell(after(now, second), receiver)]
    alarms.clear_alarm(code=alarm.code, subject=alarm.subject, now=over_at)
    assert not alarms.clear_alarm(code=alarm.code, subject=alarm.subject, now=over_at)
    told_at += [second for second in range(400, 4000, 10) if tell(after(now, second), receiver)]
    assert told_at == [20, 400]
    assert [(said.says, said.at, said.by) for said in receiver.heard] == [
        (Says.OPEN, now, ""),
        (Says.ACKNOWLEDGED, seen_at, "Mara Lind"),
        (Says.OVER, over_at, ""),
    ]
    assert len({said.key for said in receiver.heard}) == 3


def test_who_never_heard_of_it_hears_of_no_end(alarm: Alarm, now: datetime) -> None:
    """Opened and over between two sweeps; and a channel that stood still at another notice before this one's turn."""
    web, mail = Receiver(), Receiver(Channel.EMAIL, up=False)
    passing = alarms.raise_alarm(code="FILLS_DIFFER", subject="order:1", message="They differ.", now=now)
    alarms.clear_alarm(code=passing.code, subject=passing.subject, now=now)
    tell(now, web, mail)
    queued = alarms.raise_alarm(code="ORDER_UNKNOWN", subject="order:2", message="No answer.", now=now)
    tell(after(now, 1), web, mail)
    alarms.clear_alarm(code=queued.code, subject=queued.subject, now=after(now, 2))
    mail.up = True
    tell(after(now, 10), web, mail)
    assert [(said.subject, said.says) for said in web.heard] == [
        ("order:1", Says.OPEN),
        ("order:2", Says.OPEN),
        ("order:2", Says.OVER),
    ]
    assert [(said.subject, said.says) for said in mail.heard] == [("order:1", Says.OPEN)]


def test_an_attempt_that_failed_may_have_been_heard_so_its_end_is_told(alarm: Alarm, now: datetime) -> None:
    """The end waits for the attempt that may be under way, and for nothing that came before it."""
    receiver = Receiver(up=False)
    tell(now, receiver)
    alarms.acknowledge(alarm_id=alarm.pk, actor=PERSON, now=now)
    alarms.clear_alarm(code=alarm.code, subject=alarm.subject, now=after(now, 1))
    receiver.up = True
    assert tell(after(now, 9), receiver) == 0
    assert tell(after(now, 10), receiver) == 1
    assert tell(after(now, 100_000), receiver) == 0
    assert [said.says for said in receiver.heard] == [Says.OVER]
    rows = Notice.objects.order_by("number").values_list("says", "state")
    assert list(rows) == [("OPEN", "MOOT"), ("ACKNOWLEDGED", "MOOT"), ("OVER", "DELIVERED")]


def test_a_channel_that_fails_waits_and_keeps_no_other_waiting(alarm: Alarm, now: datetime) -> None:
    webhook, mail = Receiver(up=False), Receiver(Channel.EMAIL)
    tried_at = []
    for second in range(0, 290, 5):
        before = Delivery.objects.filter(channel=Channel.WEBHOOK).count()
        tell(after(now, second), webhook, mail)
        if Delivery.objects.filter(channel=Channel.WEBHOOK).count() > before:
            tried_at.append(second)
    assert tried_at == [0, 10, 30, 70, 150]
    assert len(mail.heard) == 1
    webhook.up = True
    tell(after(now, 310), webhook, mail)
    assert [message.number for message in webhook.heard] == [2], "told anew meanwhile; the old notice is of no use"
    assert [row.attempt for row in Delivery.objects.filter(channel=Channel.WEBHOOK, delivered=False)] == [1, 2, 3, 4, 5]
    assert set(Notice.objects.values_list("number", "channel", "state")) == {
        (1, "WEBHOOK", "SUPERSEDED"),
        (1, "EMAIL", "DELIVERED"),
        (2, "WEBHOOK", "DELIVERED"),
        (2, "EMAIL", "DELIVERED"),
    }


def test_every_attempt_of_one_notice_has_the_same_key(alarm: Alarm, now: datetime) -> None:
    receiver = Receiver(up=False)
    tell(now, receiver)
    key = Notice.objects.get().key
    receiver.up = True
    tell(after(now, 10), receiver)
    assert [message.key for message in receiver.heard] == [key]


def test_one_notice_that_chokes_the_receiver_does_not_stand_before_the_others(now: datetime) -> None:
    class Choosy(Receiver):
        def send(self, message: Any, *, now: datetime) -> Any:
            self.up = message.subject != "order:poison"
            return super().send(message, now=now)

    receiver = Choosy()
    for name in ("poison", "1", "2"):
        alarms.raise_alarm(code="ORDER_UNKNOWN", subject=f"order:{name}", message="No answer.", now=now)
    tell(now, receiver)
    tell(after(now, 10), receiver)
    assert [message.subject for message in receiver.heard] == ["order:1", "order:2"]


def test_a_process_that_dies_after_telling_is_followed_by_one_that_tells_again(alarm: Alarm, now: datetime) -> None:
    class Dies(Receiver):
        def send(self, message: Any, *, now: datetime) -> Any:
            super().send(message, now=now)
            raise SystemExit

    dying, next_one = Dies(), Receiver()
    with pytest.raises(SystemExit):
        tell(now, dying)
    assert tell(after(now, 59), next_one) == 0, "it may still be at it"
    assert tell(after(now, 60), next_one) == 1
    assert dying.heard[0].key == next_one.heard[0].key


def test_a_channel_that_is_taken_away_owes_nothing(alarm: Alarm, now: datetime) -> None:
    mail = Receiver(Channel.EMAIL)
    tell(now, Receiver(up=False), mail)
    tell(after(now, 10), mail)
    assert Notice.objects.get(channel=Channel.WEBHOOK).state == "MOOT"


def test_what_grew_is_told_anew_though_somebody_had_acknowledged_it(now: datetime) -> None:
    def item(extent: int) -> Standing:
        return Standing(
            code="AUDIT_CHECKPOINT_LATE",
            subject="audit:seals",
            message=f"{extent} events.",
            since=now,
            bound_s=1,
            extent=extent,
        )

    receiver, later = Receiver(), after(now, 2)
    alarms.settle(standing=[item(5)], now=later, resumed_at=None)
    tell(later, receiver)
    alarms.acknowledge(alarm_id=Alarm.objects.get().pk, actor=PERSON, now=later)
    alarms.settle(standing=[item(9)], now=later, resumed_at=None)
    assert tell(later, receiver) == 1, "that it is acknowledged"
    assert tell(later, receiver) == 0
    alarms.settle(standing=[item(10)], now=later, resumed_at=None)
    assert tell(later, receiver) == 1
    assert [(said.says, said.message) for said in receiver.heard] == [
        (Says.OPEN, "5 events."),
        (Says.ACKNOWLEDGED, "5 events."),
        (Says.OPEN, "10 events."),
    ]
    assert Alarm.objects.get().acknowledged_by == ""


def test_the_log_has_one_line_that_a_machine_reads(now: datetime, caplog: pytest.LogCaptureFixture) -> None:
    alarms.raise_alarm(code="FILLS_DIFFER", subject="order:1", message="One\nERROR forged", now=now)
    with caplog.at_level(logging.ERROR, logger="aika.alarms"):
        tell(now, channels.LOG)
    (record,) = caplog.records
    line = record.getMessage()
    assert record.levelname == "ERROR" and "\n" not in line
    said = json.loads(line.removeprefix("ALARM "))
    assert (said["code"], said["message"], said["told"]) == ("FILLS_DIFFER", "One\nERROR forged", 1)


def test_the_end_is_a_line_in_the_log_that_is_no_error(
    alarm: Alarm, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    tell(now, channels.LOG)
    alarms.clear_alarm(code=alarm.code, subject=alarm.subject, now=after(now, 5))
    with caplog.at_level(logging.INFO, logger="aika.alarms"):
        tell(after(now, 5), channels.LOG)
    record = caplog.records[-1]
    said = json.loads(record.getMessage().removeprefix("ALARM "))
    assert record.levelname == "INFO"
    assert (said["code"], said["state"], said["at"]) == ("ORDER_UNKNOWN", "OVER", "2026-03-02T14:46:05.000000Z")


def test_what_was_sent_is_never_changed(alarm: Alarm, now: datetime) -> None:
    tell(now, Receiver())
    for attempt in (
        lambda: Delivery.objects.update(answer="200"),
        lambda: Delivery.objects.get().delete(),
        lambda: Notice.objects.update(state="OWED"),
        lambda: Notice.objects.update(says="OVER"),
        lambda: Notice.objects.get().delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            attempt()
