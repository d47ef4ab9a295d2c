"""A link for who forgot a password: asked for by anybody, mailed to whom it is for, and in between nowhere."""

import logging
from typing import Final
from uuid import UUID

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.services import mails
from apps.accounts.visitors import is_ours
from apps.common.tasks import publish

PAGE: Final = "account_reset_password_from_key"

logger = logging.getLogger(__name__)


def ask(*, person: User | None, origin: str) -> None:
    """What is done at once is the same whoever it is for, and if it is for nobody: neither the answer nor how long it
    takes says whether there is such a person. The link is made where it is mailed."""
    publish("accounts.send_reset_link", person_id=person.pk if person else None, origin=origin)


def send(*, person_id: UUID | None, origin: str) -> bool:
    """Make the link and mail it. False where there is nobody to mail it to, or the mail server did not take it."""
    if person_id is None:
        return False
    if not is_ours(origin):
        logger.warning("A link for a new password was not sent: it would lead to a host that is not ours.")
        return False
    person = User.objects.filter(pk=person_id, is_active=True).first()
    if person is None or not person.email:
        return False
    key = {"uidb36": user_pk_to_url_str(person), "key": default_token_generator.make_token(person)}
    mail = EmailMessage(
        subject="[Aika] A new password",
        body=f"Hello {person.shown_name},\n\n"
        "somebody asked for a new password for you. If it was you, choose one here:\n\n"
        f"{origin}{reverse(PAGE, kwargs=key)}\n\n"
        f"Your user name is {person.username}. Was it not you? Then do nothing: your password stays as it is.\n",
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[person.email],
        headers={"Auto-Submitted": "auto-generated"},
    )
    return mails.hand_over(mail, what=f"The link for a new password of user:{person_id}")
