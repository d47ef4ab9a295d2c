"""Secrets of second factors that do not open in their rows: copied from another row, cut, or their key is gone.

No code of such a person counts, not even one of a row that opens: somebody was in the table, or a key is missing, until
an administrator has taken their factors away or the row is again what was written. A security key has no secret here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import hotp_value
from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.errors import FactorUnreadable
from apps.accounts.fields import opened
from apps.accounts.models import User
from apps.audit.selectors import open_alarms
from apps.audit.services import alarms, events
from apps.audit.types import Actor
from apps.common.errors import Misconfigured

UNREADABLE: Final = "SECOND_FACTOR_UNREADABLE"
_WORDS: Final = {Authenticator.Type.TOTP: "authenticator app", Authenticator.Type.RECOVERY_CODES: "recovery codes"}


@dataclass(frozen=True, slots=True)
class Closed:
    """One row that does not open: whose, in words what it is, and the code of why."""

    username: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what} of {self.username} ({self.why})"


def closed() -> list[Closed]:
    """Every row that does not open. Raises ImproperlyConfigured without usable keys, as all of these do."""
    return list(_closed(Authenticator.objects.all()))


def closed_of(person: User) -> list[Closed]:
    """Those of one person."""
    return list(_closed(Authenticator.objects.filter(user=person)))


def require_open(*, person: User, now: datetime) -> None:
    """Raises FactorUnreadable, with an alarm and one event for it, where a secret of this person does not open."""
    found = closed_of(person)
    if not found:
        return
    if not open_alarms().filter(code=UNREADABLE, subject=_subject(person)).exists():
        _tell(person, found, now)
    raise FactorUnreadable(
        UNREADABLE,
        f"Your {' and '.join(row.what for row in found)} cannot be read: what is kept of it is not what was set up.",
        fix="Ask an administrator to take your second factors away, and set up new ones then. Until that is done no "
        "code signs you in; a security key that you have added before still does.",
    )


def settle(*, person: User, now: datetime) -> None:
    """End the alarm where everything that this person has opens."""
    if not closed_of(person):
        alarms.clear_alarm(code=UNREADABLE, subject=_subject(person), now=now)


@transaction.atomic
def _tell(person: User, found: list[Closed], now: datetime) -> None:
    subject = _subject(person)
    message = f"Does not open: {'; '.join(map(str, found))}. No code signs them in."
    alarms.raise_alarm(code=UNREADABLE, subject=subject, message=message, now=now)
    events.record(
        stream=subject,
        kind="user.second_factor_unreadable",
        actor=Actor.system("second factors"),
        subject=subject,
        payload={"username": person.username, "closed": [f"{row.what}: {row.why}" for row in found]},
        now=now,
    )


def _closed(rows: QuerySet[Any]) -> Iterator[Closed]:
    for row in rows.filter(type__in=_WORDS).select_related("user").order_by("pk"):
        if why := _why(row):
            yield Closed(username=row.user.username, what=_WORDS[row.type], why=why)


def _why(row: Authenticator) -> str:
    """The code of why a code of this row cannot be compared; empty where it can. Does what comparing one does."""
    try:
        if row.type == Authenticator.Type.TOTP:
            hotp_value(opened(row.data["secret"]), 0)
        else:
            row.wrap().get_unused_codes()
    except Misconfigured as error:
        return error.code
    except (AttributeError, KeyError, TypeError, ValueError):
        return "SECRET_MALFORMED"  # no object, a part that is missing or of another kind
    return ""


def _subject(person: User) -> str:
    return f"user:{person.pk}"
