"""The promises that hold after every step of a random day, each against what the venue has.

Numbers are those of the properties that Aika must hold.
"""

import base64
import json
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from unittest.mock import patch

from django.core.management import call_command
from django.utils import timezone
from hypothesis.stateful import RuleBasedStateMachine, invariant

from apps.approvals.services import log_comparison
from apps.audit.models import Alarm, Event
from apps.audit.selectors import facts_of
from apps.audit.services import verification
from apps.common import canonical
from apps.common.money import minor_up
from apps.connectors.types import Side
from apps.policies.models import GLOBAL_SCOPE, Budget, Decision, Latch
from apps.policies.rules import results_bytes
from apps.policies.rules.budgets import Dimension
from apps.policies.selectors import trading_state
from apps.policies.services import replays
from apps.policies.types import State, Verdict
from apps.trades.models import Fill, Order, Outcome, Position, Proposal
from apps.trades.rules.terms import read_terms
from apps.trades.selectors import exposure
from apps.trades.services import conservation
from apps.trades.services.gathering import day_start
from apps.trades.types import (
    LIVE_ORDER_STATES,
    ORDER_MOVES,
    PROPOSAL_MOVES,
    OrderState,
    ProposalState,
)
from tests.factories.desk import PaperDesk
from tests.factories.trading import sent
from tests.scenarios import decisions
from tests.venues.simulator_process import SimulatorProcess

DAY_LIMIT = Decimal(3000)


def nothing(_connection: object) -> list[str]:
    """Missing guards, or migrations that were not applied."""
    return []


