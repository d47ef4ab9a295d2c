"""What a machine is told of an alarm: the same object in the log and in the webhook."""

from apps.audit.types import Message
from apps.common.decimals import instant_text


def as_json(message: Message) -> dict[str, object]:
    """Names that stay. `id` names this telling by this channel, the same at every attempt."""
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
        "state": message.says.value,
        "at": instant_text(message.at),
        "by": message.by,
        "environment": message.environment,
    }
