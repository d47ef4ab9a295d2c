"""`audit`: appending to the log by eight processes beside plain inserts, and verifying it beside raw hashing."""

import hashlib
import io
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from django.db import connection, transaction

from apps.audit.models import Event
from apps.audit.services import events, export
from apps.audit.services.verification import verify
from apps.audit.standalone import aika_verify
from apps.audit.types import Actor, ActorKind
from tests.benchmarks.report import Found, Row

RUNS = 5
WRITERS = 8
SECONDS_A_RUN = 3.0
EVENTS = 20_000
EVENTS_A_STREAM = 20

ACTOR = Actor(ActorKind.API_KEY, "key-1", "momentum-bot", on_behalf_of="user-1")
PAYLOAD = {
    "from": "AWAITING_APPROVAL",
    "to": "APPROVED",
    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "approvers": ["7f0c2f4e-7a55-4f52-9f0d-0a6a5b0f1c11"],
}
# What an ordinary application writes: the same columns without a chain, a head or a guard, and one index.
PLAIN_TABLE = """
CREATE TABLE IF NOT EXISTS ordinary_log (
    id bigserial PRIMARY KEY, stream text, kind text, actor_kind text, actor_id text, subject text, body bytea,
    recorded_at timestamptz)
"""
PLAIN_INDEX = "CREATE INDEX IF NOT EXISTS ordinary_log_subject ON ordinary_log (subject, id)"
PLAIN_INSERT = (
    "INSERT INTO ordinary_log (stream, kind, actor_kind, actor_id, subject, body, recorded_at) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s)"
)


def append(stream: str) -> None:
    """One event and its head, in a transaction of their own."""
    now = datetime.now(UTC)
    with transaction.atomic():
        events.record(
            stream=stream, kind="proposal.approved", actor=ACTOR, subject=stream, payload=PAYLOAD, now=now
        )  # fmt: skip


def insert(stream: str) -> None:
    """One plain row of the same size, in a transaction of its own."""
    with transaction.atomic(), connection.cursor() as cursor:
        row = [stream, "proposal.approved", "api_key", "key-1", stream, b"x" * 420, datetime.now(UTC)]
        cursor.execute(PLAIN_INSERT, row)


def together(write: Callable[[str], None]) -> float:
    """Rows a second that eight processes write at the same time, each to streams of its own."""
    connection.close()
    connection.close_pool()  # its threads do not live on in a child
    readers = []
    for _ in range(WRITERS):
        reader, writer = os.pipe()
        if os.fork() == 0:
            try:
                os.write(writer, str(_alone(write)).encode())
            finally:
                os._exit(0)
        os.close(writer)
        readers.append(reader)
    total = 0.0
    for reader in readers:
        with io.FileIO(reader) as told:
            total += float(told.read() or 0)
        os.wait()
    return total


def _alone(write: Callable[[str], None]) -> float:
    stream, done = f"proposal:{uuid4()}", 0
    write(stream)  # the connection is made, and the stream begun
    start = time.perf_counter()
    while (spent := time.perf_counter() - start) < SECONDS_A_RUN:
        done += 1
        if done % EVENTS_A_STREAM == 0:
            stream = f"proposal:{uuid4()}"
        write(stream)
    return done / spent


def fill() -> None:
    """A log of twenty thousand events in a thousand streams."""
    while (missing := EVENTS - Event.objects.count()) > 0:
        with transaction.atomic():
            for number in range(min(missing, 1000)):
                if number % EVENTS_A_STREAM == 0:
                    stream = f"proposal:{uuid4()}"
                events.record(
                    stream=stream, kind="proposal.approved", actor=ACTOR, subject=stream, payload=PAYLOAD,
                    now=datetime.now(UTC),
                )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE audit_event")


def measure() -> Found:
    """Turn by turn: verification first, while the log has a known size, then writers."""
    with connection.cursor() as cursor:
        cursor.execute(PLAIN_TABLE)
        cursor.execute(PLAIN_INDEX)
    fill()
    lines = [line.encode() + b"\n" for line in export.lines(now=datetime.now(UTC))]
    bodies = [bytes(body) for body in Event.objects.values_list("body", flat=True)]
    verified, alone, hashed, appended, inserted = [], [], [], [], []
    for _ in range(RUNS):
        verified.append(rate(lambda: verify(stores=()).events))
        alone.append(rate(lambda: aika_verify.verify(lines, [])[1].counts["event"]))
        hashed.append(rate(lambda: len([hashlib.sha256(body).digest() for body in bodies])))
    for _ in range(RUNS):
        appended.append(together(append))
        inserted.append(together(insert))
    return Found(
        name="audit",
        work=f"{WRITERS} processes append events, each in a transaction of its own: canonical bytes, the stream's head "
        "locked, hashed onto the one before, event and head written. Beside it rows of the same size in a table with "
        f"neither chain nor guards. Verification reads {len(bodies):,} events from PostgreSQL and recomputes chains, "
        "columns and heads; the stand-alone verifier reads an export of them.",
        rows=(
            Row(what="appended", unit="a second", aika=appended, other="plain INSERT", others=inserted, aim="0.5x"),
            Row(
                what="events verified", unit="a second", aika=verified, other="SHA-256 alone, from memory",
                others=hashed, aim="100,000 a second",
            ),
            Row(
                what="events verified by the stand-alone verifier", unit="a second", aika=alone,
                other="SHA-256 alone, from memory", others=hashed,
            ),
        ),
    )  # fmt: skip


def rate(work: Callable[[], int]) -> float:
    """How many a second."""
    start = time.perf_counter()
    done = work()
    return done / (time.perf_counter() - start)
