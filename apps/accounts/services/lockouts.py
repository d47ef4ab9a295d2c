"""Names that are locked where too many wrong passwords came from: written down once, lifted by an administrator."""

import hashlib
from datetime import datetime

from axes.models import AccessAttempt
from axes.utils import reset
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Lower

from apps.accounts.models import User
from apps.audit.services import events
from apps.audit.types import Actor


def minutes() -> int:
    """For how long a name is locked, in whole minutes, rounded up."""
    seconds: int = settings.SIGN_IN_LOCKED_S
    return -(-seconds // 60)


def record_locked(*, name: str, address: str, now: datetime) -> bool:
    """One event for each lock. What was entered is only kept where it is a person's name: it may be a password."""
    mark = hashlib.sha256(f"{name}\n{address}".encode()).hexdigest()
    if not cache.add(f"sign-in:locked:{mark}", 1, settings.SIGN_IN_LOCKED_S):
        return False
    people = User.objects.annotate(name=Lower("username"), mail=Lower("email"))
    person = people.filter(Q(name=name) | Q(mail=name)).first()
    payload = {"address": address, "known": person is not None}
    with transaction.atomic():
        _record("user.sign_in_locked", person, payload, Actor.system("sign-in"), now)
    return True


def locked_from(person: User) -> list[str]:
    """The addresses from which this person is locked now."""
    rows = AccessAttempt.objects.filter(
        username__in=_names(person), failures_since_start__gte=settings.AXES_FAILURE_LIMIT
    )
    return sorted({str(address) for address in rows.values_list("ip_address", flat=True)})


@transaction.atomic
def unlock(*, person: User, actor: Actor, now: datetime) -> int:
    """Forget the failed attempts under this person's names. How many were forgotten."""
    count = sum(int(reset(username=name)) for name in _names(person))
    if count:
        _record("user.sign_in_unlocked", person, {"username": person.username}, actor, now)
    return count


def _names(person: User) -> list[str]:
    return sorted({person.username.lower(), person.email.lower()})


def _record(kind: str, person: User | None, payload: dict[str, object], actor: Actor, now: datetime) -> None:
    subject = "sign-in" if person is None else f"user:{person.pk}"
    events.record(stream=subject, kind=kind, actor=actor, subject=subject, payload=payload, now=now)
