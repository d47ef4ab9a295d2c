"""Latches latch: over random days of prices, deposits, withdrawals, midnights and restarts, and whoever tries alone."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts.models import Desk, SecondPersonRequest, User
from apps.accounts.services import second_person
from apps.common.errors import AikaError
from apps.connectors.models import BalanceRecord, Connection
from apps.connectors.types import Quote
from apps.policies.models import Latch
from apps.policies.rules import compiled
from apps.policies.selectors import trading_state
from apps.policies.services import latches as policy_latches
from apps.policies.services import trading_state as states
from apps.policies.services import versions
from apps.quotes.services import quotes
from apps.trades.rules.equity import Measure, measured
from apps.trades.services import latches, self_checks
from tests.factories.tampering import undone
from tests.policies.cases import APPROVALS, NOTIONAL, rule
from tests.policies.rows import a_connection, activated
from tests.policies.test_halt import evidence

pytestmark = pytest.mark.django_db
# Each example is a dozen self-checks on a database: a third of what the profile tries elsewhere.
EXAMPLES = settings(
    max_examples=settings().max_examples // 3,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

MAX_BPS = 1_000
PRICE = st.integers(500, 2_000).map(Decimal)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("price"), PRICE),
        st.tuples(st.just("flow"), st.integers(-90, 900).map(lambda percent: Decimal(percent) / 100)),
        st.tuples(st.just("midnight"), st.just(Decimal(0))),
        st.tuples(st.just("restart"), st.just(Decimal(0))),
        st.tuples(st.just("alone"), st.just(Decimal(0))),
    ),
    min_size=1,
    max_size=12,
)


class Day:
    """One connection that holds bitcoin and nothing else, and what the world does to it."""

    def __init__(self, connection: Connection, people: tuple[User, User]) -> None:
        self.connection, self.people = connection, people
        self.now, self.price, self.held = timezone.now(), Decimal(1000), Decimal(10)
        self.peak = self.price
        self.fell = False
        self.look()

    def look(self) -> None:
        """Balances and price as they are now, and the self-check."""
        self.now += timedelta(seconds=10)
        BalanceRecord.objects.update_or_create(
            connection=self.connection, currency="BTC", defaults={"available": self.held, "held": 0, "as_of": self.now}
        )
        Connection.objects.filter(pk=self.connection.pk).update(balances_as_of=self.now)
        quotes.keep(self.connection.pk, [_quote(self.price, self.now)])
        self.peak = max(self.peak, self.price)
        self.fell = self.fell or (self.peak - self.price) * 10_000 > MAX_BPS * self.peak
        fresh = Connection.objects.select_related("desk").get(pk=self.connection.pk)
        self_checks.check(fresh, now=self.now)

    def step(self, kind: str, value: Decimal) -> None:
        if kind == "price":
            self.price = value
        elif kind == "flow":
            self.held *= 1 + value
        elif kind == "midnight":
            self.now += timedelta(days=1)
        elif kind == "restart":
            cache.clear()
            compiled._cache.clear()
        else:
            self.try_alone()
        self.look()

    def try_alone(self) -> None:
        """One person, whatever they may, by every door there is; and a key has no door at all."""
        person = self.people[0]
        latch = Latch.objects.filter(reset_at=None).first()
        if latch is None:
            return
        asks: list[Any] = [
            lambda: policy_latches.request_reset(latch_id=latch.pk, requester=person, reason="Now.", now=self.now),
            lambda: policy_latches.second_reset(latch_id=latch.pk, seconder=person, now=self.now),
            lambda: latches.second_reset(latch_id=latch.pk, seconder=person, now=self.now),
            lambda: latches.reset(latch_id=latch.pk, person=person, now=self.now),
            lambda: states.resume(
                connection_id=self.connection.pk, person=person, evidence=evidence(self.now), now=self.now
            ),
            lambda: states.request_resume(
                connection_id=self.connection.pk,
                requester=person,
                reason="Now.",
                evidence=evidence(self.now),
                now=self.now,
            ),
        ]
        for ask in asks:
            try:
                ask()
            except AikaError:
                continue

    def holds(self) -> None:
        tripped = Latch.objects.filter(reset_at=None).exists()
        assert tripped == self.fell
        assert (trading_state(self.connection.pk) == "REDUCING") == tripped


def _quote(mid: Decimal, now: datetime) -> Quote:
    half = Decimal("0.01")
    return Quote("BTC-USD", mid - half, mid + half, Decimal(1), Decimal(1), now, now)


@pytest.fixture
def desk_of_one(desk: Desk, risk: User, approver: User, now: datetime) -> Iterator[Connection]:
    connection = a_connection(desk, now)
    made = versions.create_set(slug="main", name="Main", desk_id=desk.pk, author=risk, now=now)
    rules = (NOTIONAL, APPROVALS, rule("drawdown", "drawdown", max_drawdown_bps=str(MAX_BPS)))
    activated(made, rules, risk, approver, now)
    yield connection


@EXAMPLES
@given(steps=STEPS)
def test_it_trips_at_the_fall_and_stays_until_two_people_reset_it(
    desk_of_one: Connection, risk: User, approver: User, steps: list[tuple[str, Decimal]]
) -> None:
    cache.clear()
    with undone():
        day = Day(desk_of_one, (risk, approver))
        for kind, value in steps:
            day.step(kind, value)
            day.holds()
        latch = Latch.objects.filter(reset_at=None).first()
        if latch is None:
            return
        asked = second_person_request(latch, risk, day.now)
        second_person.second(request_id=asked, seconder=approver, now=day.now)
        latches.reset(latch_id=latch.pk, person=risk, now=day.now)
        day.peak, day.fell = day.price, False
        day.look()
        assert not Latch.objects.filter(reset_at=None).exists()


def second_person_request(latch: Latch, person: User, now: datetime) -> Any:
    """The request that stands, or a new one."""
    found = SecondPersonRequest.objects.filter(subject=f"latch:{latch.pk}", expires_at__gt=now).first()
    if found is not None:
        return found.pk
    return policy_latches.request_reset(latch_id=latch.pk, requester=person, reason="Understood.", now=now).pk


AMOUNT = st.integers(1, 10**6).map(lambda cents: Decimal(cents) / 100)


@given(st.lists(st.tuples(AMOUNT, AMOUNT, st.booleans()), min_size=1, max_size=12))
def test_the_mark_only_rises_while_nothing_comes_or_goes(moves: list[tuple[Decimal, Decimal, bool]]) -> None:
    """`before` is what was; without a change of totals, whatever prices do, the mark never falls."""
    held, measure = Decimal(10), None
    for price, _, quiet in moves:
        after = measured(measure, totals={"BTC": held}, prices={"BTC": price}, quiet=quiet)
        assert after is not None
        assert measure is None or after.peak >= measure.peak
        assert after.peak >= after.equity
        measure = after


@given(AMOUNT, AMOUNT, AMOUNT)
def test_a_deposit_or_withdrawal_leaves_the_fall_as_it_is(peak: Decimal, equity: Decimal, moved: Decimal) -> None:
    """The fall, as a part of the mark, is the same before and after, to within the rounding of the mark."""
    peak = max(peak, equity)
    before = Measure(totals={"USD": equity}, equity=equity, peak=peak)
    after = measured(before, totals={"USD": moved}, prices={"USD": Decimal(1)}, quiet=True)
    assert after is not None
    fall_before, fall_after = equity / peak, after.equity / after.peak
    assert abs(fall_before - fall_after) <= Decimal("0.000001")


def test_something_held_without_a_price_is_measured_as_nothing_at_all() -> None:
    assert measured(None, totals={"BTC": Decimal(1)}, prices={}, quiet=True) is None
