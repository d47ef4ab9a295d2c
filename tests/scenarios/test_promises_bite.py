"""A promise that no random day breaks is broken here by hand: an invariant that cannot fail holds nothing."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.services import people
from apps.audit.models import Event
from apps.common.fields import ExactDecimalField
from apps.connectors.types import Side
from apps.policies.models import Decision, TradingState
from apps.policies.rules import judge
from apps.policies.rules.finding import Finding
from apps.policies.services import latches
from apps.policies.types import LatchKind, LineVerdict, State
from tests.factories.tampering import tamper
from tests.scenarios import decisions
from tests.scenarios.test_state_machine import Desk
from tests.venues.simulator_process import SimulatorProcess


@pytest.fixture
def day(db: None, simulator: SimulatorProcess) -> Iterator[Desk]:
    Desk.simulator, Desk.kinds_judged = simulator, set()
    desk = Desk()
    yield desk
    desk.end()


def test_2_a_doubt_that_lets_pass(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    day.a_trade(Side.BUY, 2, "")
    day.doubt_denies_and_more_rules_never_loosen()

    def without_doubts(findings: list[Finding]) -> tuple[Any, ...]:
        return tuple(found.code for found in findings if found.verdict is LineVerdict.FAIL)

    monkeypatch.setattr(judge, "_codes", without_doubts)
    assert breaks(day.doubt_denies)


def test_3_a_rule_that_overrides_a_denial(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    day.a_trade(Side.BUY, 2, "")
    day.doubt_denies_and_more_rules_never_loosen()
    consult = judge._consult

    def the_last_word(checks: Any, case: Any) -> list[Finding]:
        """Where the last one lets pass, what the others found is forgotten."""
        return consult(checks, case) if consult(checks[-1:], case) else []

    monkeypatch.setattr(judge, "_consult", the_last_word)
    assert breaks(day.denial_overrides)


def breaks(promise: Callable[[decisions.Inputs], None]) -> bool:
    """Whether a promise about decisions is broken by one of those that were made."""
    for decision in Decision.objects.all():
        try:
            promise(decisions.inputs_of(decision))
        except AssertionError:
            return True
    return False


def test_20_a_database_that_keeps_binary_fractions(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As SQLite does with a decimal column of its own."""
    day.a_trade(Side.BUY, 2, "")
    day.the_database_counts_and_keeps_as_arithmetic_does()

    def binary(field: Any, value: Any, *_: object) -> Decimal | None:
        return None if value is None else Decimal(float(value))

    monkeypatch.setattr(ExactDecimalField, "from_db_value", binary)
    with pytest.raises(AssertionError):
        day.the_database_counts_and_keeps_as_arithmetic_does()


def test_13_a_latch_that_lets_go_by_itself(day: Desk) -> None:
    connection = day.paper.connection
    latches.trip(
        kind=LatchKind.MISMATCH,
        connection_id=connection.pk,
        message="Test.",
        evidence={},
        actor=people.actor_of(day.paper.risk),
        now=timezone.now(),
    )
    day.a_latch_stays_until_two_people_reset_it()

    TradingState.objects.filter(connection=connection).update(state=State.ACTIVE.value)
    with pytest.raises(AssertionError):
        day.a_latch_stays_until_two_people_reset_it()


def test_16_and_18_a_record_that_was_changed(day: Desk) -> None:
    day.a_trade(Side.BUY, 2, "")
    day.the_log_is_whole()
    day.doubt_denies_and_more_rules_never_loosen()

    day.judged.clear()
    tamper(Decision.objects.earliest("decided_at"), results=b"[]")
    with pytest.raises(AssertionError):
        day.doubt_denies_and_more_rules_never_loosen()
    tamper(Event.objects.filter(kind="proposal.proposed").latest("id"), body=b"{}")
    with pytest.raises(AssertionError):
        day.the_log_is_whole()
