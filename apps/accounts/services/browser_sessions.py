"""Sessions of browsers: found by the hash of their cookie, bounded by two clocks, ended by people and by changes."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from apps.accounts.models import BrowserSession, User
from apps.accounts.visitors import Visitor
from apps.audit.services import events
from apps.audit.types import Actor

SEEN_EVERY: Final = timedelta(minutes=1)


def hash_of(session_key: str) -> str:
    """What a session is kept under. A key has more chance in it than can be tried: it needs no salt."""
    return hashlib.sha256(session_key.encode()).hexdigest()


def standing(now: datetime) -> QuerySet[BrowserSession]:
    """Sessions that are over by no clock: their own end, the longest there may be, and the time without a person."""
    return BrowserSession.objects.filter(
        expires_at__gt=now,
        created_at__gt=now - timedelta(seconds=settings.SESSION_COOKIE_AGE),
        last_seen_at__gt=now - timedelta(seconds=settings.SESSION_IDLE_S),
    )


def sessions_of(person: User, *, now: datetime) -> QuerySet[BrowserSession]:
    """Where this person is signed in, the latest first."""
    return standing(now).filter(person=person)


def seen(row: BrowserSession, visitor: Visitor, *, now: datetime) -> None:
    """Its person did something; written at most once a minute."""
    if now - row.last_seen_at < SEEN_EVERY:
        return
    BrowserSession.objects.filter(pk=row.pk).update(last_seen_at=now, address=visitor.address, device=visitor.device)


@transaction.atomic
def end(person: User, *, key_hash: str, actor: Actor, now: datetime) -> bool:
    """End one session of this person. False where they have no such session."""
    gone, _ = BrowserSession.objects.filter(person=person, key_hash=key_hash).delete()
    if gone:
        _record(person, {"sessions": [key_hash[:8]], "why": "ended by hand"}, actor, now)
    return bool(gone)


@transaction.atomic
def end_all(person: User, *, why: str, actor: Actor, now: datetime, keep: str = "") -> int:
    """End every session of this person, but the one of the cookie `keep`. How many ended."""
    rows = BrowserSession.objects.filter(person=person)
    if keep:
        rows = rows.exclude(key_hash=hash_of(keep))
    hashes = list(rows.values_list("key_hash", flat=True))
    BrowserSession.objects.filter(pk__in=hashes).delete()
    if hashes:
        _record(person, {"sessions": sorted(key_hash[:8] for key_hash in hashes), "why": why}, actor, now)
    return len(hashes)


def forget_ended(*, now: datetime) -> int:
    """Delete rows that are over by the clock. How many went."""
    over = (
        Q(expires_at__lte=now)
        | Q(created_at__lte=now - timedelta(seconds=settings.SESSION_COOKIE_AGE))
        | Q(last_seen_at__lte=now - timedelta(seconds=settings.SESSION_IDLE_S))
    )
    return int(BrowserSession.objects.filter(over).delete()[0])


def _record(person: User, payload: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    subject = f"user:{person.pk}"
    events.record(stream=subject, kind="user.sessions_ended", actor=actor, subject=subject, payload=payload, now=now)
