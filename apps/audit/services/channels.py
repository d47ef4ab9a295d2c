"""The ways an alarm gets out, as they are set up: the log always, a webhook and e-mail where an address is set."""

import json
import logging
from datetime import datetime
from typing import Final

from django.conf import settings

from apps.audit.services.mail import Mail
from apps.audit.services.messages import as_json
from apps.audit.services.notices import Sender
from apps.audit.services.webhook import Webhook
from apps.audit.types import Answer, Channel, Message, Says

logger = logging.getLogger("aika.alarms")


def configured() -> tuple[Sender, ...]:
    """Every channel that is set up, the fastest first: each is tried whatever came of the one before."""
    found: list[Sender] = [LOG]
    if settings.ALARM_EMAIL_TO:
        found.append(Mail())
    if settings.ALARM_WEBHOOK_URL:
        found.append(Webhook())
    return tuple(found)


class LogLine:
    """One line of JSON, an error while the alarm is open. Line breaks of a message are escaped: it stays one line."""

    channel = Channel.LOG

    def send(self, message: Message, *, now: datetime) -> Answer:
        """Written, as far as this process can tell."""
        level = logging.ERROR if message.says is Says.OPEN else logging.INFO
        logger.log(level, "ALARM %s", json.dumps(as_json(message), ensure_ascii=True))
        return Answer(True, "written")


LOG: Final = LogLine()
