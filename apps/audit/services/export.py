"""The log as lines that can be verified without Aika."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from django.db import connection, transaction
from django.db.models import Max

from apps.audit.models import Checkpoint, Event, Seal, StreamHead
from apps.audit.services import anchors, keys
from apps.audit.services.anchors import Anchored, AnchorStore
from apps.audit.standalone import aika_verify
from apps.common.decimals import instant_text

ROWS_AT_ONCE = 2000
VERIFIER = Path(aika_verify.__file__)

Line = dict[str, str | int | None | list[str]]


def lines(*, now: datetime, stream: str | None = None, after: int = 0) -> Iterator[str]:
    """The export, line by line without line feeds: one state of the log, whoever writes meanwhile.

    First what it is, then every event with an id above `after` in id order (of one stream if one is named), then every
    head; for the whole log also seals, checkpoints and anchors; last how many lines that were, and their SHA-256.
    """
    digest, count = hashlib.sha256(), 0
    for line in _everything(now=now, stream=stream, after=after):
        text = _text(line)
        digest.update(text.encode() + b"\n")
        count += 1
        yield text
    yield _text({"line": "end", "lines": count, "sha256": digest.hexdigest()})


def _everything(*, now: datetime, stream: str | None, after: int) -> Iterator[Line]:
    yield {
        "line": "export",
        "format": aika_verify.FORMAT,
        "stream": stream,
        "after": after,
        "exported_at": instant_text(now),
        "public_keys": [key.hex() for key in keys.believed().values()],
    }
    # Asked before the state is taken: an anchor is written after its checkpoint is committed.
    stores = [(store, store.last_number()) for store in anchors.configured()]
    with _one_state():
        yield from _events(stream, after)
        if stream is None and not after:
            yield from _seals()
            for store, last_number in stores:
                yield from _anchors(store, last_number)


@contextmanager
def _one_state() -> Iterator[None]:
    """Everything read inside is of one moment. A transaction that is open already is the caller's to choose."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield
    else:
        # Not `atomic`: that would take SQLite's write lock (IMMEDIATE) and hold up whoever writes.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("COMMIT")


def _events(stream: str | None, after: int) -> Iterator[Line]:
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
            "body": _readable(bytes(event.body)),
            "prev_hash": event.prev_hash,
            "hash": event.hash,
        }
    for head in heads.iterator(chunk_size=ROWS_AT_ONCE):
        yield {"line": "head", "stream": head.stream, "seq": head.seq, "hash": head.hash, "last_id": head.last_id}


def _seals() -> Iterator[Line]:
    for seal in Seal.objects.order_by("seal_seq").iterator(chunk_size=ROWS_AT_ONCE):
        yield {"line": "seal", "seal_seq": seal.seal_seq, "event_id": seal.event_id}
    for row in Checkpoint.objects.order_by("number").iterator(chunk_size=ROWS_AT_ONCE):
        yield _checkpoint("checkpoint", Anchored(row.number, bytes(row.body), row.signature))


def _anchors(store: AnchorStore, last_number: int) -> Iterator[Line]:
    highest = Checkpoint.objects.aggregate(highest=Max("number"))["highest"] or 0
    for found in store.read():
        if not isinstance(found, Anchored):
            yield {"line": "damage", "where": found.where, "torn": found.torn}
        elif found.number <= max(last_number, highest):
            yield _checkpoint("anchor", found)


def _checkpoint(kind: str, found: Anchored) -> Line:
    body = _readable(found.body)
    return {"line": kind, "number": found.number, "body": body, "signature": found.signature}


def _readable(body: bytes) -> str:
    """Bytes that are not UTF-8 were tampered with; their hash or signature will not hold either way."""
    return body.decode("utf-8", "backslashreplace")


def _text(line: Line) -> str:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))
