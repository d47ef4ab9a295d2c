"""Telling people of alarms: who is told is written down first, then told outside any transaction, then recorded.

An alarm is told when it opens, and again after ever longer waits until somebody acknowledges it. Whoever may have heard
of it is told once that somebody has acknowledged it, and once that it is over. Each telling owes
one notice to each channel; whoever changes the row from one state to the next has the turn, so that of two sweeps one
tells. A process that dies between telling and recording is followed by another that tells again, under the same key:
receivers hear of each notice at least once.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from apps.audit.models import Alarm, Delivery, Notice
from apps.audit.rules import alarms as rules
from apps.audit.types import Answer, Channel, Message, NoticeState, Says
from apps.common.alarm_kinds import ALARM_KINDS

ALARMS_PER_SWEEP: Final = 200
NOTICES_PER_SWEEP: Final = 100
# A sweep starts no further attempt after this long: its task has a limit, and the next sweep goes on.
SENDING: Final = timedelta(seconds=40)
# Longer than any channel's own deadlines: a notice in hand for longer was left by a process that died.
IN_HAND: Final = timedelta(seconds=60)
RETRY_AFTER_S: Final = 10
RETRY_AFTER_MAX_S: Final = 600
ANSWER_CHARS_MAX: Final = 200

Clock = Callable[[], datetime]

logger = logging.getLogger(__name__)


class Sender(Protocol):
    """One channel, as it is set up now."""

    channel: Channel

    def send(self, message: Message, *, now: datetime) -> Answer:
        """Tell once. Bounded in time; never raises for what the other side does."""
        ...


@dataclass(frozen=True, slots=True)
class _Turn:
    """The right to make one attempt."""

    notice_id: int
    attempt: int
    message: Message


def tell_due(*, channels: Sequence[Channel], now: datetime) -> int:
    """Write down for every alarm that is due that it is told now, and which channels owe that. Returns how many."""
    due = Alarm.objects.filter(Q(tell_at=None) | Q(tell_at__lte=now), cleared_at=None, acknowledged_at=None)
    rows = due.order_by(F("tell_at").asc(nulls_first=True), "id")
    return sum(_tell(alarm, channels, now) for alarm in rows[:ALARMS_PER_SWEEP])


def _tell(alarm: Alarm, channels: Sequence[Channel], now: datetime) -> bool:
    told = alarm.told + 1
    wait = rules.wait_s(told, first_s=settings.ALARM_REPEAT_AFTER_S, most_s=settings.ALARM_REPEAT_AFTER_MAX_S)
    with transaction.atomic():
        mine = Alarm.objects.filter(
            pk=alarm.pk, told=alarm.told, tell_at=alarm.tell_at, cleared_at=None, acknowledged_at=None
        ).update(told=told, told_at=now, tell_at=now + timedelta(seconds=wait))
        if mine != 1:
            return False  # another sweep tells it, or somebody has just acknowledged it
        Notice.objects.filter(alarm=alarm, state=NoticeState.OWED).update(state=NoticeState.SUPERSEDED)
        _owe(alarm, Says.OPEN, dict.fromkeys(channels, now), now)
    return True


def owe_ending(alarm: Alarm, says: Says, *, now: datetime) -> None:
    """Each channel by which people may have heard of this alarm owes them once that it is acknowledged, or over.

    Call it in the transaction that makes it so, with the alarm's row locked. What never left is dropped with it.
    """
    told = Notice.objects.filter(alarm=alarm)
    told.filter(state=NoticeState.OWED, attempts=0).update(state=NoticeState.MOOT)
    due: dict[Channel, datetime] = {}
    for channel, state, next_at in told.filter(attempts__gt=0).values_list("channel", "state", "next_at"):
        # One that is under way arrives first; one that failed may have been heard all the same.
        at = min(max(next_at, now), now + IN_HAND) if state == NoticeState.OWED else now
        due[Channel(channel)] = max(at, due.get(Channel(channel), now))
    _owe(alarm, says, due, now)


def _owe(alarm: Alarm, says: Says, due: Mapping[Channel, datetime], now: datetime) -> None:
    last = Notice.objects.filter(alarm=alarm).order_by("-number").values_list("number", flat=True).first() or 0
    Notice.objects.bulk_create(
        Notice(alarm=alarm, number=last + 1, says=says, channel=channel, key=uuid4(), next_at=next_at, owed_since=now)
        for channel, next_at in due.items()
    )


def send_owed(*, senders: Sequence[Sender], clock: Clock) -> int:
    """Try every notice that is owed and due, channel by channel. Returns how many got out. Never in a transaction.

    A channel that fails waits, longer each time, and keeps no other waiting.
    """
    began = clock()
    _drop_useless([sender.channel for sender in senders])
    return sum(_send_channel(sender, clock, until=began + SENDING) for sender in senders)


def _drop_useless(channels: Sequence[Channel]) -> None:
    """What nobody needs to hear any more, or what has no way to go: overtaken by what came after, or a channel gone."""
    is_over, is_seen = Q(alarm__cleared_at__isnull=False), Q(alarm__acknowledged_at__isnull=False)
    overtaken = Q(says=Says.OPEN) & (is_over | is_seen) | Q(says=Says.ACKNOWLEDGED) & (is_over | ~is_seen)
    useless = overtaken | ~Q(channel__in=channels)
    ids = list(Notice.objects.filter(useless, state=NoticeState.OWED).values_list("pk", flat=True)[:1000])
    Notice.objects.filter(pk__in=ids, state=NoticeState.OWED).update(state=NoticeState.MOOT)


def _send_channel(sender: Sender, clock: Clock, *, until: datetime) -> int:
    now, sent = clock(), 0
    owed = Notice.objects.filter(channel=sender.channel, state=NoticeState.OWED)
    if owed.filter(attempts__gt=0, next_at__gt=now).exists():
        return 0  # somebody is at it, or it has just failed: the whole channel waits
    # What was never tried goes first: a notice the receiver chokes on must not stand before the others.
    due = owed.filter(next_at__lte=now).order_by("attempts", "id")
    for notice_id in list(due.values_list("pk", flat=True)[:NOTICES_PER_SWEEP]):
        now = clock()
        turn = _take(notice_id, now) if now < until else None
        if turn is None:
            continue
        answer = sender.send(turn.message, now=now)
        _record(turn, sender.channel, answer, sent_at=now, now=clock())
        if not answer.delivered:
            logger.warning("Alarms do not get out by %s: %s", sender.channel, answer.text)
            break
        sent += 1
    return sent


def _take(notice_id: int, now: datetime) -> _Turn | None:
    notice = Notice.objects.select_related("alarm").filter(pk=notice_id, state=NoticeState.OWED).first()
    if notice is None or notice.next_at > now:
        return None
    mine = Notice.objects.filter(pk=notice_id, state=NoticeState.OWED, attempts=notice.attempts).update(
        attempts=notice.attempts + 1, next_at=now + IN_HAND
    )
    if mine != 1:
        return None
    return _Turn(notice_id, notice.attempts + 1, _message(notice.alarm, notice))


def _message(alarm: Alarm, notice: Notice) -> Message:
    kind = ALARM_KINDS.get(alarm.code)
    says = Says(notice.says)
    return Message(
        key=notice.key,
        number=notice.number,
        code=alarm.code,
        subject=alarm.subject,
        message=alarm.message,
        means=kind.means if kind else "",
        do=kind.do if kind else "",
        extent=alarm.extent,
        since=alarm.since,
        environment=settings.ENVIRONMENT,
        says=says,
        at=alarm.since if says is Says.OPEN else notice.owed_since,
        by=alarm.acknowledged_by if says is Says.ACKNOWLEDGED else "",
    )


def _record(turn: _Turn, channel: Channel, answer: Answer, *, sent_at: datetime, now: datetime) -> None:
    """The attempt, and where the notice stands after it; one that is superseded meanwhile stays so."""
    with transaction.atomic():
        Delivery.objects.create(
            notice_id=turn.notice_id,
            channel=channel,
            attempt=turn.attempt,
            sent_at=sent_at,
            answered_at=now,
            delivered=answer.delivered,
            answer=answer.text[:ANSWER_CHARS_MAX],
        )
        mine = Notice.objects.filter(pk=turn.notice_id, state=NoticeState.OWED, attempts=turn.attempt)
        if answer.delivered:
            mine.update(state=NoticeState.DELIVERED)
        else:
            wait = rules.wait_s(turn.attempt, first_s=RETRY_AFTER_S, most_s=RETRY_AFTER_MAX_S)
            mine.update(next_at=now + timedelta(seconds=wait))
