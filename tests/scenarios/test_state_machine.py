"""Random days at a desk. After each step every promise that can be seen from outside must hold.

Each step goes through the services and, where an order leaves, through HTTP to the real simulator. The promises are
checked against what the venue has, not against what the application says about itself.
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from apps.accounts.models import User
from apps.accounts.services import people
from apps.approvals.services import decide
from apps.common import faults
from apps.common.errors import AikaError, Conflict, Denied, Forbidden, NotFound, Unavailable
from apps.connectors.types import Side
from apps.policies.types import State
from apps.trades.models import Authority, Order, Proposal
from apps.trades.services import (
    cancels,
    endings,
    fills,
    orders,
    proposals,
    resolution,
    sweeps,
    withdrawals,
)
from apps.trades.services.proposals import KeyUsed
from apps.trades.services.reconciliation import runs
from apps.trades.types import LIVE_ORDER_STATES, WORKING_STATES, Narrative, OrderState, ProposalState, RunTrigger
from tests.crash.cells import CANCEL, COMPARE, POLL, REPLAY, SCAN, WORKER
from tests.crash.clock import Clock
from tests.factories.desk import paper_desk
from tests.factories.trading import ONE_NEEDED, TWO_NEEDED, change_policy, rules_with
from tests.scenarios.claims import HELD
from tests.scenarios.evenings import Evenings
from tests.scenarios.promises import DAY_LIMIT
from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.django_db

MID = 64000
TIERS = {1: ONE_NEEDED, 2: TWO_NEEDED}
PICK = st.integers(0, 9)
DAYS_PER_SEED = 4
DAYS_MIN, DAYS_MAX = 16, 60
PLACES_MIN = 20
STATES_OF_FEW_DAYS = 6
BROKEN = ["timeout-before", "timeout-after", "5xx-after", "reset-after", "garbage", "429"]
TROUBLE = st.sampled_from(["", *BROKEN, "halt", "drift", "policy"])
AT_WORK = [label for label in WORKER if not label.startswith(("execute.", "publish."))]


def rules_of(needed: int) -> Any:
    return rules_with(
        approvals={"tiers": TIERS[needed]},
        daily_notional={"max_notional": str(DAY_LIMIT)},
        rate_proposer={"max_count": "100"},
        rate_connection={"max_count": "100"},
    )


def where_an_order_is(*states: str) -> Any:
    """A step that there is nothing for is not taken: a day is made of things that happen."""
    return precondition(lambda self: Order.objects.filter(connection=self.paper.connection, state__in=states).exists())


def where_a_proposal_is(*states: str) -> Any:
    return precondition(
        lambda self: Proposal.objects.filter(connection=self.paper.connection, state__in=states).exists()
    )


class Killed(BaseException):
    """The process is gone: nothing of ours catches this, and what was not committed is not there."""


class Desk(Evenings):
    """People, workers, a venue and a market, each doing something at random, by a clock that a day may move."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock().install()
        self.point = transaction.savepoint()
        cache.clear()
        self.simulator.reset(BTC=str(HELD))
        self.rules = rules_of(1)
        self.paper = paper_desk(self.simulator, rules=self.rules)
        self.count = 0
        self.listen()
        self.market_stands_at(Decimal(MID))

    def teardown(self) -> None:
        try:
            self.the_day_ends()
            self.prove_the_record()
        finally:
            self.end()

    def end(self) -> None:
        faults.install(None)
        self.simulator.clear_faults()
        transaction.savepoint_rollback(self.point)
        self.clock.remove()

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
        self.propose(side, 1, resting=False)
        proposal = Proposal.objects.filter(connection=self.paper.connection).latest("created_at")
        for person in (self.paper.approver, self.paper.risk):
            self.refused(partial(self.paper.approve, proposal, by=person))
        order = Order.objects.filter(proposal=proposal).first()
        if order is None:
            return
        self.make_trouble(trouble)
        for _ in range(2 if far > 1 else 0):
            orders.execute(order_id=order.pk, clock=timezone.now)
        if far > 2:
            fills.poll_order(order_id=order.pk, now=self.now)

    @rule(pick=PICK, label=st.sampled_from(AT_WORK), again=st.booleans(), resting=st.booleans())
    def a_worker_dies(self, pick: int, label: str, again: bool, resting: bool) -> None:
        """At any place of its way, with an order that waits or a new one; its message comes again, or not."""
        if not Order.objects.filter(state=OrderState.INITIALIZED).exists():
            self.propose(Side.BUY, 1, resting=resting)
            self.approve(pick, "approver")
            self.approve(pick, "risk")
        if (order := self.some_order(pick, OrderState.INITIALIZED)) is None:
            return
        self.dies_at(label, lambda: orders.execute(order_id=order.pk, clock=timezone.now))
        if again:
            orders.execute(order_id=order.pk, clock=timezone.now)

    def make_trouble(self, trouble: str) -> None:
        if trouble == "halt":
            self.tighten(State.HALTED)
        elif trouble == "drift":
            self.price_moves(300)
        elif trouble == "policy":
            self.policy_changes(2)
        elif trouble:
            self.simulator.add_fault("create", trouble, seconds="0")

    @rule(side=st.sampled_from(list(Side)), hundredths=st.integers(1, 3), resting=st.booleans())
    def propose(self, side: Side, hundredths: int, resting: bool) -> None:
        self.count += 1
        quantity = Decimal(hundredths) / 100 + Decimal(self.count) / 10**6
        away = {"limit_price": Decimal(60000 if side is Side.BUY else 70000)} if resting else {}
        self.refused(lambda: self.paper.propose(side=side, quantity=quantity, **away), Unavailable)

    @where_a_proposal_is(ProposalState.AWAITING_APPROVAL)
    @rule(pick=PICK, who=st.sampled_from(["approver", "approver2", "risk", "trader"]))
    def approve(self, pick: int, who: str) -> None:
        if (proposal := self.one(pick, ProposalState.AWAITING_APPROVAL)) is None:
            return
        person: User = getattr(self.paper, who)
        if who == "trader":
            with pytest.raises((Forbidden, Conflict)):
                self.paper.approve(proposal, by=person)
            return
        self.refused(lambda: self.paper.approve(proposal, by=person))

    @where_a_proposal_is(ProposalState.AWAITING_APPROVAL, ProposalState.APPROVED)
    @rule(pick=PICK, how=st.sampled_from(["decline", "revoke", "withdraw", "expire", "propose again"]))
    def a_proposal_may_end(self, pick: int, how: str) -> None:
        proposal = self.one(pick, ProposalState.AWAITING_APPROVAL, ProposalState.APPROVED)
        if proposal is not None:
            self.refused(lambda: self.ends[how](proposal), Conflict, NotFound, Denied)

    @property
    def ends(self) -> dict[str, Callable[[Proposal], Any]]:
        paper, now = self.paper, self.now
        return {
            "decline": lambda row: decide.decline(
                proposal_id=row.pk, approver=paper.risk, digest=row.digest, comment="No.", now=now
            ),
            "revoke": lambda row: decide.revoke(proposal_id=row.pk, approver=paper.approver, comment="Hm.", now=now),
            "withdraw": lambda row: withdrawals.withdraw(
                proposal_id=row.pk, principal=paper.principal, reason="", now=now
            ),
            "expire": self.expire,
            "propose again": self.propose_again,
        }

    def expire(self, proposal: Proposal) -> None:
        assert not endings.expire(proposal_id=proposal.pk, now=proposal.expires_at - timedelta(microseconds=1))
        endings.expire(proposal_id=proposal.pk, now=proposal.expires_at)

    def propose_again(self, proposal: Proposal) -> None:
        """15: the key of a proposal makes no second one."""
        before = Proposal.objects.count()
        with pytest.raises((KeyUsed, Unavailable)):
            proposals.propose(
                intent=self.paper.intent(quantity=Decimal("0.011")),
                narrative=Narrative(rationale="The same key."),
                principal=self.paper.principal,
                idempotency_key=proposal.idempotency_key,
                now=self.now,
            )
        assert Proposal.objects.count() == before

    @where_an_order_is(OrderState.INITIALIZED)
    @rule(pick=PICK, how=st.sampled_from(["once", "twice", "too late"]))
    def execute(self, pick: int, how: str) -> None:
        if (order := self.some_order(pick, OrderState.INITIALIZED)) is None:
            return
        late = Authority.objects.get(pk=order.authority_id).valid_until
        for _ in range(2 if how == "twice" else 1):
            orders.execute(order_id=order.pk, clock=(lambda: late) if how == "too late" else timezone.now)

    @rule(kind=st.sampled_from(["slow-listing", "late-arrival", "lost-fills", "duplicate-fills", *BROKEN]))
    def the_venue_misbehaves(self, kind: str) -> None:
        seconds = "3600" if kind in {"slow-listing", "late-arrival"} else "0"
        self.simulator.add_fault("fills" if kind.endswith("fills") else "create", kind, seconds=seconds)

    @rule()
    def the_venue_catches_up(self) -> None:
        self.simulator.release()

    def dies_at(self, label: str, work: Callable[[], Any]) -> None:
        """Somebody's process does this work and is killed there, if it comes there."""

        def hook(reached: str) -> None:
            if reached == label:
                self.listen()
                raise Killed

        self.listen(hook)
        try:
            self.refused(work)
        except Killed:
            self.reached.add(f"killed at {label}")
        finally:
            self.listen()

    def some_order(self, pick: int, *states: str) -> Order | None:
        rows = list(Order.objects.filter(connection=self.paper.connection, state__in=states).order_by("created_at"))
        return rows[pick % len(rows)] if rows else None

    @where_an_order_is(*WORKING_STATES)
    @rule(pick=PICK, label=st.sampled_from(["", *POLL[1:]]))
    def book_an_order(self, pick: int, label: str) -> None:
        if (order := self.some_order(pick, *WORKING_STATES)) is not None:
            self.dies_at(label, lambda: fills.poll_order(order_id=order.pk, now=self.now))

    @where_an_order_is(OrderState.UNKNOWN, OrderState.SUBMITTED)
    @rule(pick=PICK, label=st.sampled_from(["", *SCAN, *REPLAY]), seconds=st.sampled_from([0, 16, 31, 61]))
    def look_for_an_order(self, pick: int, label: str, seconds: int) -> None:
        self.clock.advance(seconds)
        sweeps.resolve_lapsed_claims(now=self.now)
        if (order := self.some_order(pick, OrderState.UNKNOWN)) is not None:
            self.dies_at(label, lambda: resolution.resolve(order_id=order.pk, clock=timezone.now, due_only=False))

    @rule(label=st.sampled_from(["", "", *COMPARE]))
    def compare_with_the_venue(self, label: str) -> None:
        self.dies_at(
            label,
            lambda: runs.reconcile(
                connection_id=self.paper.connection.pk,
                trigger=RunTrigger.COMMAND,
                actor=people.actor_of(self.paper.risk),
                clock=timezone.now,
            ),
        )

    @where_an_order_is(*LIVE_ORDER_STATES)
    @rule(pick=PICK, label=st.sampled_from(["", *CANCEL]))
    def cancel_an_order(self, pick: int, label: str) -> None:
        """Somebody wants it, and the venue is asked; either may die on the way."""
        order = self.some_order(pick, *LIVE_ORDER_STATES)
        if order is None:
            return
        actor = people.actor_of(self.paper.approver)
        self.dies_at(label, lambda: cancels.request_cancel(order_id=order.pk, actor=actor, reason="Hm.", now=self.now))
        self.dies_at(label, lambda: cancels.send_cancel(order_id=order.pk, clock=timezone.now))

    @rule(seconds=st.sampled_from([1, 6, 16, 31, 61, 601, 3601]))
    def time_passes(self, seconds: int) -> None:
        """The sweeps run, and everything of a working order is read."""
        self.clock.advance(seconds)
        now = self.now
        sweeps.publish_pending(now=now)
        sweeps.publish_polls(now=now)
        sweeps.resolve_lapsed_claims(now=now)
        sweeps.expire_due(now=now)
        for order in Order.objects.filter(connection=self.paper.connection):
            fills.poll_order(order_id=order.pk, now=now)

    @rule(bps=st.sampled_from([-300, -50, -1, 1, 50, 199, 300]))
    def price_moves(self, bps: int) -> None:
        self.market_stands_at(Decimal(MID) * (10_000 + bps) / 10_000)

    @rule(needed=st.sampled_from([1, 2]), gone=st.booleans())
    def policy_changes(self, needed: int, gone: bool = False) -> None:
        self.rules = rules_of(needed)
        change_policy(self.paper, self.rules)
        User.objects.filter(pk=self.paper.approver2.pk).update(is_active=not gone)


