"""Tickers whose messages are not parsed when they come: of most, a newer one comes before anybody looks. Pure."""

import re
from datetime import datetime
from typing import Final

import orjson

from apps.connectors.stream_types import Ticker, Tickers
from apps.connectors.venues.coinbase import messages, wire

_END: Final = "}]}]}"
_shape = re.compile(
    r'(\{"channel": ?"ticker", ?"client_id": ?"[^"\\]*", ?"timestamp": ?")[^"\\]+(", ?"sequence_num": ?)\d{1,18}'
    r'(, ?"events": ?\[\{"type": ?"(?:update|snapshot)", ?"tickers": ?\[\{"type": ?"ticker", ?"product_id": ?")',
    re.ASCII,
).match


class Skim:
    """Finds, in each next message of a connection, the one ticker that it is, if it looks as the last such did.

    How a message is laid out around its time, number and instrument is learned from one that a pattern describes, and
    then compared letter by letter: that costs less than the pattern, and far less than parsing.
    """

    __slots__ = ("_head", "_head_size", "_middle", "_numbers", "_tail")

    def __init__(self, numbers: messages.Numbers) -> None:
        self._numbers = numbers
        # A layout that no message has.
        self._head = self._middle = self._tail = "\n"
        self._head_size = 1

    def ticker(self, text: str, received_at: datetime) -> Tickers | None:
        """The next message's one ticker. None where the message looks otherwise than tickers mostly do, or is not the
        next one: read it as any other then."""
        numbers = self._numbers
        last = numbers.last
        if last is None or "\\" in text or not text.endswith(_END):
            return None
        # Without a backslash a quotation mark always begins or ends a text.
        expected = f"{self._middle}{last + 1}{self._tail}"
        at = text.find('"', self._head_size)
        if not (text.startswith(expected, at) and text.startswith(self._head)):
            if not self._learns(text):
                return None
            expected = f"{self._middle}{last + 1}{self._tail}"
            at = text.find('"', self._head_size)
            if not text.startswith(expected, at):
                return None
        begin = at + len(expected)
        end = text.find('"', begin)
        # A second ticker would be another object.
        if end <= begin or text.find("{", end) >= 0:
            return None
        numbers.last = last + 1
        return Tickers({text[begin:end]: text}, _read, received_at)

    def _learns(self, text: str) -> bool:
        found = _shape(text)
        if found is None:
            return False
        self._head, self._middle, self._tail = found.groups()
        self._head_size = len(self._head)
        return True


def _read(text: object, of: Tickers) -> Ticker:
    """The ticker of `Skim`, which must be of the instrument that was seen in its text."""
    try:
        whole = orjson.loads(str(text))
        (event,) = whole["events"]
        (row,) = event["tickers"]
        if whole["channel"] == "ticker" and row["product_id"] in of.unread:
            return messages.ticker(row, wire.instant(whole, "timestamp"), of.received_at)
    except (LookupError, TypeError, ValueError) as error:
        if isinstance(error, wire.Malformed):
            raise
        raise wire.Malformed("the ticker cannot be read") from None
    raise wire.Malformed("the ticker is another than it seemed")
