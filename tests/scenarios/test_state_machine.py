"""Random days at a desk. After each step every promise that can be seen from outside must hold.

Each step goes through the services and, where an order leaves, through HTTP to the real simulator. The promises are
checked against what the venue has, not against what the application says about itself.
"""

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from apps.accounts.models import User
from apps.accounts.services import people, second_person
from apps.approvals.models import Vote
from apps.approvals.services import decide
from apps.audit.models import Alarm, Event
from apps.audit.selectors import facts_of
from apps.common.errors import AikaError, Conflict, Forbidden
from apps.connectors.types import Side
from apps.policies.models import Budget, Decision
from apps.policies.rules.budgets import Dimension
from apps.policies.selectors import trading_state
from apps.policies.services import replays
from apps.policies.services import trading_state as halting
from apps.trades.models import Authority, Fill, Order, Position, Proposal
from apps.trades.services import conservation, endings, fills, orders, sweeps, withdrawals
from apps.trades.types import ORDER_MOVES, PROPOSAL_MOVES, OrderState, ProposalState
from tests.factories.desk import PaperDesk, paper_desk
from tests.factories.trading import ONE_NEEDED, TWO_NEEDED, change_policy, move, rules_with, sent
from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.django_db

MID = 64000
TIERS = {1: ONE_NEEDED, 2: TWO_NEEDED}
DAY_LIMIT = Decimal(3000)
PICK = st.integers(0, 9)
TROUBLE = st.sampled_from(["", "timeout-before", "timeout-after", "5xx-after", "halt", "drift", "policy"])


def rules_of(needed: int) -> Any:
    return rules_with(
        approvals={"tiers": TIERS[needed]},
        daily_notional={"max_notional": str(DAY_LIMIT)},
        rate_proposer={"max_count": "100"},
        rate_connection={"max_count": "100"},
    )


