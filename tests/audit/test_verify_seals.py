"""Whatever is changed in seals, checkpoints and anchors is found; so is a log rewritten in agreement with itself."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from apps.audit import rules
from apps.audit.models import Checkpoint, Event, Seal
from apps.audit.services import keys, seal_verification, sealing, verification
from apps.audit.services.anchors import AnchorFolder, configured
from apps.audit.services.reports import Report
from apps.common import guard_triggers

TABLES = ("audit_event", "audit_streamhead", "audit_seal", "audit_checkpoint")


@pytest.fixture(autouse=True)
def bare(sealed: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    """The guards are off for the whole test, as their owner can have it, and have tests of their own."""
    monkeypatch.setattr(verification, "missing_guards", lambda connection: [])
    monkeypatch.setattr(verification, "unapplied_migrations", lambda connection: [])
    with connection.cursor() as cursor:
        for table in TABLES:
            for sql in guard_triggers.drop_statements(connection, table):
                cursor.execute(sql)


def run(sql: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def codes(report: Report | None = None) -> set[str]:
    return {finding.code for finding in (report or verification.verify()).findings}


def against_seals() -> Report:
    """The part of a verification that is asked again for each of a thousand bytes."""
    report = Report()
    seal_verification.check(report, configured())
    return report


def flipped(text: str) -> Iterator[str]:
    for index, char in enumerate(text):
        yield text[:index] + chr(ord(char) ^ 1) + text[index + 1 :]


def assert_found(table: str, column: str, key: str, row: Any, value: Any) -> None:
    try:
        with undone():
            run(f"UPDATE {table} SET {column} = %s WHERE {key} = %s", value, row)  # noqa: S608  constants
            assert codes(against_seals()), (column, value)
    except IntegrityError as error:
        assert "unique" in str(error).lower() or "check" in str(error).lower()


def test_an_honest_log_is_intact_and_its_unsealed_tail_is_told(sealed: list[Event]) -> None:
    out = io.StringIO()
    call_command("audit_verify", "--no-record", stdout=out)
    assert out.getvalue() == ("intact: 7 events in 2 streams; 3 checkpoints, 3 anchored, 1 events not sealed\n")


@pytest.mark.parametrize("column", ["root", "prev_root", "key_id", "signature"])
def test_every_byte_of_every_text_of_a_checkpoint_counts(column: str) -> None:
    for text in flipped(str(Checkpoint.objects.values_list(column, flat=True).get(number=2))):
        assert_found("audit_checkpoint", column, "number", 2, text)


def test_every_byte_of_the_signed_bytes_counts() -> None:
    body = bytes(Checkpoint.objects.get(number=2).body)
    for raw in (*(text.encode() for text in flipped(body.decode())), body + b" ", body[:-1], b""):
        assert_found("audit_checkpoint", "body", "number", 2, raw)


def test_every_number_and_instant_counts(sealed: list[Event]) -> None:
    at = Checkpoint.objects.get(number=2).sealed_at
    for column, values in {
        "number": (9, 2**40),
        "first_seq": (1, 3, 5),
        "last_seq": (4, 6, 2**40),
        "sealed_at": (at + timedelta(microseconds=1), at - timedelta(days=400)),
    }.items():
        for value in values:
            assert_found("audit_checkpoint", column, "number", 2, value)
    for value in (0, 9, 2**40, -4):
        assert_found("audit_seal", "seal_seq", "seal_seq", 4, value)
    for value in (sealed[6].pk, sealed[6].pk + 1, 0, 2**40):
        assert_found("audit_seal", "event_id", "seal_seq", 4, value)


def test_rows_dropped_swapped_and_added_are_found(sealed: list[Event], now: datetime) -> None:
    for seal_seq in range(1, 7):
        with undone():
            run("DELETE FROM audit_seal WHERE seal_seq = %s", seal_seq)
            assert codes() >= {"SEAL_GAP", "ROOT_WRONG"}
    for number in (1, 2, 3):
        with undone():
            run("DELETE FROM audit_checkpoint WHERE number = %s", number)
            assert codes() & {"CHECKPOINT_GAP", "SEAL_WITHOUT_CHECKPOINT"}
    with undone():
        run("UPDATE audit_seal SET event_id = 0 WHERE seal_seq = 1")
        run("UPDATE audit_seal SET event_id = %s WHERE seal_seq = 2", sealed[0].pk)
        run("UPDATE audit_seal SET event_id = %s WHERE seal_seq = 1", sealed[1].pk)
        assert codes() == {"ROOT_WRONG"}
    with undone():
        Seal.objects.create(seal_seq=7, event_id=sealed[6].pk)
        assert codes() == {"SEAL_WITHOUT_CHECKPOINT"}


def rewrite_everything(kind: str) -> None:
    """A fact of the past is another one, and every id, hash and head after it agrees."""
    changed = Event.objects.order_by("id").first()
    assert changed is not None
    prev_hash = changed.prev_hash
    for event in Event.objects.filter(stream=changed.stream).order_by("seq"):
        body = bytes(event.body)
        if event.pk == changed.pk:
            body = body.replace(event.kind.encode(), kind.encode())
            run("UPDATE audit_event SET kind = %s WHERE id = %s", kind, event.pk)
        hash_ = rules.chain_hash(stream=event.stream, seq=event.seq, prev_hash=prev_hash, body=body)
        sql = "UPDATE audit_event SET body = %s, prev_hash = %s, hash = %s WHERE id = %s"
        run(sql, body, prev_hash, hash_, event.pk)
        prev_hash = hash_
    run("UPDATE audit_streamhead SET hash = %s WHERE stream = %s", prev_hash, changed.stream)


def test_a_log_rewritten_in_agreement_with_itself_is_found_by_its_checkpoints(sealed: list[Event]) -> None:
    rewrite_everything("proposal.declined")
    assert codes() == {"ROOT_WRONG"}


def test_a_sealed_stream_removed_with_its_head_is_found(sealed: list[Event]) -> None:
    run("DELETE FROM audit_event WHERE stream = 'proposal:b'")
    run("DELETE FROM audit_streamhead WHERE stream = 'proposal:b'")
    assert codes() == {"EVENT_MISSING", "ROOT_WRONG"}


def test_signing_it_all_again_with_another_key_is_found(
    sealed: list[Event], settings: Any, tmp_path: Path, now: datetime
) -> None:
    """By whoever owns the database and has read this code, but has not the key."""
    believed, anchors = settings.AUDIT_SEAL_PUBLIC_KEYS, settings.AUDIT_ANCHOR_DIR
    rewrite_everything("proposal.declined")
    reseal(settings, tmp_path, now)
    settings.AUDIT_SEAL_PUBLIC_KEYS, settings.AUDIT_ANCHOR_DIR = believed, ""
    assert codes() == {"KEY_UNKNOWN"}
    settings.AUDIT_ANCHOR_DIR = anchors
    assert codes() == {"KEY_UNKNOWN", "ANCHOR_DIFFERS", "CHECKPOINT_MISSING"}


def test_another_key_under_the_name_of_ours_is_found(sealed: list[Event], settings: Any, tmp_path: Path) -> None:
    path = tmp_path / "other.pem"
    settings.AUDIT_SEAL_PUBLIC_KEYS = [*settings.AUDIT_SEAL_PUBLIC_KEYS, keys.generate(path=path).hex()]
    settings.AUDIT_SEAL_KEY_FILE = str(path)
    body = bytes(Checkpoint.objects.get(number=3).body)
    run("UPDATE audit_checkpoint SET signature = %s WHERE number = 3", keys.signing_key().sign(body))
    assert codes() >= {"SIGNATURE_WRONG"}


def reseal(settings: Any, tmp_path: Path, now: datetime) -> None:
    run("DELETE FROM audit_seal")
    run("DELETE FROM audit_checkpoint")
    settings.AUDIT_SEAL_PUBLIC_KEYS = [keys.generate(path=tmp_path / "forged.pem").hex()]
    settings.AUDIT_SEAL_KEY_FILE, settings.AUDIT_ANCHOR_DIR = str(tmp_path / "forged.pem"), ""
    sealing.seal(now=now)


def roll_back(sealed: list[Event]) -> None:
    """The last checkpoint was never made, and the events from there on never happened."""
    run("DELETE FROM audit_checkpoint WHERE number = 3")
    run("DELETE FROM audit_seal WHERE seal_seq > 5")
    run("DELETE FROM audit_event WHERE id >= %s", sealed[5].pk)
    for stream, last in (("proposal:a", sealed[4]), ("proposal:b", sealed[3])):
        sql = "UPDATE audit_streamhead SET seq = %s, hash = %s, last_id = %s WHERE stream = %s"
        run(sql, last.seq, last.hash, last.pk, stream)


def test_a_checkpoint_rolled_back_with_its_events_is_found_by_the_anchors_alone(
    sealed: list[Event], settings: Any
) -> None:
    anchors = settings.AUDIT_ANCHOR_DIR
    roll_back(sealed)
    assert codes() == {"CHECKPOINT_MISSING"}
    settings.AUDIT_ANCHOR_DIR = ""
    assert verification.verify().exit_code == 0, "nothing inside the database can tell: that is what anchors are for"
    out = io.StringIO()
    with pytest.raises(SystemExit, match="1"):
        call_command("audit_verify", "--anchors", anchors, stdout=out)
    assert "CHECKPOINT_MISSING at checkpoint 3" in out.getvalue()


def test_another_history_sealed_after_a_rollback_is_found(
    sealed: list[Event], record: Callable[..., Event], now: datetime
) -> None:
    roll_back(sealed)
    record(stream="proposal:b", payload={"turn": "another"})
    sealing.seal(now=now)
    assert codes() == {"ANCHOR_DIFFERS"}


def test_every_byte_of_an_anchor_counts(sealed: list[Event], settings: Any) -> None:
    (path,) = Path(settings.AUDIT_ANCHOR_DIR).iterdir()
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    for index in range(start, whole.index(b"\n", start) + 1):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
        assert codes(against_seals()), index
    lines = whole.splitlines(keepends=True)
    for wrong in ([lines[0], lines[2]], [lines[1], lines[0], lines[2]], [*lines, lines[1]]):
        path.write_bytes(b"".join(wrong))
        assert codes() & {"ANCHOR_GAP"}
    path.write_bytes(b"".join(lines[:2]))
    assert verification.verify().incomplete == ["the anchors end at checkpoint 2, the log at 3"]
    path.write_bytes(b"".join(lines[1:]))
    assert verification.verify().incomplete == ["the anchors begin at checkpoint 2"]


def test_without_a_public_key_nothing_can_be_vouched_for(sealed: list[Event], settings: Any) -> None:
    settings.AUDIT_SEAL_PUBLIC_KEYS = []
    report = verification.verify()
    assert (report.exit_code, report.findings) == (2, [])
    assert "AUDIT_SEAL_PUBLIC_KEYS" in report.incomplete[0]


def test_a_folder_that_is_not_there_is_no_folder_without_findings(tmp_path: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(Exception, match="no folder") as caught:
        call_command("audit_verify", "--anchors", str(tmp_path / "nowhere"), stdout=out, stderr=err)
    assert getattr(caught.value, "returncode", None) == 2


def test_a_log_sealed_while_it_is_read_is_intact(
    sealed: list[Event], record: Callable[..., Event], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sealer works between the reading of the events and that of the checkpoints, and again before the anchors."""
    read = AnchorFolder.read

    def late(store: AnchorFolder) -> Any:
        record(stream="proposal:b")
        sealing.seal(now=now)
        yield from read(store)

    monkeypatch.setattr(AnchorFolder, "read", late)
    assert verification.verify().exit_code == 0
