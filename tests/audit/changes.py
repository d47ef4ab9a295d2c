"""What somebody may do to an export of the log, change by change.

A copy of this file runs beside a copy of the verifier, where nothing else is: it needs the standard library alone.
"""

import functools
import hashlib
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    from apps.audit.standalone import aika_verify
except ModuleNotFoundError:
    import aika_verify  # type: ignore[import-not-found,no-redef]


def closed(lines: list[bytes]) -> list[bytes]:
    """With an end line that fits, as somebody who changes an export would write it."""
    above = b"".join(lines[:-1])
    end = {"line": "end", "lines": len(lines) - 1, "sha256": hashlib.sha256(above).hexdigest()}
    return [*lines[:-1], json.dumps(end, separators=(",", ":")).encode() + b"\n"]


def changed(line: bytes, **facts: object) -> bytes:
    return json.dumps(json.loads(line) | facts, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def of_kind(lines: list[bytes], kind: str) -> list[int]:
    return [number for number, line in enumerate(lines) if json.loads(line)["line"] == kind]


def flips(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Every byte changed, one after the other; a changed line feed joins or parts lines as a reader would see it."""
    for number, line in enumerate(lines):
        for index, byte in enumerate(line):
            flipped = line[:index] + bytes([byte ^ 1]) + line[index + 1 :]
            rest = b"".join([flipped, *lines[number + 1 :]]) if index == len(line) - 1 else b""
            yield [*lines[:number], *(io.BytesIO(rest) if rest else [flipped, *lines[number + 1 :]])]


def with_an_event_more(lines: list[bytes]) -> tuple[list[bytes], dict[str, Any]]:
    """Chained correctly onto the last of its stream, as somebody who has read this code would; and that event."""
    events = of_kind(lines, "event")
    last = json.loads(lines[events[-1]])
    previous_id = json.loads(last["body"])["previous_id"]
    body = last["body"].replace(f'"previous_id":{previous_id}', f'"previous_id":{last["id"]}')
    added = {**last, "id": last["id"] + 1, "seq": last["seq"] + 1, "prev_hash": last["hash"], "body": body}
    added["hash"] = aika_verify.event_hash(added)
    line = json.dumps(added, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    return [*lines[: events[-1] + 1], line, *lines[events[-1] + 1 :]], added


def rolled_back(lines: list[bytes], *, anchors_too: bool) -> list[bytes]:
    """The last checkpoint, its seal and every event from it on were never there, and the heads agree."""
    kept = [json.loads(line) for line in lines]
    gone = [line["event_id"] for line in kept if line["line"] == "seal"][-1]
    events = [line for line in kept if line["line"] == "event" and line["id"] < gone]
    ends = {line["stream"]: line for line in events}
    found = []
    for line in kept:
        kind, number = line["line"], line.get("number")
        if kind == "event" and line["id"] >= gone or kind == "seal" and line["event_id"] >= gone:
            continue
        if kind == "checkpoint" and number == 3 or kind == "anchor" and number == 3 and anchors_too:
            continue
        if kind == "head":
            end = ends[line["stream"]]
            line = {**line, "seq": end["seq"], "hash": end["hash"], "last_id": end["id"]}
        found.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return closed(found)


def every_change(lines: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """One after the other, each of the whole export; where a line is more, less or elsewhere the end line fits."""
    for wrong in flips(lines):
        yield "flipped", wrong
    heads, anchors = of_kind(lines, "head"), of_kind(lines, "anchor")
    for number in range(len(lines)):
        yield "cut", lines[:number]
        # The export's copy of the first or last anchor is no loss to whoever holds the anchors themselves.
        if 0 < number < len(lines) - 1 and number not in {anchors[0], anchors[-1]}:
            yield "dropped", closed(lines[:number] + lines[number + 1 :])
        if 0 < number < len(lines) - 1:
            yield "doubled", closed([*lines[: number + 1], *lines[number:]])
        # The order of heads says nothing.
        if 0 < number < len(lines) - 2 and number not in heads[:-1]:
            yield "swapped", closed([*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]])
    yield "added", closed(with_an_event_more(lines)[0])
    yield "rolled back", rolled_back(lines, anchors_too=True)


def main(arguments: list[str]) -> None:
    """`LOG KEY ANCHORS`: tries every change, and tells what was tried and what was not found."""
    log, key, anchors = arguments
    # A signature that was checked is not checked again for each of ten thousand changes.
    aika_verify.signature_holds = functools.cache(aika_verify.signature_holds)
    lines = Path(log).read_bytes().splitlines(keepends=True)
    tried: Counter[str] = Counter()
    unfound = []
    for what, wrong in every_change(lines):
        tried[what] += 1
        if aika_verify.verify(wrong, [key], Path(anchors))[0] != 1:
            unfound.append(f"{what}, {tried[what]}")
    honest = aika_verify.verify(lines, [key], Path(anchors))[0]
    modules = sorted({name.partition(".")[0] for name in sys.modules} & {"apps", "config", "django", "tests"})
    said = {"tried": tried, "unfound": unfound, "honest": honest, "modules": modules}
    sys.stdout.write(json.dumps(said))
