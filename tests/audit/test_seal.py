"""Committed events get their place in the order of sealing, whenever they commit, under a signed root."""

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from threading import Event as Signal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from apps.audit import rules, selectors, tasks
from apps.audit.models import Checkpoint, Event, Seal
from apps.audit.services import events, keys, sealing
from apps.audit.services.anchors import Anchored, AnchorFolder
from apps.audit.services.verification import verify
from apps.audit.types import Actor
from apps.common.errors import Conflict, Misconfigured

on_postgres = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="two open transactions")


def tree(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word: split at the largest power of two smaller than n."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + tree(leaves[:k]) + tree(leaves[k:])).digest()


@given(st.integers(0, 70))
def test_the_root_is_the_trees_of_the_rfc(count: int) -> None:
    entries = [(number, hashlib.sha256(bytes([number])).hexdigest()) for number in range(count)]
    leaves = [number.to_bytes(8, "big") + bytes.fromhex(hash_) for number, hash_ in entries]
    prev_root = "ab" * 32
    expected = tree([bytes.fromhex(prev_root), *leaves]).hex()
    assert rules.batch_root(prev_root=prev_root, entries=entries) == expected


@pytest.mark.parametrize("wrong", ["", "ab", "AB" * 32, "zz" * 32, " " + "a" * 63])
def test_what_is_no_digest_has_no_root(wrong: str) -> None:
    with pytest.raises(ValueError, match="64"):
        rules.batch_root(prev_root=rules.NO_ROOT, entries=[(1, wrong)])


def test_each_batch_continues_the_one_before(sealed: list[Event], key: keys.SigningKey, now: datetime) -> None:
    one, two, three = Checkpoint.objects.order_by("number")
    assert [(c.number, c.first_seq, c.last_seq, c.size) for c in (one, two, three)] == [
        (1, 1, 3, 3), (2, 4, 5, 2), (3, 6, 6, 1)
    ]  # fmt: skip
    assert (one.prev_root, two.prev_root, three.prev_root) == (rules.NO_ROOT, one.root, two.root)
    assert list(Seal.objects.order_by("seal_seq").values_list("event_id", flat=True)) == [e.pk for e in sealed[:6]]
    assert json.loads(bytes(two.body)) == {
        "schema": "aika.checkpoint/1", "first_seq": 4, "key_id": key.id, "last_seq": 5, "number": 2, "size": 2,
        "prev_root": one.root, "root": two.root, "sealed_at": "2026-03-02T14:46:10.000000Z",
    }  # fmt: skip
    assert keys.holds(public_key=key.public, body=bytes(two.body), signature=two.signature)
    assert two.sealed_at == now + timedelta(seconds=10)


def test_a_run_seals_what_is_there_and_a_second_run_nothing(
    log: list[Event], key: keys.SigningKey, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "EVENTS_MAX", 2)
    assert sealing.seal(now=now) == sealing.Sealed(checkpoints=3, events=5, anchored=3)
    assert sealing.seal(now=now) == sealing.Sealed(checkpoints=0, events=0, anchored=0)
    assert tasks.seal_log(unknown="tolerated") == 0
    assert Event.objects.count() == 5, "sealing records no event, or it would never be done"


def test_a_run_looks_back_so_far_and_the_run_before_a_verification_at_all(
    sealed: list[Event], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a transaction that stayed open for longer than the sealer looks back."""
    late = Event.objects.get(pk=sealed[-1].pk)
    assert sealing.seal(now=now, look_back_ids=-1).events == 0
    assert not Seal.objects.filter(event_id=late.pk).exists()
    tasks.verify_log()
    assert Seal.objects.filter(event_id=late.pk).exists()


def test_without_a_key_nothing_is_sealed_and_an_alarm_says_so_until_it_works(
    log: list[Event], key: keys.SigningKey, settings: Any, now: datetime
) -> None:
    path, settings.AUDIT_SEAL_KEY_FILE = settings.AUDIT_SEAL_KEY_FILE, ""
    with pytest.raises(Misconfigured, match="AUDIT_SEAL_KEY_MISSING"):
        sealing.seal(now=now)
    assert selectors.open_alarms().get().code == "AUDIT_NOT_SEALED"
    settings.AUDIT_SEAL_KEY_FILE = path
    sealing.seal(now=now)
    assert not selectors.open_alarms().exists()


def test_an_anchor_that_cannot_be_written_is_an_alarm_and_is_caught_up_with(
    log: list[Event], key: keys.SigningKey, settings: Any, tmp_path: Path, now: datetime
) -> None:
    folder = Path(settings.AUDIT_ANCHOR_DIR)
    folder.write_text("in the way")
    with pytest.raises(OSError, match="exists"):
        sealing.seal(now=now)
    assert Checkpoint.objects.count() == 1
    assert "Sealing stands still" in selectors.open_alarms().get().message
    folder.unlink()
    assert sealing.seal(now=now).anchored == 2, "the one that was missed, and one over the events of the alarm"
    assert verify().exit_code == 0


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key_is_refused(key: keys.SigningKey, settings: Any, content: bytes) -> None:
    Path(settings.AUDIT_SEAL_KEY_FILE).write_bytes(content)
    with pytest.raises(Misconfigured, match="AUDIT_SEAL_KEY_MALFORMED"):
        keys.signing_key()


def test_a_key_that_nobody_would_believe_does_not_sign(key: keys.SigningKey, settings: Any) -> None:
    settings.AUDIT_SEAL_PUBLIC_KEYS = []
    with pytest.raises(Misconfigured, match="AUDIT_SEAL_KEY_UNKNOWN"):
        keys.signing_key()
    settings.AUDIT_SEAL_PUBLIC_KEYS = ["abc"]
    with pytest.raises(Misconfigured, match="AUDIT_SEAL_KEY_MALFORMED"):
        keys.signing_key()


def test_a_key_is_made_once_for_its_owner_only(settings: Any, tmp_path: Path) -> None:
    path = tmp_path / "new.pem"
    settings.AUDIT_SEAL_PUBLIC_KEYS_PATH = tmp_path / "keys.txt"
    call_command("audit_keygen", output=path, verbosity=0)
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    with pytest.raises(CommandError, match="AUDIT_SEAL_KEY_EXISTS"):
        call_command("audit_keygen", output=path)
    call_command("audit_keygen", output=path, if_missing=True)
    assert path.read_bytes() == before
    settings.AUDIT_SEAL_KEY_FILE = str(path)
    assert keys.believed() == {keys.signing_key().id: keys.signing_key().public}
    with pytest.raises(Conflict):
        keys.generate(path=path)


def test_the_database_keeps_seals_and_checkpoints(sealed: list[Event]) -> None:
    for attempt in (
        lambda: Seal.objects.all().delete(),
        lambda: Seal.objects.update(event_id=1),
        lambda: Checkpoint.objects.all().delete(),
        lambda: Checkpoint.objects.update(root="0" * 64),
        lambda: Checkpoint.objects.filter(number=3).delete(),
    ):
        with pytest.raises(IntegrityError, match="guard"), transaction.atomic():
            attempt()


def test_half_a_line_that_a_crash_left_is_taken_off_and_the_rest_stays(sealed: list[Event], settings: Any) -> None:
    (path,) = Path(settings.AUDIT_ANCHOR_DIR).iterdir()
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(whole[:40])
    store = AnchorFolder(path.parent)
    assert store.last_number() == 3
    (reason,) = verify().incomplete
    assert reason == "checkpoints-000000.jsonl line 4 of the anchors is half a line, as a crash leaves it"
    store.append([Anchored(3, b"not again", "00"), Anchored(4, b"{}", "00")])
    assert path.read_bytes().startswith(whole)
    assert [found.number for found in store.read() if isinstance(found, Anchored)] == [1, 2, 3, 4]


@pytest.mark.postgres
@on_postgres
@pytest.mark.django_db(transaction=True)
def test_an_event_whose_transaction_stays_open_across_a_seal_is_sealed_later(
    log: list[Event], key: keys.SigningKey, record: Any, now: datetime
) -> None:
    """Its id is lower than ids that are sealed already: "everything up to the highest id" would lose it for ever."""
    written, go_on = Signal(), Signal()
    ids: list[int] = []

    def slow() -> None:
        with transaction.atomic():
            event = events.record(
                stream="slow", kind="a.b", actor=Actor.system("t"), subject="slow", payload={}, now=now
            )
            ids.append(event.pk)
            written.set()
            go_on.wait(20)
        connection.close()

    thread = Thread(target=slow)
    thread.start()
    assert written.wait(20)
    later = record(stream="quick")
    assert later.pk > ids[0]
    assert sealing.seal(now=now).events == 6
    assert set(Seal.objects.values_list("event_id", flat=True)) == {event.pk for event in (*log, later)}
    assert (verify().exit_code, verify().unsealed) == (0, 0)
    go_on.set()
    thread.join()
    assert sealing.seal(now=now).events == 1
    assert Seal.objects.get(event_id=ids[0]).seal_seq == 7
    assert (verify().exit_code, verify().unsealed) == (0, 0)


@pytest.mark.postgres
@on_postgres
@pytest.mark.django_db(transaction=True)
def test_sealers_at_once_make_one_row_of_checkpoints(log: list[Event], key: keys.SigningKey, now: datetime) -> None:
    barrier, found = Barrier(6), []

    def run() -> None:
        barrier.wait(timeout=20)
        found.append(sealing.seal(now=now))
        connection.close()

    threads = [Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(sealed.events for sealed in found) == 5
    assert (len(found), Checkpoint.objects.count(), verify().exit_code) == (6, 1, 0)