class Promises(RuleBasedStateMachine):
    """What a day is held to. `paper` is its desk."""

    simulator: SimulatorProcess
    reached: ClassVar[set[str]] = set()
    kinds_judged: ClassVar[set[str]] = set()
    paper: PaperDesk

    def __init__(self) -> None:
        super().__init__()
        self.unknown: set[Any] = set()
        self.tripped: set[Any] = set()
        self.judged: set[Any] = set()
        self.seen_creates = 0
        self.state_before = State.ACTIVE.value

    @property
    def now(self) -> datetime:
        return timezone.now()

    def creates(self) -> list[dict[str, Any]]:
        """Every create that reached the venue, as it came off the socket."""
        return [dict(json.loads(base64.b64decode(request["body"]))) for request in sent(self.paper)]

    def bodies(self) -> list[bytes]:
        return [base64.b64decode(request["body"]) for request in sent(self.paper)]

    def state(self) -> str:
        return trading_state(self.paper.connection.pk)

    @invariant()
    def doubt_denies_and_more_rules_never_loosen(self) -> None:
        """16 of every decision that was made; 2 and 3 of one of those that are alike."""
        for decision in Decision.objects.exclude(pk__in=self.judged):
            self.judged.add(decision.pk)
            assert not replays.problem_of(decision)
            assert decision.version_id is not None or decision.outcome == Verdict.DENY
            if decision.version_id is None:
                continue
            inputs = decisions.inputs_of(decision)
            kind = decisions.kind_of(inputs)
            if kind not in self.kinds_judged:
                self.kinds_judged.add(kind)
                self.doubt_denies(inputs)
                self.denial_overrides(inputs)

    def doubt_denies(self, inputs: decisions.Inputs) -> None:
        """2: take away or spoil one thing that it went by, each in turn, and nothing is allowed."""
        for what, doubtful in decisions.in_doubt(inputs):
            assert decisions.judged(doubtful).outcome == Verdict.DENY, what

    def denial_overrides(self, inputs: decisions.Inputs) -> None:
        """3: a denial wins wherever it stands, one rule more or a state that allows less keeps the answer or tightens
        it, and no order of rules matters."""
        around, kept = decisions.judged(decisions.turned_around(inputs)), decisions.judged(inputs)
        assert (around.outcome, around.tier, set(around.codes)) == (kept.outcome, kept.tier, set(kept.codes))
        for what, one_more in decisions.denied(inputs):
            assert decisions.judged(one_more).outcome == Verdict.DENY, what
        for what, looser, tighter in decisions.tightened(inputs):
            assert decisions.severity(looser) <= decisions.severity(tighter), what

    @invariant()
    def the_database_counts_and_keeps_as_arithmetic_does(self) -> None:
        """20: on either, so that the two agree with each other. Numbers are those of the bytes that were hashed, and
        what SQL compares and adds up is what Python makes of the rows."""
        where, until = self.paper.connection.pk, self.now
        orders = Order.objects.select_related("proposal", "authority__decision")
        for order in orders:
            terms, decision = read_terms(bytes(order.proposal.terms)), order.authority.decision
            found = decisions.judged(decisions.inputs_of(decision))
            assert order.quantity == terms.quantity
            assert found.notional is not None and order.notional_minor == minor_up(found.notional)
            assert canonical.digest(bytes(decision.inputs)) == decision.inputs_digest
            assert results_bytes(found) == bytes(decision.results)
        made = [row.created_at for row in Proposal.objects.filter(connection=where)]
        for since in made:
            assert exposure.asked_on(where, since=since, until=until).answer == [sum(at >= since for at in made)]
        kept = [row for row in Outcome.objects.filter(connection=where) if row.closed_at >= day_start(until)]
        lost = dict(exposure.realized_loss_since(where, day_start(until)).answer)
        assert sum(lost.values()) == sum(row.loss_minor for row in kept)
        live = {order.proposal_id: order.quantity for order in orders if order.state in LIVE_ORDER_STATES}
        assert {row.proposal_id: row.quantity for row in exposure.open_rows(where).answer} == live

    @invariant()
    def what_is_unknown_is_alarmed_reserved_and_resolved_by_the_venues_word_alone(self) -> None:
        """5, 10, 11."""
        self.unknown |= set(Order.objects.filter(state=OrderState.UNKNOWN).values_list("pk", flat=True))
        known = {order["client_order_id"] for order in self.simulator.orders()}
        for order in Order.objects.filter(pk__in=self.unknown):
            if order.state == OrderState.UNKNOWN:
                assert order.reserved_amount > 0
                codes = Alarm.objects.filter(subject=f"order:{order.pk}", cleared_at=None).values_list(
                    "code", flat=True
                )
                assert codes
            elif order.state != OrderState.ABANDONED:
                assert str(order.client_order_id) in known, order.state

    @invariant()
    def nothing_is_sent_while_halted_and_only_sales_while_reducing(self) -> None:
        """12, 14. A step that moves the state may have sent before it did."""
        creates, state = self.creates(), self.state()
        new = creates[self.seen_creates :]
        if state == self.state_before == State.HALTED:
            assert not new
        if state == self.state_before == State.REDUCING:
            assert all(create["side"] == Side.SELL.value for create in new), new
        self.seen_creates, self.state_before = len(creates), state

    @invariant()
    def a_latch_stays_until_two_people_reset_it(self) -> None:
        """13."""
        scopes = [GLOBAL_SCOPE, str(self.paper.connection.pk)]
        latches = Latch.objects.filter(scope__in=scopes)
        assert self.tripped <= set(latches.values_list("pk", flat=True))
        self.tripped |= set(latches.values_list("pk", flat=True))
        for latch in latches:
            if latch.reset_at is None:
                assert self.state() != State.ACTIVE, latch
            else:
                assert latch.reset_requester_id not in {None, latch.reset_seconder_id}

    @invariant()
    def states_moved_only_as_allowed(self) -> None:
        """18: the events of each row add up to its state."""
        moves = {str(row.pk): (PROPOSAL_MOVES, row.state) for row in Proposal.objects.all()}
        moves |= {str(row.pk): (ORDER_MOVES, row.state) for row in Order.objects.all()}
        histories: dict[str, list[str]] = {}
        for event in Event.objects.filter(subject__in=moves).order_by("id"):
            payload = facts_of(event)["payload"]
            if isinstance(payload, dict) and "state" in payload:
                told = histories.setdefault(event.subject, [])
                if not told or told[-1] != str(payload["state"]):
                    told.append(str(payload["state"]))
        for subject, (allowed, state) in moves.items():
            history = histories.get(subject, [])
            begun = ["INITIALIZED", *history] if allowed is ORDER_MOVES else history
            assert begun[-1] == state, (subject, begun, state)
            assert set(zip(begun, begun[1:], strict=False)) <= {(str(a), str(b)) for a, b in allowed}, begun

    @invariant()
    def the_log_is_whole(self) -> None:
        """18: its chains, columns and heads from the first event on. Whether the tables have their guards, which no
        step changes and which takes longest, is looked at when the day ends."""
        with patch.multiple(verification, missing_guards=nothing, unapplied_migrations=nothing):
            report = verification.verify()
        assert not report.exit_code, report

    @invariant()
    def the_day_stays_within_its_limit(self) -> None:
        """4."""
        day = day_start(self.now)
        approved = Order.objects.filter(connection=self.paper.connection, created_at__gte=day)
        bound = sum(
            order.notional_minor for order in approved if order.state in LIVE_ORDER_STATES or order.filled_quantity
        )
        assert bound <= DAY_LIMIT * 10**8

    @invariant()
    def what_is_reserved_adds_up(self) -> None:
        """4, 5: reservations against orders, fills and positions."""
        assert not conservation.check(since=None, progress=lambda done, total: None).broken
        for day in Budget.objects.filter(connection=self.paper.connection, dimension=Dimension.DAILY_NOTIONAL):
            assert day.in_use_minor <= DAY_LIMIT * 10**8

    @invariant()
    def what_is_void_binds_nothing_and_what_is_approved_has_an_order(self) -> None:
        """1, 5."""
        for proposal in Proposal.objects.all():
            states = list(Order.objects.filter(proposal=proposal).values_list("state", flat=True))
            if proposal.state == ProposalState.APPROVED:
                assert len(states) == 1
            elif proposal.state == ProposalState.VOIDED:
                assert states in ([], [OrderState.CANCELED])
            else:
                assert not states
            self.reached.update({proposal.state, *states})

    @invariant()
    def books_add_up(self) -> None:
        for position in Position.objects.filter(connection=self.paper.connection):
            rows = Fill.objects.filter(connection=self.paper.connection, instrument=position.instrument)
            net = sum((row.quantity if row.side == "BUY" else -row.quantity) for row in rows)
            assert position.quantity >= max(net, 0)
        for order in Order.objects.all():
            assert order.filled_quantity == sum(row.quantity for row in order.fills.all()) <= order.quantity

    def prove_the_record(self) -> None:
        """At the end of a day, because it reads everything: 16 and 18."""
        call_command("audit_verify", verbosity=0)
        assert not log_comparison.compare(progress=lambda done, total: None).findings
        for decision in Decision.objects.all():
            assert not replays.problem_of(decision)
        for proposal in Proposal.objects.all():
            assert read_terms(bytes(proposal.terms)).not_after >= proposal.created_at
