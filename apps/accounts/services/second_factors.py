"""Who must have a second factor, whether a sign-in used one, and what happens to them, written down."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.cache import cache
from django.db import transaction

from apps.accounts import selectors
from apps.accounts.models import User
from apps.accounts.services import factor_secrets, key_counters
from apps.accounts.services.people import actor_of
from apps.accounts.types import Role
from apps.audit.services import events
from apps.audit.types import Actor
from apps.common.encryption import SEALED_PREFIX

MUST_ROLES: Final = frozenset({Role.APPROVER.value, Role.RISK.value, Role.OPERATOR.value})
FACTORS: Final = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
SETTLED_KEY: Final = "aika.second_factor"
# Malformed answers of a key are not counted by allauth's limit: nobody fills the log with them.
REFUSED_EVENTS_MAX: Final = 10
REFUSED_WINDOW_S: Final = 300

logger = logging.getLogger(__name__)


def is_required_of(person: User) -> bool:
    """Whether this person may do nothing here without a second factor."""
    if not settings.SECOND_FACTOR_REQUIRED:
        return False
    return person.is_superuser or bool(MUST_ROLES & selectors.roles_of(person))


def has_one(person: User) -> bool:
    """Whether they have an app or a key. Recovery codes stand in for one, and are none by themselves."""
    return bool(Authenticator.objects.filter(user=person, type__in=FACTORS).exists())


def is_settled(session: Any, person: User) -> bool:
    """Whether this sign-in used a second factor, or needs none. A yes is kept in the session: roles that change end it.

    `session` is a session of Django, of this person.
    """
    if not settings.SECOND_FACTOR_REQUIRED or session.get(SETTLED_KEY) == str(person.pk):
        return True
    if not _was_used(session) and is_required_of(person):
        return False
    session[SETTLED_KEY] = str(person.pk)
    return True


def _was_used(session: Any) -> bool:
    records = session.get(AUTHENTICATION_METHODS_SESSION_KEY) or []
    return any(isinstance(record, Mapping) and record.get("method") == "mfa" for record in records)


def may_go_without(authenticator: Authenticator) -> bool:
    """Whether its owner may remove it: not the last one of somebody who must have one."""
    others = Authenticator.objects.filter(user=authenticator.user, type__in=FACTORS).exclude(pk=authenticator.pk)
    return others.exists() or not is_required_of(authenticator.user)


def is_sealed(text: str) -> bool:
    """Whether it is a ciphertext of ours."""
    return text.startswith(SEALED_PREFIX)


@transaction.atomic
def record(*, person: User, what: str, kind: str, now: datetime) -> None:
    """One event: a factor was `added` or `removed`, or recovery codes `renewed`. Never a secret or a code."""
    _event(f"user.second_factor_{what}", person, {"username": person.username, "type": kind}, actor_of(person), now)


def record_refused(*, person: User, kind: str, address: str, again: bool, now: datetime) -> bool:
    """Who knows the password, or has the session where it is shown `again`, had no factor: a line and an event.

    `kind` is what was shown: a `code`, of an app or a recovery code, or a `key`. Of one person at most so many in a
    while become events, True where it did; the log has a line of each.
    """
    logger.warning(
        "A second factor (%s) of user:%s was refused; it came from %s.", kind, person.pk, address or "nowhere"
    )
    mark = f"second-factor:refused:{person.pk}:{int(now.timestamp()) // REFUSED_WINDOW_S}"
    cache.add(mark, 0, REFUSED_WINDOW_S)
    try:
        count = cache.incr(mark)
    except ValueError:  # its time was over between the two
        count = 1
    if count > REFUSED_EVENTS_MAX:
        return False
    payload = {"username": person.username, "type": kind, "address": address, "again": again}
    with transaction.atomic():
        _event("user.second_factor_refused", person, payload, Actor.system("sign-in"), now)
    return True


@transaction.atomic
def remove_all(*, person: User, actor: Actor, now: datetime) -> int:
    """Somebody lost every factor: an administrator takes them away, and they set up new ones. How many went."""
    rows = Authenticator.objects.filter(user=person)
    types = sorted(rows.values_list("type", flat=True))
    key_counters.forget(list(rows.values_list("pk", flat=True)), now)
    rows.delete()
    factor_secrets.settle(person=person, now=now)
    if types:
        _event("user.second_factor_removed", person, {"username": person.username, "types": types}, actor, now)
    return len(types)


def _event(kind: str, person: User, payload: Mapping[str, object], actor: Actor, now: datetime) -> None:
    subject = f"user:{person.pk}"
    events.record(stream=subject, kind=kind, actor=actor, subject=subject, payload=payload, now=now)
