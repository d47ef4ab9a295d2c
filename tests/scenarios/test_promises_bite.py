"""A promise that no random day breaks is broken here by hand: an invariant that cannot fail holds nothing."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.services import people
from apps.audit.models import Event
from apps.common import fault_places as places
from apps.common.fields import ExactDecimalField
from apps.connectors.types import Side
from apps.policies.models import Decision, TradingState
from apps.policies.rules import judge
from apps.policies.rules.finding import Finding
from apps.policies.services import barrier, latches
from apps.policies.types import LatchKind, LineVerdict, State
from apps.trades.services import halting, sweeps, watching
from apps.trades.services.reconciliation import runs
from apps.trades.types import OrderState
from tests.factories.tampering import tamper
from tests.scenarios import decisions
from tests.scenarios.evenings import BEFORE_IT_LEAVES, WHILE_IT_LEAVES
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


def test_10_an_approval_that_nobody_sends(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its message was lost, and no sweep looks for it."""
    day.a_trade(Side.BUY, 1, "")
    monkeypatch.setattr(sweeps, "publish_pending", lambda *, now: 0)
    with pytest.raises(AssertionError, match="never sent"):
        day.nothing_is_left_in_silence()


def test_10_a_dead_worker_whom_nobody_misses(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by the sweep nor by a comparison with the venue, and nobody is told."""
    day.a_worker_dies(0, places.WRITTEN.label, again=False, resting=False)
    monkeypatch.setattr(sweeps, "resolve_lapsed_claims", lambda *, now: 0)
    monkeypatch.setattr(runs, "publish_due", lambda **_: 0)
    monkeypatch.setattr(watching, "by_the_clock", lambda **_: SimpleNamespace(told=0))
    with pytest.raises(AssertionError, match=OrderState.SUBMITTED):
        day.nothing_is_left_in_silence()


@pytest.mark.parametrize("label", BEFORE_IT_LEAVES)
def test_12_a_request_that_does_not_look_before_it_leaves(
    day: Desk, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    day.a_trade(Side.BUY, 1, "")
    monkeypatch.setattr(barrier, "passing", lambda connection_id, *, judged: nullcontext())
    with pytest.raises(AssertionError, match=label):
        day.a_halt_meets_a_request(label)


def test_12_a_halt_that_cancels_nothing(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    day.propose(Side.BUY, 1, resting=True)
    day.approve(0, "approver")
    day.execute(0, "once")
    monkeypatch.setattr(halting, "clear", lambda **_: "")
    with pytest.raises(AssertionError, match="OPEN"):
        day.a_halt_empties_the_venue()


@pytest.mark.parametrize("label", [*BEFORE_IT_LEAVES, *WHILE_IT_LEAVES])
def test_12_as_it_is_one_that_stands_there_meets_the_halt(day: Desk, label: str) -> None:
    """Each place is one that a request passes: else the step would prove nothing."""
    day.reached.discard("halted in flight")
    day.a_trade(Side.BUY, 1, "")
    day.a_halt_meets_a_request(label)
    assert "halted in flight" in day.reached


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
