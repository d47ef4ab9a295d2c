"""The export can be verified without Aika."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

from django.core.management import call_command

from apps.audit.models import Event


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
    assert len(lines) == 7


def test_a_part_of_the_log(log: list[Event]) -> None:
    assert [line.get("id") for line in exported("--stream", "proposal:b")] == [log[1].pk, log[3].pk, None]
    assert [line["id"] for line in exported("--after", str(log[2].pk)) if "id" in line] == [log[3].pk, log[4].pk]


def test_a_file_is_written_whole(log: list[Event], tmp_path: Path) -> None:
    target = tmp_path / "log.jsonl"
    out = io.StringIO()
    call_command("audit_export", "--output", str(target), stdout=out)
    assert [json.loads(line) for line in target.read_text().splitlines()] == exported()
    assert out.getvalue() == f"7 lines in {target}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_text_in_any_script_stays_as_it_was(record: Any) -> None:
    event = record(payload={"note": "Zürich 東京 \u202e"})
    assert exported()[0]["body"].encode() == bytes(event.body)
