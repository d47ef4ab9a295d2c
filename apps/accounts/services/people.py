"""What happens to people is written down: who changed whom, from what, to what."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from django.contrib.auth.password_validation import validate_password
from django.db import transaction

from apps.accounts import selectors
from apps.accounts.models import User
from apps.accounts.services import browser_sessions
from apps.accounts.types import Principal
from apps.audit.services import events
from apps.audit.types import Actor

_RIGHTS: Final = frozenset({"is_active", "is_staff", "is_superuser", "roles"})


def actor_of(person: User) -> Actor:
    """A signed-in person, as audit events name them."""
    return Principal(user_id=person.pk, api_key_id=None, name=person.shown_name).actor()


def description_of(person: User) -> dict[str, object]:
    """What an audit event says about a person: who they are and what they may, never a password."""
    return {
        "username": person.username,
        "email": person.email,
        "display_name": person.display_name,
        "is_active": person.is_active,
        "is_staff": person.is_staff,
        "is_superuser": person.is_superuser,
        "roles": sorted(selectors.roles_of(person)),
    }


@transaction.atomic
def add_superuser(*, username: str, email: str, password: str | None, actor: Actor, now: datetime) -> User:
    """A person who may do everything in the console, with the event that says so; without a password, nobody signs in
    as them until they get one."""
    person = User.objects.create_superuser(username=username, email=email, password=password)
    record_change(person=person, before=None, actor=actor, now=now)
    return person


@transaction.atomic
def record_change(
    *, person: User, before: dict[str, object] | None, actor: Actor, now: datetime, keep_session: str = ""
) -> None:
    """One event with every field that differs from `before` (a `description_of`; None for a new person).

    What they may do has changed: their sessions end, but `keep_session`, the cookie of the one this is done in.
    """
    after = description_of(person)
    changed = {
        name: {"before": before[name] if before else None, "after": value}
        for name, value in after.items()
        if before is None or before[name] != value
    }
    if changed:
        _record("user.changed" if before else "user.added", person, changed, actor, now)
    if before and _RIGHTS & set(changed):
        browser_sessions.end_all(person, why="rights changed", actor=actor, now=now, keep=keep_session)


@transaction.atomic
def set_password(*, person: User, password: str, actor: Actor, now: datetime) -> None:
    """Give this person a new password from outside a browser, with its event; every session of theirs ends. Raises
    ValidationError where the password is too weak: then nothing has changed."""
    validate_password(password, person)
    person.set_password(password)
    person.save(update_fields=["password"])
    record_password_set(person=person, actor=actor, now=now)


@transaction.atomic
def record_password_set(*, person: User, actor: Actor, now: datetime, keep_session: str = "") -> None:
    """Somebody gave this person a new password. Their sessions end, but the one of the cookie `keep_session`."""
    _record("user.password_set", person, {"username": person.username}, actor, now)
    browser_sessions.end_all(person, why="new password", actor=actor, now=now, keep=keep_session)


@transaction.atomic
def record_sign_in(*, person: User, now: datetime) -> None:
    """This person signed in with the browser."""
    _record("user.signed_in", person, {"username": person.username}, actor_of(person), now)


@transaction.atomic
def record_identity(*, person: User, provider: str, subject: str, now: datetime) -> None:
    """From now on this person may sign in with this identity of the organisation."""
    payload = {"username": person.username, "provider": provider, "identity": subject}
    _record("user.identity_linked", person, payload, actor_of(person), now)


def _record(kind: str, person: User, payload: Mapping[str, object], actor: Actor, now: datetime) -> None:
    subject = f"user:{person.pk}"
    events.record(stream=subject, kind=kind, actor=actor, subject=subject, payload=payload, now=now)
