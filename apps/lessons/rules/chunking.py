"""A text cut into pieces to be found and cited: by heading, then by paragraph. Pure.

A piece is a span of the text. Within one section the next begins 30 words before the end of the last, and every piece
but the last of its section has 180 to 220 words; together they hold every word.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from apps.common.errors import Invalid
from apps.lessons.rules.reading import Heading, Reading

WORDS_MIN: Final = 180
WORDS_MAX: Final = 220
OVERLAP: Final = 30
CHUNKS_MAX: Final = 5_000
PATH_CHARS_MAX: Final = 500
CHUNKING_VERSION: Final = 1
PATH_SIGN: Final = " > "

# A letter of a script without blanks is a word, and so are 40 characters without one: pieces stay short in any text.
_WIDE: Final = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_WIDE}]|[^\s{_WIDE}]{{1,40}}")
_SENTENCE_END: Final = (".", "!", "?", ":", "。", "！", "？")


@dataclass(frozen=True, slots=True)
class Piece:
    """Characters `start` to `end` of the text, under the headings of `path` (`Risk > Stops`). `text` is what is
    embedded: title and path in front of them. `words` counts those of the span."""

    ordinal: int
    start: int
    end: int
    heading: str
    text: str
    words: int

    @property
    def digest(self) -> str:
        """SHA-256 of `text`, hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def pieces(reading: Reading, *, title: str) -> tuple[Piece, ...]:
    """The pieces of a text. Raises Invalid TOO_MANY_PIECES."""
    found: list[Piece] = []
    for start, end, path in _sections(reading, title):
        spans = [(start + match.start(), start + match.end()) for match in _WORD.finditer(reading.text[start:end])]
        for first, last in _windows(reading.text, spans):
            own = (spans[first][0], spans[last - 1][1])
            front = PATH_SIGN.join(part for part in (title, path) if part)
            words = f"{front}\n\n{reading.text[own[0] : own[1]]}" if front else reading.text[own[0] : own[1]]
            found.append(Piece(len(found), *own, path, words, last - first))
        if len(found) > CHUNKS_MAX:
            raise Invalid(
                "TOO_MANY_PIECES",
                f"It would make more than {CHUNKS_MAX} pieces.",
                fix="Split the document, or join its headings.",
                max=str(CHUNKS_MAX),
            )
    return tuple(found)


def _sections(reading: Reading, title: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, headings) of what stands under each heading, the heading with it. A heading with nothing under it
    goes with the next one."""
    text, open_headings = reading.text, list[Heading]()
    marks = [one for one in reading.headings if 0 <= one.at < len(text)]
    if not marks or text[: marks[0].at].strip():
        yield 0, marks[0].at if marks else len(text), ""
    waiting: int | None = None
    for number, heading in enumerate(marks):
        end = marks[number + 1].at if number + 1 < len(marks) else len(text)
        open_headings = [one for one in open_headings if one.level < heading.level] + [heading]
        begins = heading.at if waiting is None else waiting
        is_bare = "\n" not in text[heading.at : end].strip()
        if is_bare and number + 1 < len(marks):
            waiting = begins
            continue
        waiting = None
        path = PATH_SIGN.join(one.text for one in open_headings if one.text != title)
        yield begins, end, path[:PATH_CHARS_MAX]


def _windows(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of the words of each piece."""
    first = 0
    while spans:
        if len(spans) - first <= WORDS_MAX:
            yield first, len(spans)
            return
        last = _break(text, spans, first)
        yield first, last
        first = last - OVERLAP


def _break(text: str, spans: Sequence[tuple[int, int]], first: int) -> int:
    """Where a piece that begins at `first` ends: at the last end of a paragraph that fits, of a sentence, or at all."""
    candidates = range(first + WORDS_MAX, first + WORDS_MIN - 1, -1)
    for last in candidates:
        if "\n\n" in text[spans[last - 1][1] : spans[last][0]]:
            return last
    for last in candidates:
        end = spans[last - 1][1]
        if text[end - 1] in _SENTENCE_END and spans[last][0] > end:
            return last
    return first + WORDS_MAX
