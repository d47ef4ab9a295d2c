"""The log as lines that can be verified without Aika."""

from collections.abc import Iterator

from apps.audit.models import Event, StreamHead
from apps.common.decimals import instant_text

ROWS_AT_ONCE = 2000

Line = dict[str, str | int]


def lines(*, stream: str | None = None, after: int = 0) -> Iterator[Line]:
    """Every event with an id above `after`, in id order, then every head; of one stream if one is named.

    `body` is the hashed text itself. Events recorded while the export runs may be in neither part, or in one.
    """
    events, heads = Event.objects.filter(id__gt=after).order_by("id"), StreamHead.objects.order_by("stream")
    if stream is not None:
        events, heads = events.filter(stream=stream), heads.filter(stream=stream)
    for event in events.iterator(chunk_size=ROWS_AT_ONCE):
        yield {
            "line": "event",
            "id": event.pk,
            "stream": event.stream,
            "seq": event.seq,
            "kind": event.kind,
            "subject": event.subject,
            "recorded_at": instant_text(event.recorded_at),
            # A body that is not UTF-8 was tampered with; its hash will not hold either way.
            "body": bytes(event.body).decode("utf-8", "backslashreplace"),
            "prev_hash": event.prev_hash,
            "hash": event.hash,
        }
    for head in heads.iterator(chunk_size=ROWS_AT_ONCE):
        yield {"line": "head", "stream": head.stream, "seq": head.seq, "hash": head.hash, "last_id": head.last_id}
