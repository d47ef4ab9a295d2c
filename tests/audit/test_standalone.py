"""The stand-alone verifier: whatever is changed in an export is found, with nothing of Aika installed."""

import functools
import hashlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.models import Event
from apps.audit.services import keys
from apps.audit.services.export import VERIFIER
from apps.audit.standalone import aika_verify
from tests.audit import changes
from tests.audit.changes import changed, closed, of_kind, rolled_back, with_an_event_more


@pytest.fixture
def lines(sealed: list[Event]) -> list[bytes]:
    """A small export, as lines with their line feeds."""
    out = io.StringIO()
    call_command("audit_export", stdout=out)
    return out.getvalue().encode().splitlines(keepends=True)


@pytest.fixture
def trusted(key: keys.SigningKey, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The auditor's key. A signature that was checked is not checked again for each of ten thousand changes."""
    monkeypatch.setattr(aika_verify, "signature_holds", functools.cache(aika_verify.signature_holds))
    return [key.public.hex()]


def codes(lines: list[bytes], trusted: list[str], anchors: Path | None = None) -> set[str]:
    return {finding.partition(" ")[0] for finding in aika_verify.verify(lines, trusted, anchors)[1].findings}


def test_an_honest_export_is_intact(lines: list[bytes], trusted: list[str], settings: Any) -> None:
    code, verifier = aika_verify.verify(lines, trusted)
    assert (code, verifier.findings, verifier.incomplete) == (0, [], [])
    assert aika_verify.verify(lines, trusted, Path(settings.AUDIT_ANCHOR_DIR))[0] == 0
    assert len(verifier.hashes.keys() - verifier.sealed) == 1


@pytest.mark.parametrize("kind", ["event", "head", "seal", "checkpoint", "anchor"])
def test_every_byte_counts_where_the_end_line_was_made_to_fit(
    lines: list[bytes], trusted: list[str], kind: str
) -> None:
    """One line of each kind, every byte of it: not the digest at the end finds it, but what the line claims."""
    which = of_kind(lines, kind)
    number = which[len(which) // 2]
    for index, byte in enumerate(lines[number][:-1]):
        wrong = [*lines]
        wrong[number] = lines[number][:index] + bytes([byte ^ 1]) + lines[number][index + 1 :]
        assert codes(closed(wrong), trusted), (lines[number], index)


def test_a_line_dropped_doubled_or_swapped_is_found(lines: list[bytes], trusted: list[str]) -> None:
    heads = of_kind(lines, "head")
    for number in range(len(lines)):
        without = lines[:number] + lines[number + 1 :]
        assert codes(without, trusted), number
        assert codes([*lines[: number + 1], *lines[number:]], trusted), number
        if 0 < number < len(lines) - 1:
            assert aika_verify.verify(closed(without), trusted)[0], number
            assert codes(closed([*lines[: number + 1], *lines[number:]]), trusted), number
        if number and number + 2 < len(lines):
            swapped = [*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]]
            assert codes(swapped, trusted), number
            if number not in heads[:-1]:  # the order of heads says nothing
                assert codes(closed(swapped), trusted), number


def test_a_tail_cut_anywhere_is_found(lines: list[bytes], trusted: list[str]) -> None:
    whole = b"".join(lines)
    for number in range(len(lines)):
        assert "EXPORT_CUT" in codes(lines[:number], trusted)
    for size in range(1, 200, 7):
        assert codes(list(io.BytesIO(whole[:-size])), trusted)
    assert codes([], trusted) == {"EXPORT_CUT"}
    assert codes([*lines, b"\n"], trusted) == {"MALFORMED"}


def test_an_event_added_by_hand_is_found(lines: list[bytes], trusted: list[str]) -> None:
    """Chained correctly onto the last of its stream, with a head that fits; then sealed too."""
    wrong, added = with_an_event_more(lines)
    assert codes(closed(wrong), trusted) == {"HEAD_DIFFERS"}
    head = next(number for number in of_kind(wrong, "head") if json.loads(wrong[number])["stream"] == added["stream"])
    wrong[head] = changed(wrong[head], seq=added["seq"], hash=added["hash"], last_id=added["id"])
    assert codes(closed(wrong), trusted) == set(), "not sealed yet: the chain alone guards it"
    seals = of_kind(wrong, "seal")
    wrong.insert(seals[-1] + 1, changed(wrong[seals[-1]], seal_seq=len(seals) + 1, event_id=added["id"]))
    assert codes(closed(wrong), trusted) == {"SEAL_WITHOUT_CHECKPOINT"}


def test_a_checkpoint_rolled_back_is_found_by_the_anchors(
    lines: list[bytes], trusted: list[str], settings: Any
) -> None:
    assert codes(rolled_back(lines, anchors_too=False), trusted) == {"CHECKPOINT_MISSING"}
    silent = rolled_back(lines, anchors_too=True)
    assert codes(silent, trusted) == set(), "whoever makes the export can leave anchors out"
    assert codes(silent, trusted, Path(settings.AUDIT_ANCHOR_DIR)) == {"CHECKPOINT_MISSING"}


def test_without_anchors_it_does_not_vouch(lines: list[bytes], trusted: list[str], tmp_path: Path) -> None:
    without = closed([line for line in lines if json.loads(line)["line"] != "anchor"])
    code, verifier = aika_verify.verify(without, trusted)
    assert (code, verifier.incomplete) == (2, ["no anchors: a rollback would not be seen"])
    assert aika_verify.verify(lines, trusted, tmp_path / "nothing here")[0] == 2


def test_signing_it_again_with_another_key_is_found(lines: list[bytes], trusted: list[str]) -> None:
    other = Ed25519PrivateKey.generate()
    public = other.public_key().public_bytes_raw()
    ours = aika_verify.named(trusted)
    (our_id,), their_id = ours, hashlib.sha256(public).hexdigest()[:16]
    for under in (our_id, their_id):
        wrong = [*lines]
        wrong[0] = changed(lines[0], public_keys=[public.hex()])
        for kind in ("checkpoint", "anchor"):
            for number in of_kind(lines, kind):
                body = json.loads(lines[number])["body"].replace(our_id, under)
                wrong[number] = changed(lines[number], body=body, signature=other.sign(body.encode()).hex())
        assert codes(closed(wrong), trusted) == {"SIGNATURE_WRONG" if under == our_id else "KEY_UNKNOWN"}
    code, verifier = aika_verify.verify(closed(wrong), [])
    assert code == 2, "the export vouches for itself: that is no proof"
    assert any("--key" in reason for reason in verifier.incomplete)


def test_a_part_of_the_log_is_held_against_its_chains_alone(sealed: list[Event], trusted: list[str]) -> None:
    for arguments in (("--stream", "proposal:b"), ("--after", str(sealed[3].pk))):
        out = io.StringIO()
        call_command("audit_export", *arguments, stdout=out)
        part = out.getvalue().encode().splitlines(keepends=True)
        code, verifier = aika_verify.verify(part, trusted)
        assert (code, verifier.findings) == (2, [])
        wrong = changed(part[1], body=json.loads(part[1])["body"].replace("turn", "tern"))
        assert codes(closed([part[0], wrong, *part[2:]]), trusted) >= {"HASH_WRONG"}


def alone(*arguments: str, folder: Path) -> tuple[int, str]:
    """The file in a folder of its own, under a Python that sees neither Aika nor anything installed."""
    shutil.copyfile(VERIFIER, folder / VERIFIER.name)
    command = [sys.executable, "-I", "-S", VERIFIER.name, *arguments]
    ended = subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, check=False)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout


