"""Fifty approvals at 60 % of a limit each, at the same moment: one of them gets it, and nothing but the budget is there
to hold it. The naive way, which adds up what is reserved and then its own, is kept to show that the test sees it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections
from django.utils import timezone

from apps.policies.errors import BudgetExhausted
from apps.policies.models import Budget, Reservation, ReservedAmount
from apps.policies.rules import evaluate
from apps.policies.rules.budgets import claims_of
from apps.policies.selectors import active_version
from apps.policies.services import budgets, versions
from apps.policies.types import Ask, Evaluation, VersionRules
from tests.factories.accounts import DeskFactory, UserFactory
from tests.policies.cases import APPROVALS, COLLAR, NOTIONAL, ask, facts, rule
from tests.policies.rows import a_connection, activated
from tests.races.conftest import MEETING_S, together

RACERS = 50
LIMIT = 1000
E8 = 10**8
RULES = (NOTIONAL, APPROVALS, COLLAR, rule("day", "daily_notional", max_notional=str(LIMIT)))
Taking = Callable[[str], object]


class Racing:
    """One ask of 600 under a limit of 1000 a day, judged and allowed before the race begins."""

    def __init__(self) -> None:
        self.now: datetime = timezone.now()
        desk = DeskFactory()
        risk, approver = UserFactory(role="risk", desk=desk), UserFactory(role="approver", desk=desk)
        paper = a_connection(desk, self.now, slug=f"paper-{desk.slug}")
        made = versions.create_set(slug=f"set-{desk.slug}", name="Set", desk_id=desk.pk, author=risk, now=self.now)
        activated(made, RULES, risk, approver, self.now)
        found = active_version(paper.pk)
        assert found is not None
        self.version: VersionRules = found
        self.ask: Ask = ask(connection=str(paper.pk), quantity="6")
        known = facts(self.ask, found, {"DAY_NOTIONAL": {"notional": "0"}})
        self.evaluation: Evaluation = evaluate(found, self.ask, known, max(fact.as_of for fact in known.values()))
        assert not self.evaluation.codes

    def take(self, source: str) -> Reservation:
        return budgets.reserve(
            source=source, version=self.version, ask=self.ask, evaluation=self.evaluation, now=self.now
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
