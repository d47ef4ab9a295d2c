"""A process that reads one HTML or PDF from standard input and writes its blocks as JSON. Run as a file, never imported.

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
DROPPED: Final = frozenset(
    "script style noscript template iframe object embed applet svg math canvas audio video head form button select "
    "option textarea input -comment".split()
)
HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
BLOCKS: Final = frozenset(
    "address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure footer header "
    "hr html legend li main nav ol p pre section summary table tbody tfoot thead tr ul".split()
) | set(HEADINGS)
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
    blocks = list(_html_blocks(parser.root))
    first = next((text for level, text in blocks if level == 1), "")
    return (titled.text() if titled else "") or first, blocks


def _html_blocks(root: Any) -> Iterator[tuple[int, str]]:
    """Paragraphs and headings in order. Walks without recursion: pages may nest as deep as they like."""
    parts: list[str] = []
    level, pre = 0, 0
    node, total = root, 0
    while node is not None:
        tag = node.tag
        if _is_block(tag) and parts:
            yield level, _joined(parts, pre)
            parts = []
        is_dropped = tag in DROPPED or _is_hidden(node)
        if tag == "-text":
            total += len(node.text_content or "")
            if total > CHARS_MAX:
                raise Refused("DOCUMENT_TOO_LONG")
            parts.append(node.text_content or "")
        elif tag == "br":
            parts.append("\n")
        elif not is_dropped:
            level = HEADINGS.get(tag, level)
            pre += tag == "pre"
            if tag == "li":
                parts.append("- ")
        below = None if is_dropped else node.child
        while below is None and node is not None:
            tag = node.tag
            if _is_block(tag) and parts:
                yield level, _joined(parts, pre)
                parts = []
            if tag in HEADINGS:
                level = 0
            pre -= tag == "pre" and pre > 0
            if tag in CELLS:
                parts.append(" | ")
            if node.mem_id == root.mem_id:
                return
            below = node.next
            node = below if below is not None else node.parent
        else:
            node = below


def _is_block(tag: str) -> bool:
    return tag in BLOCKS


def _is_hidden(node: Any) -> bool:
    """Whether the page itself says that people do not see it: then neither does whoever asks here."""
    if not node.is_element_node:
        return False
    attributes = node.attributes
    style = (attributes.get("style") or "").replace(" ", "").lower()
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or any(one in style for one in ("display:none", "visibility:hidden", "font-size:0", "opacity:0;"))
    )


def _joined(parts: list[str], pre: int) -> str:
    text = "".join(parts)
    if not pre:
        text = "\n".join(" ".join(line.split()) for line in _lines(parts))
    return text.strip(" |\n") if not pre else text.strip("\n")


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
