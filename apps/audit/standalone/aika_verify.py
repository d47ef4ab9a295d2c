#!/usr/bin/env python3
"""Verifies an export of Aika's audit log. One file, the standard library, nothing of Aika:

    python3 -I -S aika_verify.py EXPORT --key PUBLIC_KEY_HEX [--key ...] [--anchors DIR]

Exit code 0: intact. 1: tampered, and every place is named. 2: incomplete, this file cannot vouch for all of it.

What is recomputed. An event's hash is SHA-256 of a zero byte, then stream, seq, prev_hash and body, each after its
length in 8 bytes, big endian; seq runs 1, 2, 3 in each stream and prev_hash is the hash before (64 zeros at first). A
checkpoint is a Merkle tree (RFC 6962, section 2.1): first leaf the previous checkpoint's root, then for each sealed
event its id in 8 bytes and its hash; its body is signed with Ed25519 (RFC 8032). Bring the public keys, and anchors
that you kept yourself: keys and anchors inside the export come from whoever made the export.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

FORMAT = "aika.audit-export/1"
ZEROS = "0" * 64
FINDINGS_MAX = 1000
# The members of each kind of line, in their order, and the type of each.
SHAPES: dict[str, dict[str, type]] = {
    "export": {"format": str, "stream": str, "after": int, "exported_at": str, "public_keys": list},
    "event": {"id": int, "stream": str, "seq": int, "kind": str, "subject": str, "recorded_at": str, "body": str,
              "prev_hash": str, "hash": str},
    "head": {"stream": str, "seq": int, "hash": str, "last_id": int},
    "seal": {"seal_seq": int, "event_id": int},
    "checkpoint": {"number": int, "body": str, "signature": str},
    "anchor": {"number": int, "body": str, "signature": str},
    "damage": {"where": str, "torn": bool},
    "end": {"lines": int, "sha256": str},
}  # fmt: skip
ORDER = list(SHAPES)
ANCHOR = {"schema": str, "number": int, "body": str, "signature": str}
BODY = {"schema": str, "first_seq": int, "key_id": str, "last_seq": int, "number": int, "prev_root": str, "root": str,
        "sealed_at": str, "size": int}  # fmt: skip
HEX = re.compile(r"[0-9a-f]*", re.ASCII)

# Ed25519 as RFC 8032 section 5.1 defines it; points are extended coordinates (X, Y, Z, T), section 5.1.4.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]


def point_of(encoded: bytes) -> Point | None:
    """Section 5.1.3: the point of 32 bytes, None where they are none."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def added(p: Point, q: Point) -> Point:
    """Section 5.1.4, addition."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar: int, point: Point) -> Point:
    """The point added to itself, `scalar` times."""
    total: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = added(total, point)
        point = added(point, point)
        scalar >>= 1
    return total


BASE = point_of((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def signature_holds(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Section 5.1.7: [S]B = R + [k]A."""
    if len(public_key) != 32 or len(signature) != 64 or BASE is None:
        return False
    key, commitment = point_of(public_key), point_of(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= L:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % L
    left, right = times(scalar, BASE), added(commitment, times(challenge, key))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def event_hash(event: dict[str, Any]) -> str:
    """The hash that the event's own texts give."""
    parts = [text.encode() for text in (event["stream"], str(event["seq"]), event["prev_hash"], event["body"])]
    return hashlib.sha256(b"\x00" + b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()


def root_of(prev_root: bytes, entries: list[tuple[int, bytes]]) -> str:
    """RFC 6962, 2.1: leaves after 0x00, nodes after 0x01, an odd one goes up as it is."""
    level = [hashlib.sha256(b"\x00" + prev_root).digest()]
    level += [hashlib.sha256(b"\x00" + event_id.to_bytes(8, "big") + hash_).digest() for event_id, hash_ in entries]
    while len(level) > 1:
        above = [hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = above + level[len(level) & ~1 :]
    return level[0].hex()


def refuse(_text: object = None) -> NoReturn:
    raise ValueError


def members_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON readers differ on a member that stands twice: it is refused."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else refuse()


READ = json.JSONDecoder(object_pairs_hook=members_once, parse_float=refuse, parse_constant=refuse).decode
WRITE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def parsed(text: str) -> dict[str, Any]:
    """The object of a text that has no other way to be written. Raises ValueError for anything else."""
    try:
        found = READ(text)
    except RecursionError:
        refuse()
    return found if isinstance(found, dict) and WRITE(found) == text else refuse()


def shaped(found: dict[str, Any], shape: dict[str, type]) -> bool:
    """Whether the object has exactly these members, each of its type; numbers are none below zero."""
    return list(found) == list(shape) and all(
        type(found[name]) is kind and not (kind is int and not 0 <= found[name] < 2**63) for name, kind in shape.items()
    )


def named(keys: list[str]) -> dict[str, bytes]:
    """Key id (the first 16 hex digits of its SHA-256) -> public key."""
    return {hashlib.sha256(bytes.fromhex(key)).hexdigest()[:16]: bytes.fromhex(key) for key in keys}


def is_hex(text: str, length: int) -> bool:
    return len(text) == length and HEX.fullmatch(text) is not None


class Verifier:
    """Reads an export line by line, and keeps what the next lines must agree with."""

    def __init__(self, keys: list[str]) -> None:
        self.findings: list[str] = []
        self.incomplete: list[str] = []
        self.counts = dict.fromkeys(ORDER, 0)
        self.keys = named(keys)
        self.given_keys = bool(keys)
        self.partial = False
        self.after = self.last_id = 0
        self.stage = -1
        self.ends: dict[str, tuple[int, str, int]] = {}
        self.heads: set[str] = set()
        self.hashes: dict[int, bytes] = {}
        self.seals: dict[int, int] = {}
        self.sealed: set[int] = set()
        self.checkpoints: list[tuple[str, str]] = []
        self.end: dict[str, Any] = {"last_seq": 0, "root": ZEROS}
        self.last_anchor = 0
        self.digest = hashlib.sha256()
        self.lines = 0

    def found(self, code: str, where: str, message: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(f"{code} at {where}: {message}")

    def read(self, raw: bytes) -> None:
        """One line, its line feed included."""
        where = f"line {self.lines + 1}"
        try:
            if not raw.endswith(b"\n"):
                refuse()
            line = parsed(raw[:-1].decode("utf-8"))
            kind = line.get("line")
            if not isinstance(kind, str) or kind not in SHAPES:
                refuse()
            if kind == "export" and line.get("stream") is None:
                line["stream"] = ""
            if not shaped(line, {"line": str, **SHAPES[kind]}):
                refuse()
        except ValueError:
            self.found("MALFORMED", where, "No export has a line like this.")
        else:
            stage = ORDER.index(kind)
            if stage < self.stage or (self.stage < 0) != (kind == "export") or self.counts["end"]:
                self.found("MALFORMED", where, f"No {kind} stands here.")
            self.stage = max(self.stage, stage)
            self.counts[kind] += 1
            getattr(self, f"read_{kind}")(line, where)
        self.digest.update(raw)
        self.lines += 1

    def read_export(self, line: dict[str, Any], where: str) -> None:
        if line["format"] != FORMAT:
            self.incomplete.append(f"the format {line['format']!r} is not {FORMAT}")
        self.partial = bool(line["stream"] or line["after"])
        self.after = line["after"]
        if self.partial:
            what = f"the stream {line['stream']}" if line["stream"] else "all streams"
            self.incomplete.append(f"a part, {what} after id {self.after}: no checkpoint or anchor vouches for it")
        if not self.given_keys:
            if not all(isinstance(key, str) and is_hex(key, 64) for key in line["public_keys"]):
                self.found("MALFORMED", where, "A public key is 64 hex digits.")
                return
            self.keys = named(line["public_keys"])
            self.incomplete.append("the public keys are the export's own: give those you trust with --key")

    def read_event(self, line: dict[str, Any], where: str) -> None:
        where = f"{where}, {line['stream']} #{line['seq']} (id {line['id']})"
        known = self.ends.get(line["stream"])
        if known is None and self.after:
            known = (line["seq"] - 1, line["prev_hash"], -1)
        seq, prev_hash, previous_id = known or (0, ZEROS, 0)
        if line["seq"] != seq + 1:
            self.found("SEQ_GAP", where, f"Event {seq + 1} of the stream should stand here.")
        if line["prev_hash"] != prev_hash:
            self.found("LINK_BROKEN", where, "The event does not continue the one before it.")
        if line["hash"] != event_hash(line):
            self.found("HASH_WRONG", where, "The body does not give the hash.")
        if line["id"] <= self.last_id:
            self.found("MALFORMED", where, f"It stands after the event {self.last_id}.")
        try:
            facts = parsed(line["body"])
            wrong = [name for name in ("kind", "subject", "recorded_at") if facts.get(name) != line[name]]
            if previous_id >= 0 and facts.get("previous_id") != previous_id:
                wrong.append("id of the event before")
        except ValueError:
            wrong = ["body"]
        for name in wrong:
            self.found("COLUMN_DIFFERS", where, f"The {name} is not what the hashed body says.")
        self.ends[line["stream"]] = (line["seq"], line["hash"], line["id"])
        self.last_id = max(self.last_id, line["id"])
        self.hashes[line["id"]] = bytes.fromhex(line["hash"]) if is_hex(line["hash"], 64) else b""

    def read_head(self, line: dict[str, Any], where: str) -> None:
        end = self.ends.get(line["stream"])
        if line["stream"] in self.heads:
            self.found("MALFORMED", where, "The head stands twice.")
        self.heads.add(line["stream"])
        if end is None and self.after:
            return
        if end != (line["seq"], line["hash"], line["last_id"]):
            self.found("HEAD_DIFFERS", f"{where}, {line['stream']}", "The head is not the stream's last event.")

    def read_seal(self, line: dict[str, Any], where: str) -> None:
        if line["seal_seq"] != len(self.seals) + 1:
            self.found("SEAL_GAP", where, f"Seal {len(self.seals) + 1} should stand here.")
        if line["event_id"] not in self.hashes:
            self.found("EVENT_MISSING", where, f"The event {line['event_id']}, sealed here, is gone.")
        elif line["event_id"] in self.sealed:
            self.found("SEAL_GAP", where, f"The event {line['event_id']} is sealed twice.")
        self.seals[line["seal_seq"]] = line["event_id"]
        self.sealed.add(line["event_id"])

    def read_checkpoint(self, line: dict[str, Any], where: str) -> None:
        self.checkpoints.append((line["body"], line["signature"]))
        where = f"{where}, checkpoint {line['number']}"
        try:
            body = parsed(line["body"])
        except ValueError:
            body = {}
        if not shaped(body, BODY) or body["schema"] != "aika.checkpoint/1" or not is_hex(body["prev_root"], 64):
            self.found("CHECKPOINT_MALFORMED", where, "The body is no checkpoint's.")
            return
        first, last = body["first_seq"], body["last_seq"]
        if (line["number"], body["number"]) != (len(self.checkpoints), len(self.checkpoints)):
            self.found("CHECKPOINT_GAP", where, f"Checkpoint {len(self.checkpoints)} should stand here.")
        continued = (self.end["last_seq"] + 1, self.end["root"], last - first + 1)
        if (first, body["prev_root"], body["size"]) != continued:
            self.found("CHECKPOINT_LINK_BROKEN", where, "The checkpoint does not continue the one before it.")
        events = [self.seals.get(seal_seq, -1) for seal_seq in range(first, min(last, len(self.seals) + first) + 1)]
        entries = [(event_id, self.hashes.get(event_id, b"")) for event_id in events if event_id >= 0]
        if len(entries) != body["size"] or body["root"] != root_of(bytes.fromhex(body["prev_root"]), entries):
            self.found("ROOT_WRONG", where, "The events that were sealed are not the events that are here.")
        key, signature = self.keys.get(body["key_id"]), line["signature"]
        if key is None:
            self.found("KEY_UNKNOWN", where, f"It is signed with the key {body['key_id']}, which is not trusted.")
        elif not is_hex(signature, 128) or not signature_holds(key, line["body"].encode(), bytes.fromhex(signature)):
            self.found("SIGNATURE_WRONG", where, "The signature is not that key's for this body.")
        self.end = body

    def read_anchor(self, line: dict[str, Any], where: str) -> None:
        number = line["number"]
        if self.last_anchor and number != self.last_anchor + 1:
            self.found("ANCHOR_GAP", where, f"The anchor before it is {self.last_anchor}.")
        elif not self.last_anchor and number != 1:
            self.incomplete.append(f"the anchors begin at checkpoint {number}")
        self.last_anchor = number
        if not 1 <= number <= len(self.checkpoints):
            self.found("CHECKPOINT_MISSING", where, f"Checkpoint {number} was anchored and is gone: a rollback.")
        elif self.checkpoints[number - 1] != (line["body"], line["signature"]):
            self.found("ANCHOR_DIFFERS", where, f"Checkpoint {number} is not the one that was anchored.")

    def read_damage(self, line: dict[str, Any], where: str) -> None:
        if line["torn"]:
            self.incomplete.append(f"{line['where']} of the anchors is half a line, as a crash leaves it")
        else:
            self.found("ANCHOR_MALFORMED", where, f"{line['where']} of the anchors was not written by a sealer.")

    def read_end(self, line: dict[str, Any], where: str) -> None:
        if line["sha256"] != self.digest.hexdigest() or line["lines"] != self.lines:
            self.found("EXPORT_DIFFERS", where, "The lines above are not those that were exported.")

    def read_anchor_folder(self, folder: Path) -> None:
        """Anchors that the auditor kept, compared after those inside the export."""
        self.last_anchor = 0
        for path in sorted(folder.glob("checkpoints-*.jsonl")):
            for position, raw in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
                where = f"{path.name} line {position}"
                try:
                    line = parsed(raw.decode("utf-8").removesuffix("\n"))
                    if not shaped(line, ANCHOR) or line["schema"] != "aika.anchor/1" or not raw.endswith(b"\n"):
                        refuse()
                except ValueError:
                    self.read_damage({"torn": not raw.endswith(b"\n"), "where": where}, where)
                else:
                    self.counts["anchor"] += 1
                    self.read_anchor(line, where)

    def close(self) -> int:
        """What only the end can tell. Returns the exit code."""
        if not self.counts["end"]:
            self.found("EXPORT_CUT", f"line {self.lines}", "The export does not reach its end line.")
        for stream in sorted(self.ends.keys() - self.heads):
            self.found("HEAD_MISSING", stream, "The stream has events and no head.")
        if not self.partial:
            if len(self.seals) != self.end["last_seq"]:
                self.found("SEAL_WITHOUT_CHECKPOINT", f"seal {len(self.seals)}", "No checkpoint covers the last seals.")
            if self.last_anchor < len(self.checkpoints):
                reached = f"the anchors end at checkpoint {self.last_anchor}, the log at {len(self.checkpoints)}"
                self.incomplete.append(reached if self.last_anchor else "no anchors: a rollback would not be seen")
        return 1 if self.findings else 2 if self.incomplete else 0


def verify(lines: list[bytes], keys: list[str], anchors: Path | None = None) -> tuple[int, Verifier]:
    """The exit code for these lines, and everything that led to it."""
    verifier = Verifier(keys)
    for line in lines:
        verifier.read(line)
    if anchors is not None:
        verifier.read_anchor_folder(anchors)
    return verifier.close(), verifier


def main(arguments: list[str]) -> int:
    """Reads the command line, writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("--key", action="append", default=[], metavar="HEX", help="a public key you trust")
    parser.add_argument("--anchors", type=Path, metavar="DIR", help="the folder of anchors you kept")
    chosen = parser.parse_args(arguments)
    if not all(is_hex(key, 64) for key in chosen.key):
        parser.error("a public key is 64 hex digits")
    if chosen.anchors and not chosen.anchors.is_dir():
        parser.error(f"there is no folder {chosen.anchors}")
    verifier = Verifier(chosen.key)
    try:
        with chosen.export.open("rb") as file:
            for line in file:
                verifier.read(line)
    except OSError as error:
        parser.error(str(error))
    if chosen.anchors:
        verifier.read_anchor_folder(chosen.anchors)
    code = verifier.close()
    for finding in verifier.findings:
        sys.stdout.write(f"{finding}\n")
    for reason in verifier.incomplete:
        sys.stdout.write(f"incomplete: {reason}\n")
    counts, unsealed = verifier.counts, len(verifier.hashes.keys() - verifier.sealed)
    sys.stdout.write(
        f"{('intact', 'tampered', 'incomplete')[code]}: {counts['event']:,} events in {len(verifier.ends):,} streams; "
        f"{counts['checkpoint']:,} checkpoints, {counts['anchor']:,} anchors, {unsealed:,} events not sealed\n"
    )
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
