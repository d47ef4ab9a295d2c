"""Handing a mail to the mail server."""

import logging
import smtplib

from django.core.mail import EmailMessage

logger = logging.getLogger(__name__)


def hand_over(mail: EmailMessage, *, what: str) -> bool:
    """Whether the mail server took it. Where it did not, a line of the log says of `what`, which names no secret."""
    try:
        mail.send()
    except (smtplib.SMTPException, OSError, ValueError) as error:
        logger.warning("%s was not sent (%s).", what, type(error).__name__)
        return False
    return True
