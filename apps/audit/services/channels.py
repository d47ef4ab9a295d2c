"""The ways an alarm gets out, as they are set up: the log always, a webhook and e-mail where an address is set."""

import json
import logging
from datetime import datetime
from typing import Final

from apps.audit.services.notices import Sender
from apps.audit.types import Answer, Channel, Message
from apps.common.decimals import instant_text

logger = logging.getLogger("aika.alarms")


def configured() -> tuple[Sender, ...]:
    """Every channel that is set up."""
    return (LOG,)


def as_json(message: Message) -> dict[str, object]:
    """What a machine is told, with names that stay."""
    return {
        "schema": "aika.alarm/1",
        "id": str(message.key),
        "code": message.code,
        "subject": message.subject,
        "message": message.message,
        "means": message.means,
        "do": message.do,
        "extent": message.extent,
        "since": instant_text(message.since),
        "told": message.number,
        "environment": message.environment,
    }


class LogLine:
    """One line of JSON at the level of an error. Line breaks of a message are escaped, so it stays one line."""

    channel = Channel.LOG

    def send(self, message: Message, *, now: datetime) -> Answer:
        """Written, as far as this process can tell."""
        logger.error("ALARM %s", json.dumps(as_json(message), ensure_ascii=True))
        return Answer(True, "written")


LOG: Final = LogLine()
