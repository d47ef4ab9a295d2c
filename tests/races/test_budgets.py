"""Fifty approvals at 60 % of a limit each, at the same moment: one of them gets it, and nothing but the budget is there
to hold it. The naive way, which adds up what is reserved and then its own, is kept to show that the test sees it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Event
from time import sleep
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone

from apps.policies.errors import BudgetExhausted
from apps.policies.models import Budget, Reservation, ReservedAmount
from apps.policies.rules import evaluate
from apps.policies.rules.budgets import Claim, claims_of
from apps.policies.selectors import active_version
from apps.policies.services import budgets, versions
from apps.policies.types import Ask, Evaluation, VersionRules
from tests.factories.accounts import DeskFactory, UserFactory
from tests.policies.books import as_named
from tests.policies.cases import APPROVALS, COLLAR, NOTIONAL, ask, facts, rule
from tests.policies.rows import a_connection, activated
from tests.races.conftest import MEETING_S, meet_after, together

RACERS = 50
LIMIT = 1000
E8 = 10**8
RULES = (NOTIONAL, APPROVALS, COLLAR, rule("day", "daily_notional", max_notional=str(LIMIT)))
Taking = Callable[[str], object]


class Racing:
    """One ask of 600, unless told otherwise, under a limit of 1000 a day, judged and allowed before the race begins."""

    def __init__(self, quantity: str = "6") -> None:
        self.now: datetime = timezone.now()
        desk = DeskFactory()
        risk, approver = UserFactory(role="risk", desk=desk), UserFactory(role="approver", desk=desk)
        paper = a_connection(desk, self.now, slug=f"paper-{desk.slug}")
        made = versions.create_set(slug=f"set-{desk.slug}", name="Set", desk_id=desk.pk, author=risk, now=self.now)
        activated(made, RULES, risk, approver, self.now)
        found = active_version(paper.pk)
        assert found is not None
        self.version: VersionRules = found
        self.ask: Ask = ask(connection=str(paper.pk), quantity=quantity)
        known = facts(self.ask, found, {"DAY_NOTIONAL": {"notional": "0"}})
        self.evaluation: Evaluation = evaluate(found, self.ask, known, max(fact.as_of for fact in known.values()))
        assert not self.evaluation.codes

    def take(self, source: str, of: Ask | None = None) -> Reservation:
        return budgets.reserve(
            source=source, version=self.version, ask=of or self.ask, evaluation=self.evaluation, now=self.now
        )

    def held(self) -> int:
        """What open reservations hold of the day, added up one by one."""
        rows = ReservedAmount.objects.filter(budget__dimension="DAILY_NOTIONAL", reservation__state="HELD")
        return sum(rows.values_list("held_minor", flat=True))

    def race(self, taking: Taking, racers: int = RACERS) -> list[object]:
        return together([partial(taking, f"order-{number}") for number in range(racers)])

    def assert_one_got_it(self, results: list[object]) -> None:
        won = [result for result in results if isinstance(result, Reservation)]
        assert len(won) == 1
        refused = [result for result in results if not isinstance(result, Reservation)]
        assert {type(result) for result in refused} == {BudgetExhausted}, refused
        assert {result.code for result in refused} == {"DAILY_NOTIONAL"}  # type: ignore[attr-defined]
        row = Budget.objects.get(dimension="DAILY_NOTIONAL")
        assert row.reserved_minor == self.held() == 600 * E8
        assert Reservation.objects.count() == 1


def naive(racing: Racing, racers: int) -> Taking:
    """Sums what is held, compares, and then adds its own: right, if nobody else did the same in between."""
    meeting = Barrier(racers)

    def take(source: str) -> object:
        (claim, *_) = claims_of(
            racing.version, racing.ask, quantity=Decimal(6), notional=Decimal(600), day=racing.now.date().isoformat()
        )
        ((budget, _),) = budgets._rows(UUID(racing.ask.connection), [claim], racing.now)
        held = racing.held()
        with suppress(BrokenBarrierError):
            meeting.wait(MEETING_S)
        if held + claim.amount_minor > LIMIT * E8:
            raise BudgetExhausted("DAILY_NOTIONAL", "No room.")
        made = Reservation.objects.create(
            source=source, connection_id=racing.ask.connection, rate=1, state="HELD", held_at=racing.now
        )
        ReservedAmount.objects.create(
            reservation=made, budget=budget, amount_minor=claim.amount_minor, held_minor=claim.amount_minor
        )
        return made

    return take


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
class TestOnPostgres:
    def test_fifty_at_once(self) -> None:
        racing = Racing()
        racing.assert_one_got_it(racing.race(racing.take))

    def test_also_where_the_rows_exist_and_something_is_taken(self) -> None:
        racing = Racing()
        racing.take("before")
        results = racing.race(racing.take)
        assert {type(result) for result in results} == {BudgetExhausted}
        assert racing.held() == 600 * E8

    def test_the_mutant_overshoots(self) -> None:
        racing = Racing()
        racing.race(naive(racing, 8), 8)
        assert racing.held() > LIMIT * E8

    def test_compared_before_it_is_written_the_check_still_refuses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A slip in the statement itself: the database's CHECK is the second net."""
        racing = Racing()
        racing.take("before")

        def forgets(budget: Budget, claim: Any, now: datetime) -> None:
            budgets._rows_of(budget).update(reserved_minor=budget.reserved_minor + claim.amount_minor)

        monkeypatch.setattr(budgets, "_take", forgets)
        results = racing.race(racing.take, 4)
        assert {type(result).__name__ for result in results} == {"IntegrityError"}
        assert racing.held() == 600 * E8


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
class TestInOrder:
    """Budgets are taken in the order of their ids, so that two who need the same ones wait for each other in turn."""

    def test_two_approvals_that_name_their_budgets_in_opposite_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        racing = Racing(quantity="3")
        results = opposed(racing, monkeypatch)
        assert [type(result) for result in results] == [Reservation, Reservation]
        assert racing.held() == 900 * E8

    def test_the_mutant_that_takes_them_as_they_are_named_deadlocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        as_named(monkeypatch)
        racing = Racing(quantity="3")
        assert one_was_ended(opposed(racing, monkeypatch))
        assert racing.held() == 600 * E8

    def test_an_approval_and_the_end_of_another_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Their ids run against the order in which rules name them, as where a rule was added later."""
        racing = Racing(quantity="3")
        results = met(racing, monkeypatch)
        assert [type(result) for result in results] == [Reservation, bool]
        assert racing.held() == 300 * E8

    def test_the_mutant_deadlocks_with_the_end_of_an_order_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        as_named(monkeypatch)
        assert one_was_ended(met(Racing(quantity="3"), monkeypatch))


def opposed(racing: Racing, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Two take at once, of budgets that are there; the second names them from the last to the first. Both wait once
    they have taken one."""
    racing.take("before")
    other = replace(racing.ask)
    named = budgets.claims_of

    def claims(version: VersionRules, ask: Ask, **known: Any) -> tuple[Claim, ...]:
        found = named(version, ask, **known)
        return found[::-1] if ask is other else found

    monkeypatch.setattr(budgets, "claims_of", claims)
    meet_after(monkeypatch, budgets, "_take", 2)
    return together([partial(racing.take, "one"), partial(racing.take, "another", other)])


