"""Whatever is changed in the log is found."""

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from apps.audit.models import Event
from apps.audit.services import verification
from apps.common import guard_triggers

TEXTS = ["stream", "kind", "actor_kind", "actor_id", "subject", "prev_hash", "hash"]
HEAD_TEXTS = ["stream", "hash"]
on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="bytes of a SQLite file")


def verify(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("audit_verify", "--no-record", *arguments, stdout=out)
    except SystemExit as stop:
        return int(str(stop.code)), out.getvalue()
    return 0, out.getvalue()


def codes() -> set[str]:
    return {finding.code for finding in verification.verify().findings}


def flipped(raw: bytes) -> Iterator[bytes]:
    """The bytes with each single byte changed, in turn."""
    for index, byte in enumerate(raw):
        yield raw[:index] + bytes([byte ^ 1]) + raw[index + 1 :]


def test_an_empty_and_an_honest_log_are_intact(log: list[Event]) -> None:
    assert verify() == (0, "intact: 5 events in 2 streams; 0 checkpoints, 0 anchored, 5 events not sealed\n")
    said = "a part: other streams and the checkpoints were not looked at\n"
    assert verify("--stream", "proposal:b") == (0, f"{said}intact: 2 events in 1 streams\n")
    assert verify("--stream", "nobody") == (0, f"{said}intact: 0 events in 0 streams\n")
    code, out = verify("--json")
    assert code == 0
    report = json.loads(out)
    assert (report["result"], report["events"], report["streams"]) == ("intact", 5, 2)
    assert report["findings"] == report["incomplete"] == []


@pytest.fixture
def log_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards and migrations have tests of their own; asking about them for each of a thousand bytes takes minutes."""
    monkeypatch.setattr(verification, "missing_guards", lambda connection: [])
    monkeypatch.setattr(verification, "unapplied_migrations", lambda connection: [])


@pytest.fixture
def bare(log: list[Event], unguarded: Any, log_alone: None) -> None:
    """The guards are off for the whole test."""
    with connection.cursor() as cursor:
        for table in ("audit_event", "audit_streamhead"):
            for sql in guard_triggers.drop_statements(connection, table):
                cursor.execute(sql)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("column", TEXTS)
def test_every_byte_of_every_text_counts(column: str) -> None:
    """Each in a savepoint: changed, found, put back. On PostgreSQL bytes that are no UTF-8 never get in."""
    ids = list(Event.objects.order_by("id").values_list("id", column))[1:3]
    for event_id, text in ids:
        for raw in flipped(str(text).encode()):
            _assert_found("audit_event", column, "id", event_id, raw.decode())


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("column", HEAD_TEXTS)
def test_every_byte_of_every_head_counts(column: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT stream, {column} FROM audit_streamhead ORDER BY stream")  # noqa: S608  constants
        stream, text = cursor.fetchone()
    for raw in flipped(text.encode()):
        _assert_found("audit_streamhead", column, "stream", stream, raw.decode())


@pytest.mark.usefixtures("bare")
def test_every_byte_of_the_body_counts() -> None:
    event = Event.objects.order_by("id")[2]
    for raw in flipped(bytes(event.body)):
        _assert_found("audit_event", "body", "id", event.pk, raw)
    for raw in (bytes(event.body) + b" ", bytes(event.body)[:-1], b""):
        _assert_found("audit_event", "body", "id", event.pk, raw)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("position", [0, 2, 4])
def test_every_number_and_instant_counts(log: list[Event], position: int) -> None:
    event = log[position]
    for number in (event.seq + 1, event.seq + 7, 0, event.seq ^ 256):
        _assert_found("audit_event", "seq", "id", event.pk, number)
    for number in (event.pk + 100, event.pk + 2**32, event.pk - 100):
        _assert_found("audit_event", "id", "id", event.pk, number)
    for moment in (timedelta(microseconds=1), timedelta(days=-400), timedelta(hours=1)):
        _assert_found("audit_event", "recorded_at", "id", event.pk, event.recorded_at + moment)
    head = "proposal:a"
    for column, value in (("seq", 2), ("seq", 4), ("seq", 0), ("last_id", 1), ("last_id", log[4].pk + 1)):
        if not (column == "last_id" and value == log[4].pk):
            _assert_found("audit_streamhead", column, "stream", head, value)


@on_sqlite
@pytest.mark.usefixtures("bare")
def test_every_byte_of_a_stored_instant_counts(log: list[Event]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT CAST(recorded_at AS BLOB) FROM audit_event WHERE id = %s", [log[2].pk])
        raw = bytes(cursor.fetchone()[0])
    for other in [*flipped(raw), raw + b" ", raw + b"+00:00", raw.replace(b" ", b"T")]:
        _assert_found("audit_event", "recorded_at", "id", log[2].pk, other.decode())


@on_sqlite
@pytest.mark.parametrize("column", ["kind", "hash", "stream", "recorded_at", "body", "seq"])
def test_bytes_that_are_no_text_are_a_finding_and_no_crash(log: list[Event], unguarded: Any, column: str) -> None:
    unguarded(f"UPDATE audit_event SET {column} = CAST(x'ff00fe' AS TEXT) WHERE id = {log[2].pk}")  # noqa: S608  constants
    code, out = verify()
    assert code == 1, out


def test_a_dropped_row_is_found(log: list[Event], unguarded: Any) -> None:
    for event in log:
        with transaction.atomic():
            unguarded(f"DELETE FROM audit_event WHERE id = {event.pk}")  # noqa: S608  a number
            assert codes() & {"SEQ_GAP", "LINK_BROKEN", "HEAD_DIFFERS", "EVENTS_MISSING"}, event.seq
            transaction.set_rollback(True)
    assert codes() == set()


def test_a_cut_tail_is_found(log: list[Event], unguarded: Any) -> None:
    unguarded(f"DELETE FROM audit_event WHERE id >= {log[3].pk}")  # noqa: S608  a number
    code, out = verify()
    assert code == 1
    assert "HEAD_DIFFERS at proposal:a" in out
    assert "HEAD_DIFFERS at proposal:b" in out
    assert "tampered: 3 events in 2 streams" in out


def test_a_stream_without_its_events_or_its_head_is_found(log: list[Event], unguarded: Any) -> None:
    unguarded("DELETE FROM audit_event WHERE stream = 'proposal:a'", "DELETE FROM audit_streamhead WHERE seq = 2")
    code, out = verify()
    assert code == 1
    assert "EVENTS_MISSING at proposal:a" in out
    assert "HEAD_MISSING at proposal:b" in out


def test_swapped_rows_are_found(log: list[Event], unguarded: Any) -> None:
    first, second = log[0], log[2]
    for columns in (["seq"], ["body"], ["body", "hash"], ["hash"], ["seq", "prev_hash", "hash"]):
        with transaction.atomic():
            _swap(unguarded, first, second, columns)
            assert codes(), columns
            transaction.set_rollback(True)


def test_a_row_added_by_hand_is_found(log: list[Event], unguarded: Any) -> None:
    """Chained correctly onto the end, as somebody who has read this code would; only the head does not know it."""
    from apps.audit import rules
    from apps.audit.types import Actor

    last = log[4]
    body = rules.body_of(
        kind="proposal.approved", actor=Actor.system("x"), subject="proposal:a", payload={}, previous_id=last.pk,
        now=last.recorded_at,
    )  # fmt: skip
    with transaction.atomic():
        Event.objects.create(
            stream="proposal:a", seq=4, kind="proposal.approved", actor_kind="system", actor_id="x",
            subject="proposal:a", body=body, prev_hash=last.hash, recorded_at=last.recorded_at,
            hash=rules.chain_hash(stream="proposal:a", seq=4, prev_hash=last.hash, body=body),
        )  # fmt: skip
    assert codes() == {"HEAD_DIFFERS"}


@on_sqlite
def test_insert_or_replace_by_the_owner_is_found(log: list[Event], unguarded: Any) -> None:
    row = ("UPDATE OR REPLACE audit_event SET id = %s WHERE id = %s", [log[0].pk, log[2].pk])
    unguarded(row)
    assert verify()[0] == 1


def test_missing_guards_make_it_incomplete_and_tampering_comes_first(log: list[Event], unguarded: Any) -> None:
    with connection.cursor() as cursor:
        for sql in guard_triggers.drop_statements(connection, "audit_event"):
            cursor.execute(sql)
    code, out = verify()
    assert code == 2
    assert "incomplete: missing trigger guard_audit_event_append_only_update on audit_event" in out
    assert json.loads(verify("--json")[1])["result"] == "incomplete"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_event SET kind = 'x.y' WHERE id = %s", [log[0].pk])
    assert verify()[0] == 1


def test_unapplied_migrations_make_it_incomplete(log: list[Event]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'audit'")
    code, out = verify()
    assert code == 2
    assert "unapplied migration audit.0001_initial" in out


def test_a_long_list_of_findings_stops(log: list[Event], unguarded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.audit.services.reports.FINDINGS_MAX", 2)
    unguarded("UPDATE audit_event SET kind = 'x.y'")
    code, out = verify()
    assert code == 1
    assert out.count("COLUMN_DIFFERS") == 2
    assert "the list stops here" in out


@pytest.mark.django_db(transaction=True)
def test_a_log_that_grows_while_it_is_read_is_intact(record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """New events appear after the heads were read: at the end of a stream, and in a stream that was not there."""
    for name in "aab":
        record(stream=f"proposal:{name}")
    read = verification._rows

    def rows_and_writers(stream: str | None, after: int) -> Any:
        record(stream="proposal:a")
        record(stream="proposal:new")
        yield from read(stream, after)
        record(stream="proposal:b")
        record(stream="proposal:new")

    monkeypatch.setattr(verification, "_rows", rows_and_writers)
    report = verification.verify()
    assert (report.exit_code, report.findings, report.events) == (0, [], 5)


def test_progress_is_told(log: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "ROWS_AT_ONCE", 2)
    told: list[int] = []
    verification.verify(progress=told.append)
    assert told == [2, 4]


def _assert_found(table: str, column: str, key: str, row: Any, value: Any) -> None:
    """The database takes the change and the verification finds it, or a unique key refuses it at once."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"UPDATE {table} SET {column} = %s WHERE {key} = %s", [value, row])  # noqa: S608  constants
            assert verification.verify().exit_code == 1, (column, value)
            transaction.set_rollback(True)
    except IntegrityError as error:
        assert "unique" in str(error).lower()


def _swap(unguarded: Any, first: Event, second: Event, columns: list[str]) -> None:
    if "seq" in columns:  # past the unique key by way of a number nobody has
        unguarded(("UPDATE audit_event SET seq = 99 WHERE id = %s", [first.pk]))
    for source, target in ((first, second), (second, first)):
        for column in columns:
            unguarded((f"UPDATE audit_event SET {column} = %s WHERE id = %s", [getattr(source, column), target.pk]))  # noqa: S608  constants
