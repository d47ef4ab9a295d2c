"""Recording facts."""

from collections.abc import Mapping
from datetime import datetime

from django.db import connection

from apps.audit import rules
from apps.audit.models import (
    ACTOR_ID_CHARS_MAX,
    GENESIS,
    KIND_CHARS_MAX,
    NAME_CHARS_MAX,
    STREAM_CHARS_MAX,
    SUBJECT_CHARS_MAX,
    Event,
    StreamHead,
)
from apps.audit.types import Actor
from apps.common.errors import Misconfigured


def record(
    *, stream: str, kind: str, actor: Actor, subject: str, payload: Mapping[str, object], now: datetime
) -> Event:
    """Appends a fact to its stream, in the caller's transaction: both commit, or neither does.

    `stream` is the smallest thing whose writers wait for each other anyway ("proposal:<id>"); `subject` is what the
    fact is about; `payload` is listed by the caller field by field. Raises Misconfigured AUDIT_OUTSIDE_TRANSACTION,
    AUDIT_SECRET_KEY for a payload key that names a secret, AUDIT_MALFORMED for texts that do not fit and payloads over
    256 KiB; and what `canonical.encode` raises.
    """
    if not connection.in_atomic_block:
        raise Misconfigured("AUDIT_OUTSIDE_TRANSACTION", "A fact is recorded in the transaction that makes it so.")
    _check(stream=stream, kind=kind, actor=actor, subject=subject, payload=payload)
    head = _locked_head(stream)
    body = rules.body_of(kind=kind, actor=actor, subject=subject, payload=payload, previous_id=head.last_id, now=now)
    if len(body) > rules.BODY_BYTES_MAX:
        raise _malformed("payload")
    seq = head.seq + 1
    event = Event.objects.create(
        stream=stream,
        seq=seq,
        kind=kind,
        actor_kind=actor.kind,
        actor_id=actor.id,
        subject=subject,
        body=body,
        prev_hash=head.hash,
        hash=rules.chain_hash(stream=stream, seq=seq, prev_hash=head.hash, body=body),
        recorded_at=now,
    )
    head.seq, head.hash, head.last_id = seq, event.hash, event.pk
    head.save(force_update=True)
    return event


def _locked_head(stream: str) -> StreamHead:
    heads = StreamHead.objects.select_for_update()
    head = heads.filter(pk=stream).first()
    if head is not None:
        return head
    # Two writers may both find none: the second waits here for the first, then adds nothing and locks the first's.
    StreamHead.objects.bulk_create([StreamHead(stream=stream, seq=0, hash=GENESIS, last_id=0)], ignore_conflicts=True)
    return heads.get(pk=stream)


def _check(*, stream: str, kind: str, actor: Actor, subject: str, payload: Mapping[str, object]) -> None:
    bounds = {
        "stream": (stream, STREAM_CHARS_MAX),
        "kind": (kind, KIND_CHARS_MAX),
        "subject": (subject, SUBJECT_CHARS_MAX),
        "actor.id": (actor.id, ACTOR_ID_CHARS_MAX),
        "actor.name": (actor.name, NAME_CHARS_MAX),
    }
    for name, (text, chars_max) in bounds.items():
        if not text or len(text) > chars_max or "\x00" in text:
            raise _malformed(name)
    if not rules.is_kind(kind):
        raise _malformed("kind")
    if (key := rules.secret_key(payload)) is not None:
        raise Misconfigured("AUDIT_SECRET_KEY", f"A secret is never recorded, and {key!r} names one.", key=key)


def _malformed(name: str) -> Misconfigured:
    return Misconfigured("AUDIT_MALFORMED", f"The event's {name} is empty, too long or malformed.", part=name)