def met(racing: Racing, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One takes, and once it has the first of its budgets another order ends, until either waits for the other."""
    claims = claims_of(
        racing.version, racing.ask, quantity=Decimal(3), notional=Decimal(300), day=racing.now.date().isoformat()
    )
    budgets._rows(UUID(racing.ask.connection), claims[::-1], racing.now)
    racing.take("before")
    begun, take = Event(), budgets._take

    def slow(budget: Budget, claim: Claim, now: datetime) -> None:
        take(budget, claim, now)
        if not begun.is_set():
            begun.set()
            until_somebody_waits()

    def ends() -> bool:
        begun.wait(10)
        progress = budgets.Progress(
            remaining=Decimal(0), whole=Decimal(3), traded=Decimal(0), holding=None, reason="CANCELED"
        )
        return budgets.settle(source="before", progress=progress, now=racing.now)

    monkeypatch.setattr(budgets, "_take", slow)
    return together([partial(racing.take, "one"), ends])


def until_somebody_waits() -> None:
    """For a lock of this connection, which is sure to come."""
    for _ in range(200):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
            if cursor.fetchone() != (0,):
                return
        sleep(0.05)
    raise AssertionError("nobody waits")


def one_was_ended(results: list[object]) -> bool:
    """PostgreSQL ended one of the two, because each waited for the other; the other got what it asked for."""
    broken = [result for result in results if isinstance(result, OperationalError)]
    return len(broken) == 1 and "deadlock detected" in str(broken[0])


@pytest.fixture
def sqlite_file(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """The test's database as a file that threads open one by one, as the processes of an embedded Aika do."""
    if connection.vendor != "sqlite":
        pytest.skip("This is about SQLite's immediate transactions.")
    path = tmp_path / "race.sqlite3"
    connection.ensure_connection()
    with sqlite3.connect(path) as copy:
        connection.connection.backup(copy)
    copy.close()
    settings, own = connections.settings["default"], connection.settings_dict
    name = settings["NAME"]
    mine = connections["default"]
    del connections["default"]
    settings["NAME"] = str(path)
    try:
        yield
    finally:
        connections["default"].close()
        settings["NAME"] = name
        connections["default"] = mine
        assert own is mine.settings_dict


class TestOnSqlite:
    """Immediate transactions: whoever writes is alone from its first statement on."""

    def test_fifty_at_once(self, sqlite_file: None) -> None:
        racing = Racing()
        racing.assert_one_got_it(racing.race(racing.take))

    def test_the_mutant_overshoots(self, sqlite_file: None) -> None:
        racing = Racing()
        racing.race(naive(racing, 8), 8)
        assert racing.held() > LIMIT * E8
