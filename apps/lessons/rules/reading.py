"""Texts as they are kept: one form for what says the same, and where its headings stand. Pure, and bounded.

What is read is data. Nothing in it is executed, followed or obeyed, and what people could not see is left out.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from apps.common.errors import Invalid

TEXT_CHARS_MAX: Final = 1_000_000
LINE_CHARS_MAX: Final = 20_000
TITLE_CHARS_MAX: Final = 300
HEADING_CHARS_MAX: Final = 120
HEADING_LEVELS: Final = 6

_BREAKS: Final = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# Control characters, marks of byte order, soft hyphens, and what steers or carries text unseen.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\uffff"
    "\U000e0000-\U000e007f]"
)
_BLANKS: Final = re.compile("\n{3,}")
_FENCES: Final = ("```", "~~~")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading at the character `at` of the text; `level` 1 is the highest."""

    at: int
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A text in its kept form. `title` is empty where it names none."""

    title: str
    text: str
    headings: tuple[Heading, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, or with a `level` a heading, as a reader of HTML or PDF finds it."""

    text: str
    level: int = 0


def decoded(raw: bytes) -> str:
    """The bytes as text. Raises Invalid TEXT_WITH_NUL, TEXT_NOT_UTF8."""
    if b"\x00" in raw:
        raise _with_nul()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(
            "TEXT_NOT_UTF8",
            f"The bytes are no text in UTF-8 (byte {error.start}).",
            fix="Save it as UTF-8, or say what it is: a PDF is read as one by its media type or ending.",
        ) from error


def normalised(text: str) -> str:
    """NFC, lines that end with one line feed and no blanks, at most one empty line in a row, nothing unseen.

    What is normalised already is left as it is, so that equal texts have equal digests.
    """
    plain = unicodedata.normalize("NFC", _UNSEEN.sub("", _BREAKS.sub("\n", text)))
    return _BLANKS.sub("\n\n", "\n".join(line.rstrip() for line in plain.split("\n"))).strip()


def read_text(text: str) -> Reading:
    """Plain text: no heading is guessed. Raises as `checked`."""
    return Reading(title="", text=checked(text))


def read_markdown(text: str) -> Reading:
    """Markdown, kept as it is written; its headings outside of code. Raises as `checked`."""
    kept = checked(text)
    headings = tuple(_headings(kept))
    first = next((one for one in headings if one.level == 1), None)
    return Reading(title=first.text[:TITLE_CHARS_MAX] if first else "", text=kept, headings=headings)


def read_blocks(title: str, blocks: Iterable[Block]) -> Reading:
    """Blocks with an empty line between. Raises as `checked`."""
    parts: list[str] = []
    headings: list[Heading] = []
    at = 0
    for block in blocks:
        own = normalised(_without_nul(block.text))
        if not own:
            continue
        if block.level:
            own = own.replace("\n", " ")
            headings.append(Heading(at, min(block.level, HEADING_LEVELS), own[:HEADING_CHARS_MAX]))
        parts.append(own)
        at += len(own) + 2
        if at > TEXT_CHARS_MAX:
            break
    # The offsets stand: blocks are normal already, and joining them by an empty line leaves them so.
    text = checked("\n\n".join(parts))
    return Reading(title=" ".join(normalised(title).split())[:TITLE_CHARS_MAX], text=text, headings=tuple(headings))


def checked(text: str) -> str:
    """The text in its kept form. Raises Invalid TEXT_WITH_NUL, TEXT_MALFORMED, DOCUMENT_EMPTY, DOCUMENT_TOO_LONG,
    LINE_TOO_LONG."""
    if len(text) > 2 * TEXT_CHARS_MAX:
        raise _too_long(len(text))
    _without_nul(text)
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Invalid("TEXT_MALFORMED", "The text holds half a character.", fix="Send valid UTF-8.")
    kept = normalised(text)
    if not any(letter.isalnum() for letter in kept):
        raise Invalid("DOCUMENT_EMPTY", "There is no text in it.", fix="Send a document with words; scans have none.")
    if len(kept) > TEXT_CHARS_MAX:
        raise _too_long(len(kept))
    longest = max(map(len, kept.split("\n")))
    if longest > LINE_CHARS_MAX:
        raise Invalid(
            "LINE_TOO_LONG",
            f"A line has {longest} characters, and at most {LINE_CHARS_MAX} are taken.",
            fix="Break it into lines; if it is no prose but data, leave it out.",
            max=str(LINE_CHARS_MAX),
        )
    return kept


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise _with_nul()
    return text


def _with_nul() -> Invalid:
    return Invalid("TEXT_WITH_NUL", "It holds a NUL character: it is no text.", fix="Send the text of the document.")


def _too_long(length: int) -> Invalid:
    return Invalid(
        "DOCUMENT_TOO_LONG",
        f"The text has {length} characters, and at most {TEXT_CHARS_MAX} are taken.",
        fix="Split it into several documents.",
        max=str(TEXT_CHARS_MAX),
    )


def _headings(text: str) -> Iterable[Heading]:
    """ATX (`## Stops`) and setext (a line above `===` or `---`) headings."""
    lines = text.split("\n")
    at, fence = 0, ""
    for number, line in enumerate(lines):
        bare = line.strip()
        if bare.startswith(_FENCES):
            fence = "" if fence and bare.startswith(fence) else fence or bare[:3]
        elif not fence and (found := _heading(lines, number, bare)) is not None:
            level, words = found
            yield Heading(at, level, words)
        at += len(line) + 1


def _heading(lines: Sequence[str], number: int, bare: str) -> tuple[int, str] | None:
    hashes = len(bare) - len(bare.lstrip("#"))
    if (
        1 <= hashes <= HEADING_LEVELS
        and bare[hashes : hashes + 1] in {" ", "\t"}
        and not lines[number].startswith("    ")
    ):
        return _worded(hashes, bare[hashes:].strip().rstrip("#"))
    below = lines[number + 1].strip() if number + 1 < len(lines) else ""
    is_alone = number == 0 or not lines[number - 1].strip()
    if bare and is_alone and len(below) > 1 and set(below) in ({"="}, {"-"}):
        return _worded(1 if below[0] == "=" else 2, bare)
    return None


def _worded(level: int, raw: str) -> tuple[int, str] | None:
    words = " ".join(raw.strip().strip("*_`").split())[:HEADING_CHARS_MAX]
    return (level, words) if words else None
