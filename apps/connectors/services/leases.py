"""One holder at a time, and another when it dies: a row that is taken, renewed and let go by compare-and-swap.

The holder may sleep past its time and not know it. So a lease is for work that two may do at once without harm, and
should not: what must happen once carries the fence into the row it writes.

Whoever finds that the holder was a process of this machine and has ended does not wait for its time to be over.
"""

import os
import secrets
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from apps.common import processes
from apps.connectors.models import Lease


@dataclass(frozen=True, slots=True)
class Held:
    """A lease in hand, until `until` unless renewed."""

    name: str
    holder: str
    fence: int
    until: datetime


def new_holder() -> str:
    """A name for one run of one program: machine, process, a part that tells two runs apart, and when it was born."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}:{processes.birth()}"


def take(*, name: str, holder: str, ttl: timedelta, now: datetime) -> Held | None:
    """Take what is free, has run out, or was held by a process that has ended. None where somebody else holds it; of
    many at once, one gets it."""
    with transaction.atomic():
        Lease.objects.bulk_create([Lease(name=name, until=now)], ignore_conflicts=True)
        before, fence = Lease.objects.values_list("holder", "fence").get(name=name)
        free = Q(until__lte=now) | Q(holder=holder)
        if _has_ended(before):
            free |= Q(holder=before, fence=fence)
        if Lease.objects.filter(free, name=name).update(holder=holder, until=now + ttl, fence=F("fence") + 1) != 1:
            return None
        fence = Lease.objects.values_list("fence", flat=True).get(name=name)
        return Held(name, holder, fence, now + ttl)


def _has_ended(holder: str) -> bool:
    """Whether the process that gave itself this name is known to have ended."""
    words = holder.split(":")
    return len(words) == 4 and words[1].isdigit() and processes.has_ended(int(words[1]), words[3])


def renew(*, held: Held, ttl: timedelta, now: datetime) -> Held | None:
    """Hold it longer, also a little late. None where it has changed hands: stop what it was for."""
    until = now + ttl
    kept = Lease.objects.filter(name=held.name, holder=held.holder, fence=held.fence).update(until=until)
    return Held(held.name, held.holder, held.fence, until) if kept == 1 else None


def release(*, held: Held, now: datetime) -> None:
    """Let others have it at once. One that has changed hands is left alone."""
    Lease.objects.filter(name=held.name, holder=held.holder, fence=held.fence).update(until=now)
