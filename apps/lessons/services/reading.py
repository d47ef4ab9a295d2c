"""Documents as they come, read into texts. What parses HTML and PDF runs in a process of its own, within bounds."""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from apps.common.errors import AikaError, Invalid, Unavailable
from apps.lessons.rules import reading
from apps.lessons.rules.reading import Block, Reading
from apps.lessons.types import MediaType

BYTES_MAX: Final = 10 * 1024 * 1024
HTML_BYTES_MAX: Final = 2 * 1024 * 1024
COMPUTING_S: Final = 20
PATIENCE_S: Final = 60
CHILD: Final = Path(__file__).with_name("reading_child.py")
ENDINGS: Final[Mapping[str, MediaType]] = {
    ".txt": MediaType.TEXT,
    ".text": MediaType.TEXT,
    ".md": MediaType.MARKDOWN,
    ".markdown": MediaType.MARKDOWN,
    ".html": MediaType.HTML,
    ".htm": MediaType.HTML,
    ".pdf": MediaType.PDF,
}
# So many at a time in one process: whoever sends what is costly to read waits for themselves.
_turns: Final = threading.BoundedSemaphore(2)
TURN_WAIT_S: Final = 30
_REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "PDF_UNREADABLE": ("It is no PDF that can be read.", "Open it yourself, and save or print it as a new PDF."),
    "PDF_ENCRYPTED": ("The PDF is locked by a password.", "Save it without one."),
    "PDF_TOO_MANY_PAGES": ("The PDF has more than 500 pages.", "Split it."),
    "DOCUMENT_TOO_LONG": ("It holds more text than is taken.", "Split it into several documents."),
    "DOCUMENT_TOO_COSTLY": (
        f"Reading it took more than {COMPUTING_S} s or too much memory.",
        "It may be made to do harm. If not, save it as plain text.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A document as it was handed over: its bytes, and what it is said to be."""

    raw: bytes
    media_type: MediaType


def media_type_of(name: str, declared: str = "") -> MediaType:
    """What a document is: as declared (`text/html; charset=utf-8`), else by the ending of its name.

    Raises Invalid MEDIA_TYPE_UNKNOWN.
    """
    said = declared.partition(";")[0].strip().lower()
    found = MediaType(said) if said in set(MediaType) else None
    if found is None and not said:
        found = ENDINGS.get(PurePosixPath(name).suffix.lower())
    if found is None:
        raise Invalid(
            "MEDIA_TYPE_UNKNOWN",
            f"{(said or name)[:80]} is none of the kinds that are read.",
            fix=f"Send one of {', '.join(MediaType)}, or a name that ends with {', '.join(ENDINGS)}.",
            field="media_type",
        )
    return found


def read(source: Source) -> Reading:
    """The text of a document.

    Raises Invalid DOCUMENT_TOO_LARGE, DOCUMENT_TOO_COSTLY, PDF_UNREADABLE, PDF_ENCRYPTED, PDF_TOO_MANY_PAGES, and what
    `reading.decoded` and `reading.checked` raise; Unavailable READER_BUSY, READER_FAILED where it could
    not be read now.
    """
    most = HTML_BYTES_MAX if source.media_type is MediaType.HTML else BYTES_MAX
    if len(source.raw) > most:
        raise Invalid(
            "DOCUMENT_TOO_LARGE",
            f"It has {len(source.raw)} bytes, and at most {most} are taken.",
            fix="Split it, or save it without images.",
            bytes=str(len(source.raw)),
            max=str(most),
        )
    if source.media_type is MediaType.PDF:
        return _in_a_child("pdf", source.raw)
    text = reading.decoded(source.raw)
    if source.media_type is MediaType.HTML:
        return _in_a_child("html", source.raw)
    return reading.read_markdown(text) if source.media_type is MediaType.MARKDOWN else reading.read_text(text)


def _in_a_child(kind: str, raw: bytes) -> Reading:
    if not _turns.acquire(timeout=TURN_WAIT_S):
        raise Unavailable("READER_BUSY", "Other documents are being read.", fix="Send it again in a minute.")
    try:
        return _read_there(kind, raw)
    finally:
        _turns.release()


def _read_there(kind: str, raw: bytes) -> Reading:
    try:
        done = subprocess.run(  # noqa: S603  our own file, and nothing of the document in the arguments
            [sys.executable, "-I", str(CHILD), kind, str(COMPUTING_S)],
            input=raw,
            capture_output=True,
            timeout=PATIENCE_S,
            env={},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _refused("DOCUMENT_TOO_COSTLY") from None
    except OSError as error:
        raise Unavailable("READER_FAILED", "The reader could not be started.", fix="Try again.") from error
    if done.returncode != 0:  # killed by one of its bounds, or broken by what it read
        raise _refused("DOCUMENT_TOO_COSTLY" if done.returncode < 0 or b"MemoryError" in done.stderr else _broken(kind))
    found = json.loads(done.stdout)
    if "code" in found:
        raise _refused(found["code"])
    return reading.read_blocks(found["title"], (Block(text, level) for level, text in found["blocks"]))


def _broken(kind: str) -> str:
    return "PDF_UNREADABLE" if kind == "pdf" else "DOCUMENT_TOO_COSTLY"


def _refused(code: str) -> AikaError:
    message, fix = _REASONS[code]
    return Invalid(code, message, fix=fix)
