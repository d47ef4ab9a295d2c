"""Random trading beside a ledger kept by hand: after each step the budgets are what the ledger says, to the last 1e-8.

The ledger knows nothing of rows: it keeps every order and every fill that ever was, and adds all of it up again. It
also says beforehand whether an order has room, so that the budgets refuse exactly what they must.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any, ClassVar

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from apps.policies.errors import BudgetExhausted
from apps.policies.models import Budget, Reservation
from apps.policies.selectors import active_version
from apps.policies.services import budgets
from apps.policies.services.budgets import Holding, Progress
from tests.factories.accounts import DeskFactory, UserFactory
from tests.policies.books import Books
from tests.policies.cases import APPROVALS, COLLAR, NOTIONAL, ask
from tests.policies.cases import rule as policy_rule

pytestmark = pytest.mark.django_db

E8 = 10**8
NOW = datetime.fromisoformat("2026-03-02T14:46:00+00:00")
INSTRUMENTS = ("BTC-USD", "ETH-USD")
PICK = st.integers(0, 30)
LIMITS = st.one_of(st.none(), st.integers(100, 3000))


@dataclass
class Asked:
    """An order as the ledger keeps it."""

    instrument: str
    buys: bool
    quantity: Fraction
    price: Fraction
    day: str
    fills: list[tuple[int, Fraction, Fraction]] = field(default_factory=list)
    ended: str = ""
    unknown: bool = False

    @property
    def worth(self) -> Fraction:
        return self.quantity * self.price

    @property
    def done(self) -> Fraction:
        return sum((quantity for _, quantity, _ in self.fills), Fraction(0))

    @property
    def traded(self) -> Fraction:
        return sum((quantity * price for _, quantity, price in self.fills), Fraction(0))

    def held(self, amount: Fraction) -> int:
        whole = ceil(amount * E8)
        left = max(self.quantity - self.done, Fraction(0))
        return 0 if self.ended else ceil(whole * min(left / self.quantity, Fraction(1)))


class Ledger(RuleBasedStateMachine):
    """Orders of two instruments under four limits that come and go."""

    reached: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.point = transaction.savepoint()
        desk = DeskFactory()
        people = UserFactory(role="risk", desk=desk), UserFactory(role="approver", desk=desk)
        self.books = Books(desk, *people, NOW)
        self.orders: dict[str, Asked] = {}
        self.limits: dict[str, int | None] = {}
        self.clock = 0

    def teardown(self) -> None:
        transaction.savepoint_rollback(self.point)

    @initialize(day=LIMITS, gross=LIMITS, position=LIMITS, units=LIMITS)
    def begin(self, day: int | None, gross: int | None, position: int | None, units: int | None) -> None:
        self.set_limits(day, gross, position, units)

    @rule(day=LIMITS, gross=LIMITS, position=LIMITS, units=LIMITS)
    def set_limits(self, day: int | None, gross: int | None, position: int | None, units: int | None) -> None:
        """Another policy: wider, tighter, below what is in use, or silent about some of it."""
        self.limits = {"DAILY_NOTIONAL": day, "GROSS_EXPOSURE": gross, "POSITION": position, "POSITION_QUANTITY": units}
        kinds = {
            "DAILY_NOTIONAL": ("daily_notional", "max_notional"),
            "GROSS_EXPOSURE": ("max_gross_exposure", "max_notional"),
            "POSITION": ("max_position", "max_notional"),
            "POSITION_QUANTITY": ("max_position", "max_quantity"),
        }
        rules = [
            policy_rule(name.lower(), kinds[name][0], **{kinds[name][1]: str(limit)})
            for name, limit in self.limits.items()
            if limit is not None
        ]
        self.books.set_rules((NOTIONAL, APPROVALS, COLLAR, *rules))

    @rule(
        instrument=st.sampled_from(INSTRUMENTS),
        buys=st.booleans(),
        quantity=st.integers(1, 30 * 10**4),
        cents=st.integers(5_000, 15_000),
    )
    def reserve(self, instrument: str, buys: bool, quantity: int, cents: int) -> None:
        """One order, of up to 30 units at 50 to 150. It is taken exactly where the ledger has room for it."""
        order = Asked(instrument, buys, Fraction(quantity, 10**4), Fraction(cents, 100), self.day)
        taken = self.in_use(instrument)
        wanted = {name: ceil(amount * E8) for name, amount in self.amounts(order).items()}
        room = all(
            not wanted[name] or limit is None or taken[name] + wanted[name] <= limit * E8
            for name, limit in self.limits.items()
        )
        source = f"order-{len(self.orders)}-{self.clock}-{quantity}"
        version = active_version(self.books.connection.pk)
        assert version is not None
        asked = ask(
            connection=str(self.books.connection.pk),
            instrument=instrument,
            base_currency=instrument[:3],
            side="BUY" if buys else "SELL",
        )
        evaluation = replace(
            self.books.judged(asked), quantity=_decimal(order.quantity), notional=_decimal(order.worth), rate=Decimal(1)
        )
        try:
            budgets.reserve(source=source, version=version, ask=asked, evaluation=evaluation, now=self.books.now)
        except BudgetExhausted:
            assert not room
            self.reached.add("refused")
        else:
            assert room
            self.orders[source] = order

    @rule(pick=PICK, part=st.integers(1, 4), better=st.integers(-3, 20))
    def fill(self, pick: int, part: int, better: int) -> None:
        """A part of what is left executes, mostly at a better price than the worst, now and then at a worse one."""
        source, order = self.one(pick, alive=True)
        if order is None:
            return
        self.clock += 1
        quantity = max(Fraction(int((order.quantity - order.done) * part / 4 * 10**8), 10**8), Fraction(0))
        if quantity:
            order.fills.append((self.clock, quantity, order.price - Fraction(better, 100)))
            self.settle(source, order)

    @rule(pick=PICK)
    def take_a_fill_back(self, pick: int) -> None:
        """Also after the order has ended."""
        source, order = self.one(pick, alive=False)
        if order is not None and order.fills:
            order.fills.pop(pick % len(order.fills))
            self.settle(source, order)
            self.reached.add("taken back")

    @rule(pick=PICK, how=st.sampled_from(["FILLED", "CANCELED", "EXPIRED", "REJECTED", "ABANDONED"]))
    def end(self, pick: int, how: str) -> None:
        source, order = self.one(pick, alive=True)
        if order is not None and not (order.unknown and how != "ABANDONED"):
            order.ended = how
            self.settle(source, order)
            self.reached.add("consumed" if order.done else "released")

    @rule(pick=PICK)
    def lose_sight_of(self, pick: int) -> None:
        source, order = self.one(pick, alive=True)
        if order is not None and not order.fills:
            order.unknown = True
            self.settle(source, order)
            self.reached.add("unknown")

    @rule(pick=PICK)
    def settle_again(self, pick: int) -> None:
        source, order = self.one(pick, alive=False)
        if order is not None:
            self.settle(source, order)

    @rule(days=st.sampled_from([1, 365]))
    def time_passes(self, days: int) -> None:
        self.books.now += timedelta(days=days)
        for source, order in self.orders.items():
            if order.unknown and not order.ended:
                self.settle(source, order)

    @invariant()
    def every_budget_is_what_the_ledger_says(self) -> None:
        for row in Budget.objects.filter(connection=self.books.connection):
            orders = [order for order in self.orders.values() if row.instrument in ("", order.instrument)]
            if row.window:
                orders = [order for order in orders if order.day == row.window]
            assert row.reserved_minor == sum(order.held(self.amounts(order)[row.dimension]) for order in orders)
            assert row.used_minor == self.used(row.dimension, row.instrument, row.window)
            if row.limit_minor is not None:
                assert row.effective_limit_minor == max(row.limit_minor, row.in_use_minor)

    @invariant()
    def each_reservation_ends_once_and_with_its_order(self) -> None:
        rows = {row.source: row for row in Reservation.objects.filter(connection=self.books.connection)}
        assert set(rows) == set(self.orders)
        for source, order in self.orders.items():
            assert (rows[source].state == "HELD") == (not order.ended)

    @invariant()
    def the_check_agrees(self) -> None:
        assert not self.books.broken(
            {source: self.progress(order) for source, order in self.orders.items()},
            {instrument: self.holding(instrument) for instrument in INSTRUMENTS},
        )

    @property
    def day(self) -> str:
        return self.books.now.date().isoformat()

    def one(self, pick: int, *, alive: bool) -> tuple[str, Asked | None]:
        found = [(source, order) for source, order in self.orders.items() if not (alive and order.ended)]
        return found[pick % len(found)] if found else ("", None)

    def amounts(self, order: Asked) -> dict[str, Fraction]:
        worth, units = (order.worth, order.quantity) if order.buys else (Fraction(0), Fraction(0))
        return {
            "DAILY_NOTIONAL": order.worth,
            "GROSS_EXPOSURE": worth,
            "POSITION": worth,
            "POSITION_QUANTITY": units,
        }

    def lot(self, instrument: str) -> tuple[Fraction, Fraction]:
        """Units held and what they cost, all fills added up in the order they came."""
        fills = sorted(
            (at, order.buys, quantity, price)
            for order in self.orders.values()
            if order.instrument == instrument
            for at, quantity, price in order.fills
        )
        units, cost = Fraction(0), Fraction(0)
        for _, buys, quantity, price in fills:
            if buys:
                units, cost = units + quantity, cost + quantity * price
            else:
                left = max(units - quantity, Fraction(0))
                cost = cost * left / units if units else Fraction(0)
                units = left
        return units, cost

    def used(self, dimension: str, instrument: str, window: str) -> int:
        if dimension == "DAILY_NOTIONAL":
            return sum(ceil(order.traded * E8) for order in self.orders.values() if order.day == window)
        if dimension == "GROSS_EXPOSURE":
            return sum(self.used("POSITION", each, "") for each in INSTRUMENTS)
        holding = self.holding(instrument)
        return ceil(Fraction(holding.quantity if dimension == "POSITION_QUANTITY" else holding.cost) * E8)

    def in_use(self, instrument: str) -> dict[str, int]:
        found = {}
        for name in self.limits:
            own = instrument if name in ("POSITION", "POSITION_QUANTITY") else ""
            window = self.day if name == "DAILY_NOTIONAL" else ""
            orders = [
                order for order in self.orders.values() if own in ("", order.instrument) and window in ("", order.day)
            ]
            held = sum(order.held(self.amounts(order)[name]) for order in orders)
            found[name] = held + self.used(name, own, window)
        return found

    def holding(self, instrument: str) -> Holding:
        """What the books would say: 18 places, as they keep."""
        units, cost = self.lot(instrument)
        return Holding(quantity=_decimal(units), cost=_decimal(Fraction(ceil(cost * 10**18), 10**18)))

    def progress(self, order: Asked) -> Progress:
        return Progress(
            remaining=_decimal(max(order.quantity - order.done, Fraction(0))),
            whole=_decimal(order.quantity),
            traded=_decimal(order.traded),
            holding=self.holding(order.instrument),
            reason=order.ended,
        )

    def settle(self, source: str, order: Asked) -> None:
        budgets.settle(source=source, progress=self.progress(order), now=self.books.now)


def _decimal(value: Fraction) -> Decimal:
    """Exact: every number here has a power of ten below the line."""
    return Decimal(value.numerator) / Decimal(value.denominator)


def assert_it_adds_up(*, examples: int, steps: int) -> set[str]:
    """In so many runs of so many steps. Returns what happened in them."""

    class Run(Ledger):
        pass

    Run.reached = set()
    limits: Any = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Run, settings=limits)
    return Run.reached


def test_a_few_runs() -> None:
    assert_it_adds_up(examples=6, steps=15)


@pytest.mark.slow
def test_many_runs() -> None:
    """Until everything has been seen."""
    reached = assert_it_adds_up(examples=60, steps=40)
    assert reached >= {"refused", "taken back", "consumed", "released", "unknown"}
