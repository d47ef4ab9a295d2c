"""A process that reads one HTML or PDF from standard input and writes its blocks as JSON. Run as a file, not imported.

Parsers of these formats can be kept busy for hours, or be made to fill the memory, by a few kilobytes: here that ends
this process and nothing else. It knows no database, no setting and no secret.
"""

import io
import json
import logging
import resource
import sys
from collections.abc import Iterator
from typing import Any, Final

MEMORY_BYTES_MAX: Final = 1 << 30
PAGES_MAX: Final = 500
CHARS_MAX: Final = 2_000_000
# What nobody reads on the page, and what runs.
DROPPED: Final = {
    *("script", "style", "noscript", "template", "iframe", "object", "embed", "applet", "svg", "math", "canvas"),
    *("audio", "video", "head", "button", "select", "option", "textarea", "input", "-comment"),
}
HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
BLOCKS: Final = {
    *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl", "dt"),
    *("fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "html", "legend", "li", "main", "nav"),
    *("ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul", *HEADINGS),
}
CELLS: Final = frozenset({"td", "th"})


class Refused(Exception):
    """It cannot be read; the only argument is the code."""


def main() -> None:
    """`html` or `pdf` as the first argument, seconds of computing as the second."""
    kind, seconds = sys.argv[1], int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    raw = sys.stdin.buffer.read()
    try:
        title, blocks = {"html": read_html, "pdf": read_pdf}[kind](raw)
    except Refused as refusal:
        answer: dict[str, Any] = {"code": str(refusal)}
    else:
        answer = {"title": title, "blocks": blocks}
    json.dump(answer, sys.stdout)


def read_html(raw: bytes) -> tuple[str, list[tuple[int, str]]]:
    """Title and blocks, each with the level of its heading or 0."""
    from selectolax.lexbor import LexborHTMLParser  # only the parser that is needed is loaded

    parser = LexborHTMLParser(raw.decode("utf-8-sig"))
    titled = parser.css_first("title")
    walk = _Walk()
    walk.over(parser.root)
    first = next((text for level, text in walk.blocks if level == 1), "")
    return (titled.text() if titled else "") or first, walk.blocks


class _Walk:
    """Paragraphs and headings in order. Without recursion: pages may nest as deep as they like."""

    def __init__(self) -> None:
        self.blocks: list[tuple[int, str]] = []
        self._parts: list[str] = []
        self._level = self._pre = self._total = 0

    def over(self, root: Any) -> None:
        node = root
        while node is not None:
            below = node.child if self._enter(node) else None
            while below is None and node is not None:
                self._leave(node)
                if node.mem_id == root.mem_id:
                    return
                below = node.next
                node = node.parent
            node = below

    def _enter(self, node: Any) -> bool:
        """Whether what is in it is read."""
        tag = node.tag
        if tag == "-text":
            self._say(node.text_content or "")
            return False
        if tag in BLOCKS:
            self._end_block()
        if tag in DROPPED or _is_hidden(node):
            return False
        self._level = HEADINGS.get(tag, self._level)
        self._pre += tag == "pre"
        if tag in {"br", "li"}:
            self._parts.append("\n" if tag == "br" else "- ")
        return True

    def _leave(self, node: Any) -> None:
        tag = node.tag
        if tag in BLOCKS:
            self._end_block()
        if tag in HEADINGS:
            self._level = 0
        if tag in CELLS:
            self._parts.append(" | ")
        if tag == "pre" and self._pre:
            self._pre -= 1

    def _say(self, text: str) -> None:
        self._total += len(text)
        if self._total > CHARS_MAX:
            raise Refused("DOCUMENT_TOO_LONG")
        self._parts.append(text)

    def _end_block(self) -> None:
        if self._pre:
            text = "".join(self._parts).strip("\n")
        else:
            text = "\n".join(" ".join(line.split()) for line in _lines(self._parts)).strip(" |\n")
        if text:
            self.blocks.append((self._level, text))
        self._parts = []


def _is_hidden(node: Any) -> bool:
    """Whether the page itself says that people do not see it: then neither does whoever asks here."""
    if not node.is_element_node:
        return False
    attributes = node.attributes
    style = (attributes.get("style") or "").replace(" ", "").lower()
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or any(one in style for one in ("display:none", "visibility:hidden", "font-size:0"))
    )


def _lines(parts: list[str]) -> Iterator[str]:
    """Lines as `br` breaks them: a line feed within a text is a blank."""
    line: list[str] = []
    for part in parts:
        if part == "\n":
            yield "".join(line)
            line = []
        else:
            line.append(part)
    yield "".join(line)


def read_pdf(raw: bytes) -> tuple[str, list[tuple[int, str]]]:
    """Title and, for each page, its number as a heading and its text."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.disable(logging.CRITICAL)
    if b"%PDF-" not in raw[:1024]:
        raise Refused("PDF_UNREADABLE")
    try:
        reader = PdfReader(io.BytesIO(raw), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Refused("PDF_ENCRYPTED")
        if len(reader.pages) > PAGES_MAX:
            raise Refused("PDF_TOO_MANY_PAGES")
        title = str((reader.metadata.title if reader.metadata else "") or "")
        blocks: list[tuple[int, str]] = []
        total = 0
        for number, page in enumerate(reader.pages, start=1):
            text = page.extract_text().replace("\x00", "")
            total += len(text)
            if total > CHARS_MAX:
                raise Refused("DOCUMENT_TOO_LONG")
            if text.strip():
                blocks += [(1, f"Page {number}"), (0, text)]
    except MemoryError:
        raise Refused("DOCUMENT_TOO_COSTLY") from None
    except (PyPdfError, ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError):
        # What is no PDF makes a parser fail in any way there is.
        raise Refused("PDF_UNREADABLE") from None
    return title, blocks


if __name__ == "__main__":
    main()
