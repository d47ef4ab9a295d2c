"""How a secret looks where it has leaked: as it is, in pieces, and in every encoding on the way."""

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

_PIECE_CHARS_MIN = 16
# A piece of base64 that two secrets might share by chance is no trace of either.
_ENCODED_BYTES_MIN = 10


class Canary:
    """One secret. `text` is what people and programs hold, `raw` the bytes that it stands for."""

    def __init__(self, name: str, text: str, *raw: bytes) -> None:
        self.name, self.text = name, text
        self._alone = re.compile(rb"(?<![0-9A-Za-z])" + text.encode() + rb"(?![0-9A-Za-z])") if text.isdigit() else None
        forms = {form for atom in (*_pieces(text), *raw) for form in encodings(atom)}
        # Eight digits stand in many a longer number.
        self.forms = frozenset(forms - {text.encode()} if self._alone else forms)

    def is_in(self, content: bytes) -> bool:
        """Whether it can be read there."""
        if self._alone and self._alone.search(content):
            return True
        return any(form in content for form in self.forms)


def _pieces(text: str) -> Iterator[bytes]:
    """The whole, and of what stands on several lines each long one and all of them joined."""
    yield text.encode()
    lines = [line.strip() for line in text.splitlines() if not line.startswith("-----")]
    if len(lines) > 1:
        yield "".join(lines).encode()
        yield from (line.encode() for line in lines if len(line) >= _PIECE_CHARS_MIN)


def encodings(atom: bytes) -> Iterator[bytes]:
    """These bytes as they may stand somewhere."""
    yield atom
    yield from (atom.hex().encode(), atom.hex().upper().encode())
    for encode in (b64encode, urlsafe_b64encode):
        yield from (form for form in _in_the_middle(atom, encode) if len(form) >= _ENCODED_BYTES_MIN)
    try:
        text = atom.decode()
    except UnicodeDecodeError:
        yield repr(atom)[2:-1].encode()
        return
    as_json = json.dumps(text)[1:-1]
    escaped = (as_json, json.dumps(as_json)[1:-1], repr(text)[1:-1], quote(text), quote_plus(text), html.escape(text))
    yield from (form.encode() for form in escaped)
    yield text.encode("utf-16-le")


def _in_the_middle(atom: bytes, encode: object) -> Iterator[bytes]:
    """Base64 of the bytes wherever they begin within a longer text: the characters that are theirs alone."""
    for before in range(3):
        encoded = encode(bytes(before) + atom)  # type: ignore[operator]  # one of the two of base64
        first = (before * 8 + 5) // 6
        yield encoded[first : (before + len(atom)) * 8 // 6]


def found(canaries: Iterable[Canary], places: dict[str, bytes]) -> set[tuple[str, str]]:
    """(secret, place) of each that can be read somewhere."""
    canaries = list(canaries)
    return {(one.name, place) for place, content in places.items() for one in canaries if one.is_in(content)}
