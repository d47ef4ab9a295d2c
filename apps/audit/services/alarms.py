"""Alarms: raised by what notices, acknowledged by a person, cleared by what notices that it is over."""

from datetime import datetime

from django.db import IntegrityError, transaction

from apps.audit.models import MESSAGE_CHARS_MAX, Alarm
from apps.audit.services import events
from apps.audit.types import Actor
from apps.common.errors import Conflict, NotFound


def raise_alarm(*, code: str, subject: str, message: str, now: datetime) -> Alarm:
    """Opens an alarm, or returns the one that is open for this code and subject, whose first message stays.

    A message beyond 500 characters is cut: no alarm fails for having too much to say.
    """
    shown = message if len(message) <= MESSAGE_CHARS_MAX else message[: MESSAGE_CHARS_MAX - 1] + "…"
    try:
        with transaction.atomic():
            alarm = Alarm.objects.create(code=code, subject=subject, message=shown, since=now)
            _record(alarm, kind="alarm.raised", actor=Actor.system("alarms"), now=now)
            return alarm
    except IntegrityError:
        found = Alarm.objects.filter(code=code, subject=subject, cleared_at=None).first()
        if found is None:
            raise
        return found


def clear_alarm(*, code: str, subject: str, now: datetime) -> bool:
    """Closes the open alarm of this code and subject; False when there was none."""
    with transaction.atomic():
        alarm = Alarm.objects.select_for_update().filter(code=code, subject=subject, cleared_at=None).first()
        if alarm is None:
            return False
        alarm.cleared_at = now
        alarm.save(update_fields=["cleared_at"])
        _record(alarm, kind="alarm.cleared", actor=Actor.system("alarms"), now=now)
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
        return alarm


def _record(alarm: Alarm, *, kind: str, actor: Actor, now: datetime) -> None:
    events.record(
        stream=f"alarm:{alarm.pk}",
        kind=kind,
        actor=actor,
        subject=f"alarm:{alarm.pk}",
        payload={"code": alarm.code, "about": alarm.subject, "message": alarm.message},
        now=now,
    )
