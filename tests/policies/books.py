"""A connection under a policy whose budgets are kept, without orders and without a venue."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from apps.accounts.models import Desk, User
from apps.policies.models import Budget, PolicySet, Reservation
from apps.policies.rules import evaluate
from apps.policies.rules.budgets import Claim, claims_of
from apps.policies.selectors import active_version
from apps.policies.services import budgets, conservation, versions
from apps.policies.services.budgets import Holding, Progress
from apps.policies.services.conservation import Broken
from apps.policies.types import Evaluation, RuleRow
from tests.policies.cases import ask, facts
from tests.policies.rows import a_connection, activated

E8 = 10**8


def as_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: budgets are taken in the order in which rules name them, and not in that of their ids."""
    in_order = budgets._rows

    def rows(connection_id: UUID, claims: Sequence[Claim], now: datetime) -> list[tuple[Budget, Claim]]:
        found = {budget.key: budget for budget, _ in in_order(connection_id, claims, now)}
        return [(found[claim.key], claim) for claim in claims]

    monkeypatch.setattr(budgets, "_rows", rows)


class Books:
    """A connection under a policy, and short ways to reserve and to settle on it."""

    def __init__(self, desk: Desk, author: User, second: User, now: datetime) -> None:
        self.now, self.author, self.second = now, author, second
        self.connection = a_connection(desk, now, codes=("BTC-USD", "ETH-USD"))
        self.policy_set: PolicySet = versions.create_set(
            slug="desk", name="Desk", desk_id=desk.pk, author=author, now=now
        )

    def set_rules(self, rules: Sequence[RuleRow]) -> None:
        activated(self.policy_set, rules, self.author, self.second, self.now)

    def reserve(self, source: str, quantity: str = "2", *, at: datetime | None = None, **changes: Any) -> Reservation:
        """Reserve for a buy of so many at 100, unless told otherwise."""
        asked = ask(connection=str(self.connection.pk), quantity=quantity, **changes)
        version = active_version(self.connection.pk)
        assert version is not None
        return budgets.reserve(
            source=source, version=version, ask=asked, evaluation=self.judged(asked), now=at or self.now
        )

    def judged(self, asked: Any) -> Evaluation:
        version = active_version(self.connection.pk)
        known = facts(asked, version)
        return evaluate(version, asked, known, min(fact.as_of for fact in known.values()) + timedelta(seconds=1))

    def settle(self, source: str, **changes: Any) -> bool:
        values: dict[str, Any] = {
            "remaining": Decimal(2),
            "whole": Decimal(2),
            "traded": Decimal(0),
            "holding": None,
        } | changes
        return budgets.settle(source=source, progress=Progress(**values), now=self.now)

    def use(self) -> dict[str, tuple[str, str]]:
        """Reserved and used per dimension, in whole units."""
        return {
            row.dimension: (str(Decimal(row.reserved_minor) / E8), str(Decimal(row.used_minor) / E8))
            for row in Budget.objects.filter(connection=self.connection)
        }

    def make_backwards(self) -> None:
        """The rows of a buy, made so that their ids run against the order in which rules name them."""
        asked = ask(connection=str(self.connection.pk))
        version = active_version(self.connection.pk)
        assert version is not None
        day = self.now.date().isoformat()
        claims = claims_of(version, asked, quantity=Decimal(2), notional=Decimal(200), day=day)
        budgets._rows(self.connection.pk, claims[::-1], self.now)

    def broken(self, orders: Mapping[str, Progress], held: Mapping[str, Holding]) -> list[Broken]:
        """Everything that does not add up, if orders and positions stand like this."""
        where = self.connection.pk
        return [
            *conservation.broken_sums(),
            *conservation.broken_reservations({source: (where, progress) for source, progress in orders.items()}),
            *conservation.broken_holdings({(where, code): holding for code, holding in held.items()}),
        ]