class Desk(RuleBasedStateMachine):
    """People, a worker and a market, each doing something at random."""

    simulator: SimulatorProcess
    reached: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.point = transaction.savepoint()
        cache.clear()
        self.simulator.reset()
        self.paper: PaperDesk = paper_desk(self.simulator, rules=rules_of(1))
        self.count = 0
        self.unknown: set[Any] = set()
        move(self.paper, str(MID))

    def teardown(self) -> None:
        self.simulator.clear_faults()
        transaction.savepoint_rollback(self.point)

    @property
    def now(self) -> datetime:
        return timezone.now()

    def one(self, pick: int, *states: str) -> Proposal | None:
        rows = Proposal.objects.filter(connection=self.paper.connection).order_by("created_at")
        found = list(rows.filter(state__in=states) if states else rows)
        return found[pick % len(found)] if found else None

    def refused(self, act: Callable[[], Any], *kinds: type[AikaError]) -> Any:
        """What it gives, or None where the desk says no in one of the ways it may."""
        try:
            return act()
        except AikaError as error:
            if kinds and not isinstance(error, kinds):
                raise
            return None

    @initialize(far=st.integers(2, 3), trouble=TROUBLE)
    def begin_somewhere(self, far: int, trouble: str) -> None:
        self.a_trade(Side.BUY, far, trouble)

    @rule(side=st.sampled_from(list(Side)), far=st.integers(1, 3), trouble=TROUBLE)
    def a_trade(self, side: Side, far: int, trouble: str) -> None:
        """One proposal, approved by as many as it takes, sent and booked, as far as the desk lets it and `far` says.
        Trouble comes between the approval and the claim, and the message is delivered twice."""
        self.propose(side, 1, False)
        proposal = Proposal.objects.filter(connection=self.paper.connection).latest("created_at")
        for person in (self.paper.approver, self.paper.risk) if far else ():
            self.refused(partial(self.paper.approve, proposal, by=person))
        order = Order.objects.filter(proposal=proposal).first()
        if order is None:
            return
        self.make_trouble(trouble)
        for _ in range(2 if far > 1 else 0):
            orders.execute(order_id=order.pk, clock=timezone.now)
        if far > 2:
            fills.poll_order(order_id=order.pk, now=self.now)

    def make_trouble(self, trouble: str) -> None:
        if trouble == "halt":
            self.halt()
        elif trouble == "drift":
            self.price_moves(300)
        elif trouble == "policy":
            self.policy_changes(2)
        elif trouble:
            self.break_the_next_create(trouble)

    @rule(side=st.sampled_from(list(Side)), hundredths=st.integers(1, 3), resting=st.booleans())
    def propose(self, side: Side, hundredths: int, resting: bool) -> None:
        self.count += 1
        quantity = Decimal(hundredths) / 100 + Decimal(self.count) / 10**6
        away = {"limit_price": Decimal(60000 if side is Side.BUY else 70000)} if resting else {}
        self.paper.propose(side=side, quantity=quantity, **away)

    @rule(pick=PICK, who=st.sampled_from(["approver", "approver2", "risk", "trader"]))
    def approve(self, pick: int, who: str) -> None:
        if (proposal := self.one(pick, ProposalState.AWAITING_APPROVAL) or self.one(pick)) is None:
            return
        person: User = getattr(self.paper, who)
        if who == "trader":
            with pytest.raises((Forbidden, Conflict)):
                self.paper.approve(proposal, by=person)
            return
        self.refused(lambda: self.paper.approve(proposal, by=person))

    @rule(pick=PICK)
    def decline(self, pick: int) -> None:
        if (proposal := self.one(pick)) is not None:
            self.refused(
                lambda: decide.decline(
                    proposal_id=proposal.pk,
                    approver=self.paper.risk,
                    digest=proposal.digest,
                    comment="No.",
                    now=self.now,
                ),
                Conflict,
            )

    @rule(pick=PICK, who=st.sampled_from(["approver", "risk"]))
    def revoke(self, pick: int, who: str) -> None:
        if (proposal := self.one(pick)) is not None:
            person = getattr(self.paper, who)
            self.refused(lambda: decide.revoke(proposal_id=proposal.pk, approver=person, comment="Hm.", now=self.now))

    @rule(pick=PICK)
    def withdraw(self, pick: int) -> None:
        if (proposal := self.one(pick)) is not None:
            self.refused(
                lambda: withdrawals.withdraw(
                    proposal_id=proposal.pk, principal=self.paper.principal, reason="", now=self.now
                ),
                Conflict,
            )

    @rule(pick=PICK)
    def expire(self, pick: int) -> None:
        if (proposal := self.one(pick)) is not None:
            assert not endings.expire(proposal_id=proposal.pk, now=proposal.expires_at - timedelta(microseconds=1))
            endings.expire(proposal_id=proposal.pk, now=proposal.expires_at)

    @rule(pick=PICK, times=st.integers(1, 2))
    def execute(self, pick: int, times: int) -> None:
        if (proposal := self.one(pick, ProposalState.APPROVED)) is not None:
            for _ in range(times):
                self.paper.execute(proposal)

    @rule(pick=PICK)
    def execute_too_late(self, pick: int) -> None:
        if (proposal := self.one(pick, ProposalState.APPROVED)) is not None:
            late = Authority.objects.get(proposal=proposal).valid_until
            orders.execute(order_id=self.paper.order_of(proposal).pk, clock=lambda: late)

    @rule(kind=st.sampled_from(["timeout-before", "timeout-after", "5xx-after"]))
    def break_the_next_create(self, kind: str) -> None:
        self.simulator.add_fault("create", kind, seconds="0")

    @rule(pick=PICK)
    def worker_dies_after_its_claim(self, pick: int) -> None:
        if (proposal := self.one(pick, ProposalState.APPROVED)) is not None:
            claim = orders._claim(self.paper.order_of(proposal).pk, self.now)
            if claim is not None:
                sweeps.resolve_lapsed_claims(now=claim.lease_until + timedelta(seconds=1))

    @rule()
    def poll_everything(self) -> None:
        for order in Order.objects.filter(connection=self.paper.connection):
            fills.poll_order(order_id=order.pk, now=self.now)

    @rule(days=st.integers(0, 30))
    def sweep(self, days: int) -> None:
        now = self.now + timedelta(days=days)
        sweeps.publish_pending(now=now)
        sweeps.publish_polls(now=now)
        sweeps.resolve_lapsed_claims(now=now)
        if days:
            sweeps.expire_due(now=now)

    @rule(bps=st.sampled_from([-300, -50, -1, 1, 50, 199, 300]))
    def price_moves(self, bps: int) -> None:
        move(self.paper, str(Decimal(MID) * (10_000 + bps) / 10_000))

    @rule(needed=st.sampled_from([1, 2]))
    def policy_changes(self, needed: int) -> None:
        change_policy(self.paper, rules_of(needed))

    @rule()
    def halt(self) -> None:
        actor = people.actor_of(self.paper.trader)
        halting.halt(connection_id=self.paper.connection.pk, actor=actor, reason="Test.", now=self.now)

    @precondition(lambda self: trading_state(self.paper.connection.pk) == "HALTED")
    @rule()
    def resume(self) -> None:
        where, now = self.paper.connection.pk, self.now
        request = halting.request_resume(connection_id=where, requester=self.paper.risk, reason="Test.", now=now)
        second_person.second(request_id=request.pk, seconder=self.paper.approver, now=now)
        halting.resume(connection_id=where, person=self.paper.risk, now=now)

    @rule(gone=st.booleans())
    def an_approver_comes_or_goes(self, gone: bool) -> None:
        User.objects.filter(pk=self.paper.approver2.pk).update(is_active=not gone)

    @invariant()
    def every_order_at_the_venue_was_approved_by_enough_others(self) -> None:
        for body in self.bodies():
            name = json.loads(body)["client_order_id"]
            order = Order.objects.select_related("authority", "proposal").get(client_order_id=name)
            authority, proposal = order.authority, order.proposal
            votes = Vote.objects.filter(
                proposal=proposal, verb="APPROVE", policy_version=authority.policy_version_id, digest=proposal.digest
            )
            voted = {str(vote.approver_id) for vote in votes}
            assert len(set(authority.approvers)) >= authority.needed >= 1
            assert set(authority.approvers) <= voted
            assert str(proposal.proposer_id) not in voted
            assert body == bytes(proposal.request_body)

    @invariant()
    def each_is_sent_at_most_once(self) -> None:
        names = [json.loads(body)["client_order_id"] for body in self.bodies()]
        assert len(names) == len(set(names))
        at_venue = [order["client_order_id"] for order in self.simulator.orders()]
        assert len(at_venue) == len(set(at_venue))
        assert set(at_venue) <= set(names)

    def bodies(self) -> list[bytes]:
        """Every create that reached the venue, as it came off the socket."""
        return [base64.b64decode(request["body"]) for request in sent(self.paper)]

    @invariant()
    def states_moved_only_as_allowed(self) -> None:
        moves = {str(row.pk): (PROPOSAL_MOVES, row.state) for row in Proposal.objects.all()}
        moves |= {str(row.pk): (ORDER_MOVES, row.state) for row in Order.objects.all()}
        histories: dict[str, list[str]] = {}
        for event in Event.objects.filter(subject__in=moves).order_by("id"):
            payload = facts_of(event)["payload"]
            if isinstance(payload, dict) and "state" in payload:
                histories.setdefault(event.subject, []).append(str(payload["state"]))
        for subject, (allowed, state) in moves.items():
            history = histories.get(subject, [])
            begun = ["INITIALIZED", *history] if allowed is ORDER_MOVES else history
            assert begun[-1] == state, (subject, begun, state)
            assert set(zip(begun, begun[1:], strict=False)) <= {(str(a), str(b)) for a, b in allowed}, begun

    @invariant()
    def what_is_unknown_stays_so_alarmed_and_reserved(self) -> None:
        self.unknown |= set(Order.objects.filter(state=OrderState.UNKNOWN).values_list("pk", flat=True))
        for order in Order.objects.filter(pk__in=self.unknown):
            assert order.state == OrderState.UNKNOWN
            assert order.reserved_amount > 0
            assert Alarm.objects.filter(code="ORDER_UNKNOWN", subject=f"order:{order.pk}", cleared_at=None).exists()

    @invariant()
    def what_is_reserved_adds_up_and_the_day_stays_within_its_limit(self) -> None:
        assert not conservation.check(since=None, progress=lambda done, total: None).broken
        days = Budget.objects.filter(connection=self.paper.connection, dimension=Dimension.DAILY_NOTIONAL)
        for day in days:
            assert day.in_use_minor <= DAY_LIMIT * 10**8

    @invariant()
    def what_is_void_binds_nothing_and_what_is_approved_has_an_order(self) -> None:
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
        """At the end of a day, because it reads everything: the chain is whole, and every decision replays."""
        call_command("audit_verify", verbosity=0)
        for decision in Decision.objects.all():
            assert not replays.problem_of(decision)


def run(simulator: SimulatorProcess, *, days: int, steps: int) -> set[str]:
    """Lets so many days pass; every state that proposals and orders came to."""

    class Day(Desk):
        def teardown(self) -> None:
            try:
                self.prove_the_record()
            finally:
                super().teardown()

    Day.simulator, Day.reached = simulator, set()
    limits = settings(
        max_examples=days,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        # A day that breaks a promise is shown as it was: making it smaller would take minutes of venue calls.
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Day, settings=limits)
    return Day.reached


@pytest.mark.slow
def test_a_few_days(db: None, simulator: SimulatorProcess) -> None:
    """A few short ones, and proof that they came anywhere."""
    assert {ProposalState.APPROVED, OrderState.ACCEPTED} <= run(simulator, days=8, steps=14)


@pytest.mark.slow
def test_many_days(db: None, simulator: SimulatorProcess) -> None:
    """Long ones, until every end has been seen that this issue knows."""
    reached = run(simulator, days=30, steps=30)
    assert reached >= {*ProposalState, OrderState.ACCEPTED, OrderState.FILLED, OrderState.UNKNOWN, OrderState.CANCELED}
