"""Checkpoints kept outside the database: whoever can rewrite the tables cannot rewrite these.

One kind so far, a folder of files that are only appended to; `configured` says which there are. Point the folder at
storage that the database's owner cannot change (another machine's mount, a bucket with a retention lock).
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from django.conf import settings

SCHEMA = "aika.anchor/1"
PATTERN = "checkpoints-*.jsonl"
CHECKPOINTS_A_FILE = 100_000
TAIL_BYTES = 8192  # several lines


@dataclass(frozen=True)
class Anchored:
    """A checkpoint as it was anchored: the bytes that were signed, and their signature (hex)."""

    number: int
    body: bytes
    signature: str


@dataclass(frozen=True)
class Damage:
    """A line that no anchor can have written. `torn`: it ends in the middle, as a crash leaves it."""

    where: str
    torn: bool


class AnchorStore(Protocol):
    """Where checkpoints are kept. Each `append` is durable when it returns."""

    def last_number(self) -> int:
        """The highest number that is kept, 0 for none."""

    def append(self, checkpoints: Iterable[Anchored]) -> int:
        """Keep these, in the order of their numbers. Returns how many."""

    def read(self) -> Iterator[Anchored | Damage]:
        """Everything that is kept, oldest first."""


class AnchorFolder:
    """JSON lines, one checkpoint each, in files of 100,000. Raises OSError where the folder cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def last_number(self) -> int:
        for path in reversed(self._files()):
            with path.open("rb") as file:
                if number := _last_number(file, path):
                    return number
        return 0

    def append(self, checkpoints: Iterable[Anchored]) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        count = 0
        by_file: dict[Path, list[Anchored]] = {}
        for checkpoint in checkpoints:
            name = PATTERN.replace("*", f"{(checkpoint.number - 1) // CHECKPOINTS_A_FILE:06d}")
            by_file.setdefault(self._folder / name, []).append(checkpoint)
        for path, found in by_file.items():
            count += _append(path, found)
        return count

    def read(self) -> Iterator[Anchored | Damage]:
        for path in self._files():
            yield from _lines(path)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(PATTERN))


def configured() -> list[AnchorStore]:
    """The stores that settings name."""
    return [AnchorFolder(Path(settings.AUDIT_ANCHOR_DIR))] if settings.AUDIT_ANCHOR_DIR else []


def line_of(checkpoint: Anchored) -> bytes:
    """The line of a checkpoint, in the one form it can have."""
    facts = {
        "schema": SCHEMA,
        "number": checkpoint.number,
        "body": checkpoint.body.decode("utf-8", "backslashreplace"),
        "signature": checkpoint.signature,
    }
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _append(path: Path, checkpoints: list[Anchored]) -> int:
    """Add the lines in one write and have them on disk; two sealers wait for each other."""
    new = not path.exists()
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _drop_torn_end(file)
        last = _last_number(file, path)
        missing = [checkpoint for checkpoint in checkpoints if checkpoint.number > last]
        file.write(b"".join(line_of(checkpoint) for checkpoint in missing))
        file.flush()
        os.fsync(file.fileno())
    if new:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return len(missing)


def _tail(file: IO[bytes]) -> bytes:
    start = max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES)
    file.seek(start)
    return file.read()


def _drop_torn_end(file: IO[bytes]) -> None:
    """A crash in the middle of a write leaves half a line: it was never relied on, and goes."""
    tail = _tail(file)
    if tail and not tail.endswith(b"\n"):
        file.truncate(file.tell() - len(tail) + tail.rfind(b"\n") + 1)


def _last_number(file: IO[bytes], path: Path) -> int:
    """The number of the file's last whole line; 0 for an empty file."""
    lines = [line for line in _tail(file).splitlines(keepends=True) if line.endswith(b"\n")]
    if not lines:
        return 0
    found = _parsed(lines[-1], path.name)
    if isinstance(found, Anchored):
        return found.number
    return max((one.number for one in _lines(path) if isinstance(one, Anchored)), default=0)


def _lines(path: Path) -> Iterator[Anchored | Damage]:
    with path.open("rb") as file:
        for position, line in enumerate(file, start=1):
            yield _parsed(line, f"{path.name} line {position}")


def _parsed(line: bytes, where: str) -> Anchored | Damage:
    try:
        facts = json.loads(line)
        found = Anchored(facts["number"], facts["body"].encode(), facts["signature"])
        # Only the one form counts: a line that merely means the same was not written here.
        if line_of(found) == line:
            return found
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return Damage(where, torn=not line.endswith(b"\n"))