def test_it_runs_alone(lines: list[bytes], key: keys.SigningKey, settings: Any, tmp_path: Path) -> None:
    folder = tmp_path / "alone"
    folder.mkdir()
    (folder / "log.jsonl").write_bytes(b"".join(lines))
    trusted = ("--key", key.public.hex(), "--anchors", settings.AUDIT_ANCHOR_DIR)
    assert alone("log.jsonl", *trusted, folder=folder) == (
        0, "intact: 7 events in 2 streams; 3 checkpoints, 6 anchors, 1 events not sealed\n"
    )  # fmt: skip
    assert alone("log.jsonl", folder=folder)[0] == 2
    (folder / "log.jsonl").write_bytes(b"".join(rolled_back(lines, anchors_too=True)))
    code, out = alone("log.jsonl", *trusted, folder=folder)
    assert code == 1
    assert "CHECKPOINT_MISSING at checkpoints-000000.jsonl line 3: Checkpoint 3 was anchored and is gone" in out
    wrong = b"".join(lines).replace(b"momentum-bot", b"momentum-bat", 1)
    (folder / "log.jsonl").write_bytes(wrong)
    code, out = alone("log.jsonl", *trusted, folder=folder)
    assert code == 1
    assert "HASH_WRONG at line 2, proposal:a #1" in out
    assert alone("nowhere.jsonl", *trusted, folder=folder)[0] == 2


