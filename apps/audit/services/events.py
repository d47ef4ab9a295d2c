"""Recording facts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

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
)
from apps.audit.types import Actor
from apps.common.errors import Misconfigured
from apps.common.inserts import Follower, Row, Table
from apps.common.redaction import masked, may_hold_secret
from apps.common.statements import Statement, first_row

_INSERT_EVENT = (
    "INSERT INTO audit_event (stream, seq, kind, actor_kind, actor_id, subject, body, prev_hash, hash, recorded_at) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_READ_HEAD = "SELECT seq, hash, last_id FROM audit_streamhead WHERE stream = %s"
_LOCK_HEAD = f"{_READ_HEAD} FOR UPDATE"
_INSERT_HEAD = "INSERT INTO audit_streamhead (stream, seq, hash, last_id)"
# One statement where the database knows how. A second writer of a new stream waits in it until the first has committed.
_BEGIN = (
    f"WITH added AS ({_INSERT_EVENT} ON CONFLICT (stream, seq) DO NOTHING RETURNING id) "  # noqa: S608  constants
    f"{_INSERT_HEAD} SELECT %s, %s, %s, id FROM added RETURNING last_id"
)
# Both rows of a stream that nobody else can begin.
_OPENED: Final = Table(
    "audit_event",
    ("stream", "seq", "kind", "actor_kind", "actor_id", "subject", "body", "prev_hash", "hash", "recorded_at"),
    Follower(_INSERT_HEAD, "stream, seq, hash, id"),
)
_CONTINUE = (
    f"WITH added AS ({_INSERT_EVENT} RETURNING id) "  # noqa: S608  constants only
    "UPDATE audit_streamhead SET seq = %s, hash = %s, last_id = added.id FROM added WHERE stream = %s RETURNING last_id"
)

_Value = str | int | bytes | datetime | None


def record(
    *, stream: str, kind: str, actor: Actor, subject: str, payload: Mapping[str, object], now: datetime
) -> Event:
    """Appends a fact to its stream, in the caller's transaction: both commit, or neither does.

    `stream` is the smallest thing whose writers wait for each other anyway ("proposal:<id>"); `subject` is what the
    fact is about; `payload` is listed by the caller field by field. What looks like a secret in one of its texts is
    masked: nothing is ever taken out of the log again. Raises Misconfigured AUDIT_OUTSIDE_TRANSACTION, AUDIT_SECRET_KEY
    for a payload key that names a secret, AUDIT_MALFORMED for texts that do not fit and payloads over 256 KiB; and what
    `canonical.encode` raises.
    """
    if not connection.in_atomic_block:
        raise Misconfigured("AUDIT_OUTSIDE_TRANSACTION", "A fact is recorded in the transaction that makes it so.")
    _check(stream=stream, kind=kind, actor=actor, subject=subject, payload=payload)
    end = _locked_end(stream)
    while True:
        previous_id, seq, prev_hash = (0, 1, GENESIS) if end is None else (end.last_id, end.seq + 1, end.hash)
        body = _body(kind=kind, actor=actor, subject=subject, payload=payload, previous_id=previous_id, now=now)
        event = _event(
            stream=stream, seq=seq, prev_hash=prev_hash, kind=kind, actor=actor, subject=subject, body=body, now=now
        )
        added = _begin(event) if end is None else _continue(event)
        if added is not None:
            event.pk, event._state.adding, event._state.db = added, False, connection.alias
            return event
        # Another writer began the stream in the meantime and has committed: this event continues it.
        end = _locked_end(stream)
        if end is None:
            raise Misconfigured("AUDIT_HEAD_MISSING", "The stream has events and no head.", fix="Run audit_verify.")


def opening(*, stream: str, kind: str, actor: Actor, subject: str, payload: Mapping[str, object], now: datetime) -> Row:
    """The first fact of a stream that begins with the caller's own rows, to be stored among them: see `record`.

    Nobody else can know of such a stream yet, so nobody is waited for. Where it was begun all the same, storing raises
    IntegrityError.
    """
    _check(stream=stream, kind=kind, actor=actor, subject=subject, payload=payload)
    body = _body(kind=kind, actor=actor, subject=subject, payload=payload, previous_id=0, now=now)
    event = _event(stream=stream, seq=1, prev_hash=GENESIS, kind=kind, actor=actor, subject=subject, body=body, now=now)
    return Row(_OPENED, _values(event))


@dataclass(frozen=True)
class _End:
    seq: int
    hash: str
    last_id: int


def _locked_end(stream: str) -> _End | None:
    """The stream's last event as its head says, locked until the transaction ends; None for a stream not begun.

    Written out, and prepared where the database can, because every state change of Aika comes through here. SQLite
    knows no row locks: there a transaction is alone from its first statement on (IMMEDIATE).
    """
    found = first_row(Statement(_LOCK_HEAD if connection.vendor == "postgresql" else _READ_HEAD, [stream]))
    return None if found is None else _End(*found)


def _begin(event: Event) -> int | None:
    """Adds the first event and its head in its final state. None when another writer was faster.

    There is none on SQLite: a transaction there is alone from its first statement on (IMMEDIATE).
    """
    if connection.vendor == "postgresql":
        return _id(_BEGIN, [*_values(event), event.stream, event.seq, event.hash])
    added = _id(f"{_INSERT_EVENT} RETURNING id", _values(event))
    sql = f"{_INSERT_HEAD} VALUES (%s, %s, %s, %s) RETURNING last_id"
    return _id(sql, [event.stream, event.seq, event.hash, added])


def _continue(event: Event) -> int | None:
    """Adds the event and moves the locked head to it."""
    if connection.vendor == "postgresql":
        return _id(_CONTINUE, [*_values(event), event.seq, event.hash, event.stream])
    added = _id(f"{_INSERT_EVENT} RETURNING id", _values(event))
    sql = "UPDATE audit_streamhead SET seq = %s, hash = %s, last_id = %s WHERE stream = %s RETURNING last_id"
    return _id(sql, [event.seq, event.hash, added, event.stream])


def _id(sql: str, values: list[_Value]) -> int | None:
    """The id that the statement answers, if it does."""
    found = first_row(Statement(sql, values))
    return None if found is None else int(found[0])


def _values(event: Event) -> list[_Value]:
    moment = connection.ops.adapt_datetimefield_value(event.recorded_at)
    actor = (str(event.actor_kind), event.actor_id)
    return [
        *(event.stream, event.seq, event.kind, *actor, event.subject),
        *(bytes(event.body), event.prev_hash, event.hash, moment),
    ]


def _event(
    *, stream: str, seq: int, prev_hash: str, kind: str, actor: Actor, subject: str, body: bytes, now: datetime
) -> Event:
    return Event(
        stream=stream,
        seq=seq,
        kind=kind,
        actor_kind=actor.kind,
        actor_id=actor.id,
        subject=subject,
        body=body,
        prev_hash=prev_hash,
        hash=rules.chain_hash(stream=stream, seq=seq, prev_hash=prev_hash, body=body),
        recorded_at=now,
    )


def _body(
    *, kind: str, actor: Actor, subject: str, payload: Mapping[str, object], previous_id: int, now: datetime
) -> bytes:
    body = rules.body_of(kind=kind, actor=actor, subject=subject, payload=payload, previous_id=previous_id, now=now)
    if may_hold_secret(body):
        named = replace(actor, name=str(masked(actor.name)))
        clean = {key: masked(item) for key, item in payload.items()}
        body = rules.body_of(kind=kind, actor=named, subject=subject, payload=clean, previous_id=previous_id, now=now)
    if len(body) > rules.BODY_BYTES_MAX:
        raise _malformed("payload")
    return body


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
