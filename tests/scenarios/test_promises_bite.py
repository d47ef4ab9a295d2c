"""A promise that no random day breaks is broken here by hand: an invariant that cannot fail holds nothing."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.db.models import Model
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import people
from apps.approvals.models import Vote
from apps.approvals.services import decide
from apps.audit.models import Event
from apps.common import fault_places as places
from apps.common.fields import ExactDecimalField
from apps.connectors.types import Side
from apps.policies.models import Decision, Rule, TradingState
from apps.policies.rules import always, approvals, compiled, judge
from apps.policies.rules.finding import Finding
from apps.policies.services import barrier, latches
from apps.policies.types import LatchKind, LineVerdict, State
from apps.trades.models import Authority, Order, Proposal
from apps.trades.services import grounds, halting, orders, seal, sweeps, watching
from apps.trades.services.approval import Judgement
from apps.trades.services.reconciliation import runs
from apps.trades.types import OrderState
from tests.factories.accounts import group_of
from tests.factories.tampering import tamper, undone
from tests.factories.trading import TWO_NEEDED, change_policy, rules_with
from tests.scenarios import decisions
from tests.scenarios.evenings import BEFORE_IT_LEAVES, WHILE_IT_LEAVES
from tests.scenarios.tampered import FROZEN
from tests.scenarios.test_state_machine import Desk


def lets_all_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks who may vote, neither when they do nor at the claim."""
    monkeypatch.setattr(decide, "require_voter", lambda proposal, approver: None)
    for asking in (decide, grounds):
        monkeypatch.setattr(asking, "is_active_in_roles", lambda person, roles: True)


def not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lets an order leave is not looked at once more when it is claimed."""
    monkeypatch.setattr(grounds, "check_rows", lambda *rows, now: None)
    monkeypatch.setattr(grounds, "check_judgement", lambda authority, judgement: None)


def test_1_a_quorum_of_one_where_the_tier_says_two(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    day.policy_changes(2)
    day.a_trade(Side.BUY, 2, "")
    day.every_order_at_the_venue_was_approved_by_enough_others()
    assert day.seen_bodies == 1

    monkeypatch.setattr(Judgement, "tier", property(lambda one: replace(one.evaluation.tier, needed=1)))
    not_asked_again(monkeypatch)
    day.a_trade(Side.BUY, 2, "")
    with pytest.raises(AssertionError, match="needed"):
        day.every_order_at_the_venue_was_approved_by_enough_others()


def test_1_a_tier_that_says_less_than_the_rows_of_the_policy(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decision and authority agree with each other, and both are wrong."""
    day.policy_changes(2)
    read = approvals.read_tiers

    def half(params: Any) -> Any:
        bounded, last = read(params)
        return bounded, last and replace(last, needed=1)

    monkeypatch.setattr(approvals, "read_tiers", half)
    monkeypatch.setattr(compiled, "_cache", {})
    day.a_trade(Side.BUY, 2, "")
    with pytest.raises(AssertionError, match="needed"):
        day.every_order_at_the_venue_was_approved_by_enough_others()


