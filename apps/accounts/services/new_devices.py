"""A sign-in with a browser that has no cookie of ours for its person: an event, and a mail to the person."""

import logging
from datetime import datetime
from typing import Final, cast
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMessage
from django.db import transaction

from apps.accounts.models import User
from apps.accounts.services import mails
from apps.accounts.services.people import actor_of
from apps.accounts.visitors import Visitor, device_words
from apps.audit.selectors import events_of, facts_of
from apps.audit.services import events
from apps.common.cookies import bound
from apps.common.encryption import fingerprint
from apps.common.tasks import publish

KIND: Final = "user.new_device"
COOKIE_AGE_S: Final = 365 * 86_400
_SALT: Final = "aika.known-device"

logger = logging.getLogger(__name__)


def cookie_name(person: User) -> str:
    """One for each person: a browser may be used by several."""
    return bound(f"aika-known-{fingerprint(str(person.pk))}")


def cookie_for(person: User) -> str:
    """What a browser shows next time. It opens nothing."""
    return signing.dumps(str(person.pk), salt=_SALT)


def is_known(cookie: str, person: User) -> bool:
    """Whether this cookie is one we gave to a browser of this person, within a year."""
    try:
        return bool(signing.loads(cookie, salt=_SALT, max_age=COOKIE_AGE_S) == str(person.pk))
    except signing.BadSignature:
        return False


@transaction.atomic
def record(*, person: User, visitor: Visitor, now: datetime) -> None:
    """The event; the mail leaves after the transaction."""
    subject = f"user:{person.pk}"
    payload = {"address": visitor.address, "device": device_words(visitor.device)}
    event = events.record(stream=subject, kind=KIND, actor=actor_of(person), subject=subject, payload=payload, now=now)
    publish("accounts.tell_of_new_device", person_id=person.pk, event_id=event.pk)


def tell(*, person_id: UUID, event_id: int) -> bool:
    """Send the mail of one such event. False where there is nobody to tell, or the mail server did not take it."""
    event = events_of(f"user:{person_id}").filter(pk=event_id, kind=KIND).first()
    person = User.objects.filter(pk=person_id, is_active=True).first()
    if event is None or person is None or not person.email:
        return False
    said = cast("dict[str, str]", facts_of(event)["payload"])
    where = f"{said['device']}, from {said['address'] or 'an unknown address'}"
    mail = EmailMessage(
        subject="[Aika] A sign-in on a new device",
        body=f"Hello {person.shown_name},\n\n"
        f"you signed in on {event.recorded_at:%d %b %Y at %H:%M} UTC on a device not known before:\n{where}.\n\n"
        "Was it not you? Change your password now: every session ends with it. Then tell an administrator.\n",
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[person.email],
        headers={"Message-ID": f"<new-device-{event.pk}@aika>", "Auto-Submitted": "auto-generated"},
    )
    return mails.hand_over(mail, what=f"The mail about a new device (event {event_id})")
