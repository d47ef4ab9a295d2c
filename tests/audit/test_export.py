"""The export is one state of the log, and a stranger can recompute it."""

import hashlib
import io
import json
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.audit.models import Event
from apps.audit.services import export


def exported(*arguments: str) -> list[dict[str, Any]]:
    out = io.StringIO()
    call_command("audit_export", *arguments, stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_stranger_can_recompute_every_hash(log: list[Event]) -> None:
    """Only what the command's own help says is used here."""
    lines = exported()
    last: dict[str, tuple[int, str, int]] = {}
    for line in (line for line in lines if line["line"] == "event"):
        seq, previous, previous_id = last.get(line["stream"], (0, "0" * 64, 0))
        assert (line["seq"], line["prev_hash"]) == (seq + 1, previous)
        parts = [line["stream"].encode(), str(line["seq"]).encode(), previous.encode(), line["body"].encode()]
        hashed = hashlib.sha256(b"\x00" + b"".join(len(part).to_bytes(8, "big") + part for part in parts))
        assert hashed.hexdigest() == line["hash"]
        assert json.loads(line["body"])["previous_id"] == previous_id
        last[line["stream"]] = (line["seq"], line["hash"], line["id"])
    heads = {line["stream"]: (line["seq"], line["hash"], line["last_id"]) for line in lines if line["line"] == "head"}
    assert heads == last
    assert [line["line"] for line in lines] == ["export", *["event"] * 5, *["head"] * 2, "end"]


def test_the_whole_log_comes_with_seals_checkpoints_and_anchors(sealed: list[Event]) -> None:
    kinds = [line["line"] for line in exported()]
    assert kinds == [
        "export", *["event"] * 7, *["head"] * 2, *["seal"] * 6, *["checkpoint"] * 3, *["anchor"] * 3, "end"
    ]  # fmt: skip


def test_a_part_of_the_log(sealed: list[Event]) -> None:
    part = exported("--stream", "proposal:b")
    assert [line["id"] for line in part if "id" in line] == [sealed[n].pk for n in (1, 3, 5)]
    assert [line["line"] for line in part] == ["export", "event", "event", "event", "head", "end"]
    after = exported("--after", str(sealed[4].pk))
    assert [line["id"] for line in after if "id" in line] == [sealed[5].pk, sealed[6].pk]


def test_a_file_is_written_whole_with_its_verifier_beside_it(sealed: list[Event], tmp_path: Path) -> None:
    folder = tmp_path / "handed over"
    folder.mkdir()
    target = folder / "log.jsonl"
    out = io.StringIO()
    call_command("audit_export", "--output", str(target), "--with-verifier", stdout=out)
    assert out.getvalue().startswith(f"23 lines in {target}\n")
    assert len(target.read_text().splitlines()) == 23
    assert sorted(path.name for path in folder.iterdir()) == ["aika_verify.py", "log.jsonl"]
    assert (folder / "aika_verify.py").read_bytes() == export.VERIFIER.read_bytes()
    with pytest.raises(CommandError, match="--output"):
        call_command("audit_export", "--with-verifier")


def test_text_in_any_script_stays_as_it_was(record: Any) -> None:
    event = record(payload={"note": "Zürich 東京 \u202e"})
    assert exported()[1]["body"].encode() == bytes(event.body)


@pytest.mark.postgres
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="a writer beside an open transaction")
@pytest.mark.django_db(transaction=True)
def test_what_is_written_meanwhile_is_not_in_it(record: Any, now: Any) -> None:
    """The heads are read after the events: they still are the heads of these events."""
    record(stream="proposal:a")
    lines = export.lines(now=now)
    found = [json.loads(next(lines)) for _ in range(2)]

    def write() -> None:
        record(stream="proposal:a")
        record(stream="proposal:new")
        connection.close()

    thread = Thread(target=write)
    thread.start()
    thread.join()
    found += [json.loads(line) for line in lines]
    assert [(line["line"], line.get("seq")) for line in found] == [
        ("export", None), ("event", 1), ("head", 1), ("end", None)
    ]  # fmt: skip