def test_1_a_vote_of_somebody_without_the_role(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    lets_all_vote(monkeypatch)
    day.paper.approver.groups.set([group_of("operator")])
    day.a_trade(Side.BUY, 2, "")
    # Their role comes back: what counts is the one they had when they voted.
    day.paper.approver.groups.set([group_of("approver")])
    with pytest.raises(AssertionError, match="not in the role"):
        day.every_order_at_the_venue_was_approved_by_enough_others()


@pytest.mark.parametrize(
    ("verb", "who", "said"),
    [(Vote.Verb.REVOKE, "approver", "taken back"), (Vote.Verb.DECLINE, "risk", "somebody said no")],
)
def test_1_an_order_that_left_against_a_vote(day: Desk, verb: Vote.Verb, who: str, said: str) -> None:
    """The vote is there, and did not end the proposal."""
    day.a_trade(Side.BUY, 1, "")
    yes, order = Vote.objects.get(), Order.objects.get()
    values = {field: getattr(yes, field) for field in ("proposer_id", "environment", "digest", "policy_version_id")}
    Vote.objects.create(
        proposal=order.proposal, approver=getattr(day.paper, who), verb=verb, created_at=timezone.now(), **values
    )
    day.execute(0, "once")
    with pytest.raises(AssertionError, match=said):
        day.every_order_at_the_venue_was_approved_by_enough_others()


@pytest.mark.parametrize("model", [Proposal, Authority, Order])
def test_7_as_it_is_one_changed_field_ends_the_order(day: Desk, model: type[Model]) -> None:
    """Each field in turn: else a step that changes one would prove little. The order itself goes on waiting."""
    day.a_trade(Side.BUY, 1, "")
    for column in FROZEN:
        if column[0] is model:
            day.a_field_is_changed_before_the_claim(column)
    assert f"{model.__name__} tampered with: CANCELED" in day.reached
    assert f"{model.__name__} tampered with: INITIALIZED" not in day.reached
    assert orders.execute(order_id=Order.objects.get().pk, clock=day.clock.now) != OrderState.CANCELED


@pytest.mark.parametrize("column", [(Proposal, "rationale"), (Authority, "reference_mid"), (Order, "worst_price")])
def test_7_a_claim_that_compares_the_bytes_alone(
    day: Desk, monkeypatch: pytest.MonkeyPatch, column: tuple[type[Model], str]
) -> None:
    """What is sent is what was approved, and yet a row was changed: only the seal tells."""
    day.a_trade(Side.BUY, 1, "")
    monkeypatch.setattr(seal, "seal_of", lambda *rows: "")
    monkeypatch.setattr(seal, "approved_seal", lambda proposal_id: "")
    with pytest.raises(AssertionError, match="was changed, and it was sent"):
        day.a_field_is_changed_before_the_claim(column)


def test_7_a_claim_that_compares_nothing(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    day.a_trade(Side.BUY, 1, "")
    monkeypatch.setattr(grounds, "_check_content", lambda *rows: None)
    with pytest.raises(AssertionError, match="was changed, and it was sent"):
        day.a_field_is_changed_before_the_claim((Proposal, "digest"))


def gone(day: Desk) -> None:
    User.objects.filter(pk=day.paper.approver.pk).update(is_active=False)


def taken_back(day: Desk) -> None:
    """And the order does not hear of it."""
    with undone():
        day.a_proposal_may_end(0, "revoke")
        (vote,) = Vote.objects.filter(verb=Vote.Verb.REVOKE)
    vote.save(force_insert=True)


def others_needed(day: Desk) -> None:
    """The rows of the very version that it was approved under ask for two, as if the tiers had other bounds."""
    tamper(Rule.objects.get(version__state="ACTIVE", key="approvals"), params={"tiers": TWO_NEEDED, "drift_bps": "200"})


def over(day: Desk) -> None:
    """The very instant at which the approval has run out."""
    day.clock.advance((Authority.objects.get().valid_until - day.now).total_seconds())


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (lambda day: day.price_moves(300), "the market had moved"),
        (lambda day: day.policy_changes(2), "another policy"),
        (others_needed, "too few"),
        (gone, "too few"),
        (lambda day: day.paper.approver.groups.set([group_of("trader")]), "too few"),
        (taken_back, "voted against"),
        (lambda day: day.tighten(State.HALTED), "halted"),
        (over, "its time was over"),
    ],
)
def test_8_a_claim_that_is_not_judged_anew(
    day: Desk, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Desk], None], said: str
) -> None:
    day.a_trade(Side.BUY, 1, "")
    not_asked_again(monkeypatch)
    happens(day)
    order = Order.objects.get()
    assert orders._claim(order.pk, day.now, day.clock.now) is not None
    with pytest.raises(AssertionError, match=said):
        day.what_was_claimed_was_still_approved_and_shrank_what_only_shrinks()


def test_8_a_claim_without_a_decision_of_its_own(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    day.a_trade(Side.BUY, 1, "")
    monkeypatch.setattr(orders, "keep_judgement", lambda *about, gate: None)
    day.execute(0, "once")
    with pytest.raises(AssertionError, match="asked anew"):
        day.what_was_claimed_was_still_approved_and_shrank_what_only_shrinks()


def test_14_a_sale_of_more_than_is_left_to_sell(day: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half rests at the venue: what the rest would sell besides is more than there is."""
    change_policy(day.paper, rules_with(funds=None))
    day.propose(Side.SELL, 3, resting=True)
    day.approve(0, "approver")
    day.execute(0, "once")
    day.a_trade(Side.SELL, 2, "")
    day.tighten(State.REDUCING)
    day.a_trade(Side.SELL, 2, "")
    day.a_trade(Side.SELL, 2, "")
    day.what_was_claimed_was_still_approved_and_shrank_what_only_shrinks()
    assert len(day.claims) == 3, "as it is, what is more than the rest is denied"

    monkeypatch.setattr(always, "reducible", lambda case: Decimal(1))
    day.a_trade(Side.SELL, 2, "")
    with pytest.raises(AssertionError, match="it sells"):
        day.what_was_claimed_was_still_approved_and_shrank_what_only_shrinks()


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