def run(
    simulator: SimulatorProcess, *, days: int, steps: int, enough: Callable[[set[str]], bool] = lambda reached: False
) -> set[str]:
    """Lets so many days pass, or from `DAYS_MIN` on only until it is `enough`; every state that proposals and orders
    came to, and every place where somebody died.

    A few days from each of several seeds: from one alone, later days are mostly earlier ones again.
    """
    Desk.simulator, Desk.reached, Desk.kinds_judged = simulator, set(), set()
    limits = settings(
        max_examples=DAYS_PER_SEED,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        # A day that breaks a promise is shown as it was: making it smaller would take minutes of venue calls.
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    for number in range(days // DAYS_PER_SEED):
        run_state_machine_as_test(seed(number)(type(f"Days{number}", (Desk,), {})), settings=limits)
        if (number + 1) * DAYS_PER_SEED >= DAYS_MIN and enough(Desk.reached):
            break
    return Desk.reached


def places(reached: set[str]) -> int:
    """At how many places somebody died."""
    return sum(one.startswith("killed at ") for one in reached)


def test_a_few_days(db: None, simulator: SimulatorProcess) -> None:
    """A few short ones, and proof that they came somewhere: orders left, some came to no end that is known or lost
    their ground, somebody died. Not each state by name: what a step meets hangs on how busy the machine is."""
    reached = run(simulator, days=4, steps=8)
    assert {ProposalState.APPROVED, OrderState.ACCEPTED} <= reached
    assert len(reached & {*ProposalState, *OrderState}) >= STATES_OF_FEW_DAYS, reached
    assert places(reached), reached


@pytest.mark.slow
def test_many_days(db: None, simulator: SimulatorProcess) -> None:
    """Long ones, until every end has been seen, and somebody has died at most places."""
    ends = {*ProposalState, OrderState.ACCEPTED, OrderState.FILLED, OrderState.UNKNOWN, OrderState.CANCELED}
    ends |= {"latch tripped", "latch reset", "a day was lost", "asked again"}
    reached = run(simulator, days=DAYS_MAX, steps=30, enough=lambda seen: ends <= seen and places(seen) >= PLACES_MIN)
    assert ends <= reached
    assert places(reached) >= PLACES_MIN
