"""A book from a snapshot and what changed after it."""

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from apps.connectors.stream_types import Book, BookLevel
from apps.connectors.types import Side
from apps.quotes.rules.books import LocalBook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def told(*levels: tuple[Side, str, str], snapshot: bool = False) -> Book:
    rows = tuple(BookLevel(side, Decimal(price), Decimal(quantity)) for side, price, quantity in levels)
    return Book("BTC-USD", rows, snapshot, NOW, NOW)


def best(book: LocalBook) -> tuple[str, ...] | None:
    quote = book.best()
    return None if quote is None else tuple(map(str, (quote.bid, quote.bid_quantity, quote.ask, quote.ask_quantity)))


def test_levels_change_go_and_come() -> None:
    book = LocalBook("BTC-USD")
    book.hear(told((Side.BUY, "9", "1"), (Side.BUY, "8", "4"), (Side.SELL, "11", "2"), snapshot=True))
    assert best(book) == ("9", "1", "11", "2")
    book.hear(told((Side.BUY, "9.00", "0.000"), (Side.SELL, "10", "3")))
    assert best(book) == ("8", "4", "10", "3")


def test_changes_without_a_snapshot_tell_nothing() -> None:
    book = LocalBook("BTC-USD")
    book.hear(told((Side.BUY, "9", "1"), (Side.SELL, "11", "2")))
    assert best(book) is None
    book.hear(told((Side.BUY, "9", "1"), (Side.SELL, "11", "2"), snapshot=True))
    book.forget()
    book.hear(told((Side.BUY, "10", "1")))
    assert best(book) is None


def test_sides_that_contradict_each_other_are_no_price() -> None:
    book = LocalBook("BTC-USD")
    book.hear(told((Side.BUY, "11", "1"), (Side.SELL, "11", "2"), snapshot=True))
    assert best(book) is None


levels = st.dictionaries(st.integers(1, 9), st.integers(0, 3), max_size=6)


@given(start=levels, changes=st.lists(levels, max_size=5))
def test_changes_in_order_make_the_last_book(start: dict[int, int], changes: list[dict[int, int]]) -> None:
    book, expected = LocalBook("BTC-USD"), dict(start)
    asks = (Side.SELL, "100", "1")
    book.hear(told(*((Side.BUY, str(price), str(size)) for price, size in start.items()), asks, snapshot=True))
    for change in changes:
        book.hear(told(*((Side.BUY, str(price), str(size)) for price, size in change.items())))
        expected |= change
    left = {price: size for price, size in expected.items() if size}
    found = book.best()
    assert (found and (found.bid, found.bid_quantity)) == ((max(left), left[max(left)]) if left else None)
