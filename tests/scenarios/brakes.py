"""The steps of a random day that tighten and loosen: halts, what trips by itself, and the two who let go again."""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from apps.accounts.services import people
from apps.common.errors import Conflict, Denied, NotFound
from apps.policies.models import Latch
from apps.policies.services import latches as policy_latches
from apps.policies.services import trading_state as halting
from apps.policies.types import LatchKind, RuleRow, State
from apps.trades.models import Order, Position
from apps.trades.services import latches, resumption, self_checks
from apps.trades.types import WORKING_STATES
from tests.factories.trading import change_policy
from tests.scenarios.repeats import Repeats

LOSE_NOTHING = RuleRow("daily-loss", "daily_loss", {"max_loss": "0.01"})
FALLEN = Decimal("0.5")
# Enough that half of its price is more than a day here can win.
MUCH = Decimal("0.009")
A_DAY_S = 24 * 3600


class Brakes(Repeats):
    """Who tightens, what trips, and who loosens. `rules` are those in force."""

    rules: Sequence[RuleRow]

    @property
    def tripped_latches(self) -> Any:
        return Latch.objects.filter(scope=str(self.paper.connection.pk), reset_at=None).order_by("tripped_at")

    @rule(to=st.sampled_from([State.REDUCING, State.HALTED]))
    def tighten(self, to: State) -> None:
        act = halting.halt if to is State.HALTED else halting.reduce
        where = self.paper.connection.pk
        act(connection_id=where, actor=people.actor_of(self.paper.trader), reason="Test.", now=self.now)

    @precondition(lambda self: self.working().exists())
    @rule(seen_to=st.booleans())
    def prices_die(self, seen_to: bool) -> None:
        """An order rests, and no price comes any more: the self-checks see it, and after a while it trips. Perhaps two
        people look into it at once."""
        connection = self.paper.connection
        self.clock.advance(settings.TRIP_QUOTE_OLD_S + 1)
        self_checks.check(connection, now=self.now)
        self.clock.advance(settings.TRIP_QUOTES_DEAD_S + 1)
        self_checks.check(connection, now=self.now)
        assert self.tripped_latches.filter(kind=LatchKind.QUOTES_DEAD).exists()
        self.reached.add("latch tripped")
        if seen_to:
            self.two_people_reset_a_latch()

    @precondition(lambda self: self.holds_much())
    @rule(seen_to=st.booleans())
    def a_day_is_lost(self, seen_to: bool) -> None:
        """13: policy gets stricter, the market falls, and it trips. Then the market comes back, policy is loosened
        again and a new day begins, in which nothing is lost: none of them lets go, only two people do."""
        connection, before = self.paper.connection, self.rules
        change_policy(self.paper, [LOSE_NOTHING if row.key == LOSE_NOTHING.key else row for row in before])
        mid = self.mid
        self.market_stands_at(mid * FALLEN)
        self_checks.check(connection, now=self.now)
        change_policy(self.paper, before)
        self.market_stands_at(mid)
        self.clock.advance(A_DAY_S)
        self.market_stands_at(mid)
        self_checks.check(connection, now=self.now)
        assert self.tripped_latches.filter(kind=LatchKind.DAILY_LOSS).exists(), "a new day let go"
        assert self.state() != State.ACTIVE, "a new day let go"
        self.reached.add("a day was lost")
        if seen_to:
            self.two_people_reset_a_latch()

    def holds_much(self) -> bool:
        """Of what was bought here."""
        held = Position.objects.filter(connection=self.paper.connection).values_list("quantity", flat=True)
        return any(quantity >= MUCH for quantity in held)

    def working(self) -> Any:
        return Order.objects.filter(connection=self.paper.connection, state__in=WORKING_STATES)

    def two_people_reset_a_latch(self) -> None:
        """Two, never one; and the state stays as tight as it was."""
        latch, before = self.tripped_latches.first(), self.state()
        alone = partial(latches.second_reset, latch_id=latch.pk, seconder=self.paper.risk, now=self.now)
        with pytest.raises((NotFound, Denied)):
            alone()
        self.refused(
            lambda: policy_latches.request_reset(
                latch_id=latch.pk, requester=self.paper.risk, reason="Looked into.", now=self.now
            ),
            Conflict,
        )
        with pytest.raises(Denied):
            alone()
        latches.second_reset(latch_id=latch.pk, seconder=self.paper.approver, now=self.now)
        self.reached.add("latch reset")
        assert self.state() == before

    @precondition(lambda self: self.state() != State.ACTIVE)
    @rule(seen_to=st.booleans())
    def resume(self, seen_to: bool) -> None:
        """Two people, on evidence. What is in flight is looked for first, or the evidence would not carry it; and what
        has tripped stands in the way until it is reset."""
        where = self.paper.connection.pk
        self.simulator.release()
        while seen_to and self.tripped_latches.exists():
            self.two_people_reset_a_latch()
        self.compare_with_the_venue("")

        def two_people() -> None:
            resumption.ask(connection_id=where, requester=self.paper.risk, reason="Test.", clock=self.clock.now)
            resumption.second(connection_id=where, seconder=self.paper.approver, clock=self.clock.now)

        stuck = self.tripped_latches.exists()
        self.refused(two_people, Denied, Conflict)
        assert not stuck or self.state() != State.ACTIVE