@pytest.mark.slow
def test_every_change_is_found_by_the_file_alone(
    lines: list[bytes], key: keys.SigningKey, settings: Any, tmp_path: Path
) -> None:
    """The changes are made there too: nothing of the project is at hand."""
    folder = tmp_path / "alone"
    folder.mkdir()
    shutil.copyfile(VERIFIER, folder / VERIFIER.name)
    shutil.copyfile(changes.__file__, folder / "changes.py")
    (folder / "log.jsonl").write_bytes(b"".join(lines))
    program = f"import sys; sys.path[:0] = [{str(folder)!r}]; import changes; changes.main(sys.argv[1:])"
    command = [sys.executable, "-I", "-S", "-c", program, "log.jsonl", key.public.hex(), settings.AUDIT_ANCHOR_DIR]
    ended = subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said["unfound"] == []
    assert said["honest"] == 0 and said["modules"] == []
    whole = sum(len(line) for line in lines)
    assert said["tried"]["flipped"] == whole
    assert said["tried"].keys() == {"flipped", "dropped", "doubled", "swapped", "added", "cut", "rolled back"}


def test_it_needs_nothing_but_the_standard_library() -> None:
    text = VERIFIER.read_text(encoding="utf-8")
    imported = {line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert imported <= set(sys.stdlib_module_names)


# RFC 8032, section 7.1: TEST 1, TEST 2, TEST 3 (public key, message, signature).
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_the_signatures_of_the_rfc_hold_and_no_other_bit_does(public: str, message: str, signature: str) -> None:
    key, text, signed = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert aika_verify.signature_holds(key, text, signed)
    for bit in range(0, 512, 13):
        wrong = (int.from_bytes(signed, "big") ^ (1 << bit)).to_bytes(64, "big")
        assert not aika_verify.signature_holds(key, text, wrong)
    assert not aika_verify.signature_holds(key, text + b"x", signed)
    # S + L is the same number modulo L: section 5.1.7 refuses it, or a signature could be changed and still hold.
    heavier = (int.from_bytes(signed[32:], "little") + aika_verify.L).to_bytes(32, "little")
    assert not aika_verify.signature_holds(key, text, signed[:32] + heavier)
    assert not aika_verify.signature_holds(key, text, b"\xff" * 64)
    assert not aika_verify.signature_holds(b"\xff" * 32, text, signed)
    assert not aika_verify.signature_holds(key, text, signed[:63])


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=300))
def test_it_agrees_with_another_implementation(seed: bytes, message: bytes) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert aika_verify.signature_holds(public, message, signature)
    assert not aika_verify.signature_holds(public, message + b"\x00", signature)
