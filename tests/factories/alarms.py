"""A desk that has been swept all along, and what is open on it."""

from datetime import datetime, timedelta
from typing import Any

from apps.audit.models import Alarm
from apps.audit.services import pulses
from apps.audit.types import Answer, Channel, Message
from apps.trades.services import watching
from apps.trades.services.watching import Swept


def swept(now: datetime, **options: Any) -> Swept:
    """One sweep at `now` of a desk that was also swept the second before."""
    pulses.beat(pulses.SWEEP, now=now - timedelta(seconds=1))
    return watching.sweep(clock=lambda: now, **options)


def is_open(code: str, subject: str) -> bool:
    """Whether this alarm is open."""
    return Alarm.objects.filter(code=code, subject=subject, cleared_at=None).exists()


class Receiver:
    """A channel whose other side remembers what it was told, and answers as it is set up."""

    def __init__(self, channel: Channel = Channel.WEBHOOK, *, up: bool = True) -> None:
        self.channel = channel
        self.up = up
        self.heard: list[Message] = []

    def send(self, message: Message, *, now: datetime) -> Answer:
        """Remember it where it is up."""
        if not self.up:
            return Answer(False, "503")
        self.heard.append(message)
        return Answer(True, "204")
