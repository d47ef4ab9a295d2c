"""Signs of life: every part writes now and then that it lives, so that its silence can be noticed by any process."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from django.db import IntegrityError, transaction

from apps.audit.models import Pulse

EVERY: Final = timedelta(seconds=10)
NAME_LENGTH: Final = 80

SWEEP: Final = "sweep"
"""Alarms were looked for, by whomever."""
RESUMED: Final = "resumed"
"""When sweeps began again after nobody had looked for a while."""
BEAT: Final = "beat"
"""A task that beat had sent was worked on."""


def worker(queue: str) -> str:
    """The name of the worker of a queue."""
    return f"worker:{queue}"


def prices(connection_id: object) -> str:
    """The name of the feed of a connection."""
    return f"prices:{connection_id}"


def feed(market: str) -> str:
    """The name of the live feed of a market."""
    name = f"feed:{market}"
    return name if len(name) <= NAME_LENGTH else f"feed:{sha256(market.encode()).hexdigest()}"


def user_channel(connection_id: object) -> str:
    """The name of the user channel of a connection."""
    return f"orders:{connection_id}"


def beat(name: str, *, now: datetime) -> None:
    """Write down that this part lives."""
    if Pulse.objects.filter(name=name).update(at=now):
        return
    try:
        with transaction.atomic():
            Pulse.objects.create(name=name, at=now)
    except IntegrityError:  # somebody else was first, just now
        return


class Heart:
    """Beats for parts that live in a loop: writes for each of them once in ten seconds, however often it is asked."""

    def __init__(self) -> None:
        self._written: dict[str, datetime] = {}

    def beat(self, name: str, *, now: datetime) -> None:
        """Write that this part lives, unless that was written a moment ago."""
        last = self._written.get(name)
        if last is None or not timedelta(0) <= now - last < EVERY:
            beat(name, now=now)
            self._written[name] = now
