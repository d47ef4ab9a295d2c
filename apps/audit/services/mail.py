"""An alarm as an e-mail to the people an operator named, over the SMTP server that is set up."""

import smtplib
from datetime import datetime

from django.conf import settings
from django.core.mail import EmailMessage

from apps.audit.types import Answer, Channel, Message, Says
from apps.common.words import moment

SUBJECT_CHARS_MAX = 120


class Mail:
    """One plain mail for each telling, to all at once. Its Message-ID is the notice's id: a second copy is the same."""

    channel = Channel.EMAIL

    def send(self, message: Message, *, now: datetime) -> Answer:
        """One attempt; `EMAIL_TIMEOUT` bounds each step of the exchange."""
        mail = EmailMessage(
            subject=_subject(message),
            body=_body(message, now),
            from_email=settings.DEFAULT_FROM_EMAIL,
            to=list(settings.ALARM_EMAIL_TO),
            headers={"Message-ID": f"<{message.key}@alarms.aika>", "Auto-Submitted": "auto-generated"},
        )
        try:
            mail.send()
        except smtplib.SMTPResponseException as error:
            return Answer(False, f"answered {error.smtp_code}")
        except (smtplib.SMTPException, OSError, ValueError) as error:
            # A server's text may repeat addresses, and a client's the password's first letters.
            return Answer(False, f"not sent ({type(error).__name__})")
        return Answer(True, "taken by the mail server")


def _subject(message: Message) -> str:
    stands = {
        Says.OPEN: f" (told {message.number} times)" if message.number > 1 else "",
        Says.ACKNOWLEDGED: f" (acknowledged by {message.by})",
        Says.OVER: " (over)",
    }
    text = " ".join(f"[Aika] {message.code}{stands[message.says]}: {message.message}".split())
    return text if len(text) <= SUBJECT_CHARS_MAX else text[: SUBJECT_CHARS_MAX - 1] + "…"


def _body(message: Message, now: datetime) -> str:
    at = moment(message.at, now)
    ends = {
        Says.OPEN: "It is sent again until somebody acknowledges it in the console, under Alarms.",
        Says.ACKNOWLEDGED: f"{message.by} acknowledged it, {at}. It is still open; you hear once more when it is over.",
        Says.OVER: f"It is over, {at}. Nothing is to be done any more.",
    }
    return "\n".join(
        (
            message.message,
            "",
            f"What it means: {message.means}" if message.means else "",
            f"What to do: {message.do}" if message.do and message.says is not Says.OVER else "",
            "",
            f"{message.code} of {message.subject}, since {moment(message.since, now)}, {message.environment}.",
            ends[message.says],
        )
    )
