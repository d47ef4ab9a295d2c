"""A ledger of the day's own: what each order was to bind is worked out from its terms and the market of its approval,
what it binds now from the books, and the sums are held against what the budgets say.

Nothing of it is read from where the application adds up: both would have to be wrong in the same way.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any
from uuid import UUID

from hypothesis.stateful import invariant

from apps.audit.models import Event
from apps.common import fault_places as places
from apps.connectors.types import Side
from apps.policies.models import Budget
from apps.quotes.services import quotes
from apps.trades.models import Fill, Order
from apps.trades.rules.terms import read_terms
from apps.trades.types import OrderState
from tests.scenarios.promises import DAY_LIMIT
from tests.scenarios.tampered import Tampered

MINOR = Decimal(10) ** 8
UP = Context(prec=60, rounding=ROUND_CEILING)
# An order in another state has ended. What nobody knows has not.
ENDED = {OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED, OrderState.ABANDONED}
ENDINGS = ("reservation.consumed", "reservation.released")
Key = tuple[str, str]


def minor(amount: Decimal) -> int:
    """In 1e-8, rounded up."""
    return int((amount * MINOR).to_integral_value(context=UP))


@dataclass(frozen=True)
class Entry:
    """What one order was to bind. `worth` at the worst price its terms and the market allowed, in the quote currency,
    which is the reporting one here."""

    day: str
    side: Side
    quantity: Decimal
    worth: Decimal

    def binds(self) -> dict[Key, int]:
        """By dimension and window, all of it: a day counts both sides, what is held counts what is bought."""
        worth, units = minor(self.worth), minor(self.quantity)
        holds = {"GROSS_EXPOSURE": worth, "POSITION": worth, "POSITION_QUANTITY": units}
        levels = {(name, ""): amount for name, amount in holds.items()} if self.side is Side.BUY else {}
        return {("DAILY_NOTIONAL", self.day): worth, **levels}

    def still(self, amount: int, filled: Decimal) -> int:
        """The part of an amount for what may still execute, rounded up."""
        left = max(self.quantity - filled, Decimal(0))
        return int(UP.divide(Decimal(amount) * left, self.quantity).to_integral_value(context=UP))


class Ledgers(Tampered):
    """Writes down what is approved, as it is approved."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger: dict[UUID, Entry] = {}
        self.seen_event = 0
        self.held: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    def at_a_place(self, label: str) -> None:
        super().at_a_place(label)
        if label == places.VOTE.after:
            new = Order.objects.select_related("proposal").exclude(pk__in=self.ledger)
            for order in new:
                self.ledger[order.pk] = self.entry_of(order)

    def entry_of(self, order: Order) -> Entry:
        terms = read_terms(bytes(order.proposal.terms))
        quote = quotes.latest(order.connection_id, terms.instrument)
        assert quote is not None and terms.limit_price is not None and terms.quantity is not None
        worst = terms.limit_price if terms.side is Side.BUY else max(terms.limit_price, quote.bid)
        return Entry(order.created_at.date().isoformat(), terms.side, terms.quantity, terms.quantity * worst)

    @invariant()
    def the_budgets_say_what_the_ledger_says(self) -> None:
        """4, 5: what is reserved is what orders that may still execute can still cost, UNKNOWN ones whole, and what is
        used of a day is what was executed of what was approved on it; and no day is above its limit."""
        reserved, used = self.sums(Fill.objects.filter(connection=self.paper.connection))
        budgets = Budget.objects.filter(connection=self.paper.connection)
        seen: set[Key] = set()
        for row in budgets.filter(instrument__in=["", "BTC-USD"]):
            key = (row.dimension, row.window)
            seen.add(key)
            assert row.reserved_minor == reserved[key], (str(row), row.reserved_minor, reserved[key])
            if row.window:
                assert row.used_minor == used[key], (str(row), row.used_minor, used[key])
                assert reserved[key] + used[key] <= minor(DAY_LIMIT), str(row)
        assert {key for key, amount in (reserved + used).items() if amount} <= seen, "a budget is missing"

    def sums(self, fills: Iterable[Fill]) -> tuple[Counter[Key], Counter[Key]]:
        """What is reserved and, of days, used by now."""
        done: dict[Any, Decimal] = {}
        worth: dict[Any, Decimal] = {}
        for fill in fills:
            done[fill.order_id] = done.get(fill.order_id, Decimal(0)) + fill.quantity
            worth[fill.order_id] = worth.get(fill.order_id, Decimal(0)) + fill.quantity * fill.price
        states = dict(Order.objects.filter(pk__in=self.ledger).values_list("pk", "state"))
        reserved: Counter[Key] = Counter()
        used: Counter[Key] = Counter()
        for pk, entry in self.ledger.items():
            used["DAILY_NOTIONAL", entry.day] += minor(max(worth.get(pk, Decimal(0)), Decimal(0)))
            if states[pk] not in ENDED:
                for key, amount in entry.binds().items():
                    reserved[key] += entry.still(amount, done.get(pk, Decimal(0)))
        return reserved, used

    @invariant()
    def a_reservation_begins_and_ends_once(self) -> None:
        """5: each with its order, by the record."""
        new = Event.objects.filter(pk__gt=self.seen_event, kind__startswith="reservation.").order_by("pk")
        for pk, kind, subject in new.values_list("pk", "kind", "subject"):
            self.seen_event = pk
            if kind == "reservation.held":
                self.held[subject] += 1
            elif kind in ENDINGS:
                self.ended[subject] += 1
        states = dict(Order.objects.filter(pk__in=self.ledger).values_list("pk", "state"))
        for pk, state in states.items():
            times = (self.held[f"reservation:{pk}"], self.ended[f"reservation:{pk}"])
            assert times == (1, int(state in ENDED)), (state, times)
