"""REDUCING only reduces: whatever is held and whatever else is under way, in whatever order it fills."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from apps.common.decimals import decimal_text
from apps.connectors.types import Side
from apps.policies.rules import evaluate
from apps.policies.types import Ask
from apps.trades.rules.reservations import OpenOrder, working
from apps.trades.types import Reservation
from tests.policies.cases import APPROVALS, NOW, ask, facts, rule, version

POLICY = version(rule("notional", "max_order_notional", max_notional="1000000"), APPROVALS)
STEP = Decimal("0.0001")
QUANTITY = st.integers(1, 120_000).map(lambda count: count * STEP)
HELD = st.one_of(st.just(Decimal(0)), st.integers(-100_000, 100_000).map(lambda count: count * STEP))


@dataclass(frozen=True)
class Book:
    """What is held of the instrument, and every order of ours that may still execute."""

    held: Decimal
    orders: tuple[OpenOrder, ...]

    def with_order(self, of: Ask) -> "Book":
        return replace(self, orders=(*self.orders, _order(Side(of.side), of.quantity or Decimal(0), Decimal(0))))

    @property
    def lowest(self) -> Decimal:
        """The position if every sell fills and no buy does."""
        return self.held - working(self.orders, "BTC-USD")[1]

    @property
    def highest(self) -> Decimal:
        """The position if every buy fills and no sell does."""
        return self.held + working(self.orders, "BTC-USD")[0]

    @property
    def worst(self) -> Decimal:
        return max(abs(self.lowest), abs(self.highest))


def _order(side: Side, quantity: Decimal, filled: Decimal) -> OpenOrder:
    return OpenOrder(
        instrument="BTC-USD",
        side=side,
        quantity=quantity,
        filled_quantity=filled,
        worst_price=Decimal(100),
        reserved=Reservation(currency="USD", amount=quantity * 100),
        seen_by_venue=False,
    )


@st.composite
def open_orders(draw: st.DrawFn) -> OpenOrder:
    quantity = draw(QUANTITY)
    return _order(draw(st.sampled_from(Side)), quantity, draw(st.integers(0, int(quantity / STEP))) * STEP)


BOOKS = st.builds(Book, HELD, st.lists(open_orders(), max_size=4).map(tuple))
ASKS = st.builds(lambda side, size: ask(side=side, quantity=size), st.sampled_from(["BUY", "SELL"]), QUANTITY)
Gate = Callable[[Book, Ask], bool]


def aika(book: Book, wanted: Ask) -> bool:
    """Whether Aika lets the ask pass while only reducing is allowed."""
    buying, selling = working(book.orders, "BTC-USD")
    position = {
        "quantity": decimal_text(book.held),
        "working_buy": decimal_text(buying),
        "working_sell": decimal_text(selling),
    }
    any_size = {"min_notional": "0", "max_notional": "10000000", "max_quantity": "10000000"}
    changes = {"TRADING_STATE": {"state": "REDUCING"}, "POSITION": position, "INSTRUMENT": any_size}
    found = evaluate(POLICY, wanted, facts(wanted, POLICY, changes), NOW)
    assert set(found.codes) <= {"ONLY_REDUCING"}
    return not found.codes


def by_side_alone(book: Book, wanted: Ask) -> bool:
    """As open engines do it: no buy while long, no sell while short, everything else passes."""
    return not ((book.held > 0 and wanted.side == "BUY") or (book.held < 0 and wanted.side == "SELL"))


def without_what_is_under_way(book: Book, wanted: Ask) -> bool:
    """The size is held against what is held now; other orders under way are forgotten."""
    reducible = book.held if wanted.side == "SELL" else -book.held
    return (wanted.quantity or Decimal(0)) <= reducible


def breaks(gate: Gate, book: Book, asks: list[Ask]) -> str:
    """What goes wrong if every ask the gate lets pass is approved, one after the other; nothing where nothing does."""
    for wanted in asks:
        if not gate(book, wanted):
            continue
        after = book.with_order(wanted)
        if after.worst > book.worst:
            return "raises the worst case"
        if wanted.side == "SELL" and after.lowest < 0:
            return "turns a long or flat position short"
        if wanted.side == "BUY" and after.highest > 0:
            return "turns a short or flat position long"
        book = after
    return ""


@given(BOOKS, st.lists(ASKS, min_size=1, max_size=5))
def test_no_order_raises_the_worst_case_or_changes_its_sign(book: Book, asks: list[Ask]) -> None:
    assert breaks(aika, book, asks) == ""


@given(HELD.filter(lambda held: held != 0), st.integers(1, 100_000))
def test_what_only_reduces_passes(held: Decimal, size: int) -> None:
    """A gate that always says no is useless: everything up to the whole position may go."""
    side, book = ("SELL" if held > 0 else "BUY"), Book(held, ())
    quantity = min(size * STEP, abs(held))
    assert aika(book, ask(side=side, quantity=quantity))
    assert not aika(book, ask(side=side, quantity=abs(held) + STEP))


def test_a_flat_account_opens_nothing() -> None:
    flat = Book(Decimal(0), ())
    for side in ("BUY", "SELL"):
        assert not aika(flat, ask(side=side, quantity=STEP))
        assert breaks(by_side_alone, flat, [ask(side=side, quantity=STEP)])


def test_a_sell_that_is_too_large_does_not_turn_the_position() -> None:
    long, oversize = Book(Decimal(1), ()), [ask(side="SELL", quantity="1.0001")]
    assert not aika(long, oversize[0])
    assert breaks(by_side_alone, long, oversize)


def test_two_sells_at_once_do_not_either() -> None:
    long, twice = Book(Decimal(1), ()), [ask(side="SELL", quantity="0.6")] * 2
    assert breaks(aika, long, twice) == ""
    assert not breaks(without_what_is_under_way, long, twice[:1])
    assert breaks(without_what_is_under_way, long, twice)
