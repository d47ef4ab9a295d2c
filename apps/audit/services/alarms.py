"""Alarms: raised by what notices, acknowledged by a person, cleared by what notices that it is over.

What is unresolved for too long is noticed by a sweep, which hands all of it to `settle`. Telling people is `notices`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from django.db import IntegrityError, transaction

from apps.audit.models import MESSAGE_CHARS_MAX, Alarm
from apps.audit.rules import alarms as rules
from apps.audit.services import events, notices
from apps.audit.types import Actor, OpenAlarm, Says, Settlement, Standing
from apps.common.alarm_kinds import SWEPT
from apps.common.errors import Conflict, NotFound

ALARMS: Final = Actor.system("alarms")


def settle(*, standing: Iterable[Standing], now: datetime, resumed_at: datetime | None) -> Settlement:
    """Open and clear alarms as `rules.settle` says of everything that stands unresolved now. Safe beside another sweep.

    One that has grown to twice what it was about is told anew, also where somebody had acknowledged it.
    """
    rows = Alarm.objects.filter(cleared_at=None, code__in=SWEPT).values_list("pk", "code", "subject", "extent")
    open_alarms = [OpenAlarm(id=pk, code=code, subject=subject, extent=extent) for pk, code, subject, extent in rows]
    found = rules.settle(standing=standing, open_alarms=open_alarms, swept=SWEPT, now=now, resumed_at=resumed_at)
    for item in found.raised:
        raise_alarm(code=item.code, subject=item.subject, message=item.message, now=now, extent=item.extent)
    for alarm, item in found.grown:
        _grow(alarm, item, now)
    for alarm in found.cleared:
        clear_alarm(code=alarm.code, subject=alarm.subject, now=now)
    return found


def raise_alarm(*, code: str, subject: str, message: str, now: datetime, extent: int = 1) -> Alarm:
    """Opens an alarm, or returns the one that is open for this code and subject, whose first message stays.

    A message beyond 500 characters is cut: no alarm fails for having too much to say.
    """
    try:
        with transaction.atomic():
            alarm = Alarm.objects.create(code=code, subject=subject, message=_cut(message), since=now, extent=extent)
            _record(alarm, kind="alarm.raised", actor=ALARMS, now=now)
            return alarm
    except IntegrityError:
        found = Alarm.objects.filter(code=code, subject=subject, cleared_at=None).first()
        if found is None:
            raise
        return found


def clear_alarm(*, code: str, subject: str, now: datetime) -> bool:
    """Closes the open alarm of this code and subject, and owes that to whoever heard of it; False when none was."""
    with transaction.atomic():
        alarm = Alarm.objects.select_for_update().filter(code=code, subject=subject, cleared_at=None).first()
        if alarm is None:
            return False
        alarm.cleared_at = now
        alarm.save(update_fields=["cleared_at"])
        _record(alarm, kind="alarm.cleared", actor=ALARMS, now=now)
        notices.owe_ending(alarm, Says.OVER, now=now)
        return True


def acknowledge(*, alarm_id: int, actor: Actor, now: datetime) -> Alarm:
    """A person has seen it. Raises NotFound ALARM_NOT_FOUND, Conflict ALARM_ALREADY_ACKNOWLEDGED or ALARM_CLEARED."""
    with transaction.atomic():
        alarm = Alarm.objects.select_for_update().filter(pk=alarm_id).first()
        if alarm is None:
            raise NotFound("ALARM_NOT_FOUND", "There is no such alarm.")
        if alarm.cleared_at is not None:
            raise Conflict("ALARM_CLEARED", "The alarm was over before you acknowledged it.")
        if alarm.acknowledged_at is not None:
            raise Conflict("ALARM_ALREADY_ACKNOWLEDGED", f"{alarm.acknowledged_by} has acknowledged this alarm.")
        alarm.acknowledged_by, alarm.acknowledged_at = actor.name, now
        alarm.save(update_fields=["acknowledged_by", "acknowledged_at"])
        _record(alarm, kind="alarm.acknowledged", actor=actor, now=now)
        notices.owe_ending(alarm, Says.ACKNOWLEDGED, now=now)
        return alarm


def _grow(known: OpenAlarm, standing: Standing, now: datetime) -> None:
    """It is about twice as much as when it was last told: whoever acknowledged the smaller thing has not seen this."""
    with transaction.atomic():
        grown = Alarm.objects.filter(pk=known.id, extent=known.extent, cleared_at=None).update(
            extent=standing.extent,
            message=_cut(standing.message),
            acknowledged_by="",
            acknowledged_at=None,
            told=0,
            tell_at=now,
        )
        if grown == 1:
            _record(Alarm.objects.get(pk=known.id), kind="alarm.grown", actor=ALARMS, now=now)


def _cut(message: str) -> str:
    return message if len(message) <= MESSAGE_CHARS_MAX else message[: MESSAGE_CHARS_MAX - 1] + "…"


def _record(alarm: Alarm, *, kind: str, actor: Actor, now: datetime) -> None:
    events.record(
        stream=f"alarm:{alarm.pk}",
        kind=kind,
        actor=actor,
        subject=f"alarm:{alarm.pk}",
        payload={"code": alarm.code, "about": alarm.subject, "message": alarm.message},
        now=now,
    )
