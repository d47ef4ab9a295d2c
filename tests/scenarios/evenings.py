"""How a random day ends: nothing breaks any more, the sweeps go on turning, and nothing may be left in silence.

Every message of the day was lost: a day's steps run in one transaction, which is taken back, so none ever left. What
a turn of the sweeps publishes is delivered.
"""

from typing import Any
from unittest.mock import patch

from django.test import TestCase
from hypothesis import strategies as st
from hypothesis.stateful import rule

from apps.common import fault_places as places
from apps.common import tasks
from apps.policies.types import State
from apps.trades.models import HaltClearing, Order, Proposal
from apps.trades.services import orders
from apps.trades.types import IN_FLIGHT_STATES, ClearingOutcome, OrderState, ProposalState
from config.beat import Periodic
from config.celery import app
from tests.crash import turns
from tests.crash.judge import is_alarmed
from tests.scenarios.brakes import Brakes

# Seconds between turns: often at first, then past every bound, lease and validity there is.
EVENING_S = (1, 10, 35, 65, 900, 2700)
# After a halt: two looks at an empty list, and what an order of unknown fate makes them wait.
NIGHT_S = (1, 2, 35)
# What an invariant checks after every step, and the memory.
LEFT_OUT = {"trades.check_reservations", "trades.remember_outcomes"}
ROUNDS_MAX = 4
# Places where a request is still to leave, and where it is leaving or has left.
BEFORE_IT_LEAVES = (places.CLAIM.after, places.PLACE.before)
WHILE_IT_LEAVES = (places.WRITTEN.label, places.ANSWERED.label, places.ANSWER.before)


def turning() -> list[Periodic]:
    """The sweeps over orders."""
    return [one for one in turns.turning() if one.task.startswith("trades.") and one.task not in LEFT_OUT]


class Evenings(Brakes):
    """A halt that meets a request, and the end of the day."""

    @rule(label=st.sampled_from([*BEFORE_IT_LEAVES, *WHILE_IT_LEAVES]))
    def a_halt_meets_a_request(self, label: str) -> None:
        """12: at most what was already leaving leaves; nothing that was still to."""
        order = self.waiting().order_by("created_at").first()
        if order is None:
            return
        met: list[int] = []

        def hook(reached: str) -> None:
            if reached == label and not met:
                met.append(len(self.creates()))
                self.tighten(State.HALTED)

        self.listen(hook)
        try:
            orders.execute(order_id=order.pk, clock=self.clock.now)
        finally:
            self.listen()
        if met:
            self.reached.add("halted in flight")
            after = len(self.creates()) - met[0]
            assert after <= (0 if label in BEFORE_IT_LEAVES else 1), (label, after)

    def the_day_ends(self) -> None:
        """Nothing breaks any more. Every other day somebody halts first."""
        self.listen()
        self.simulator.clear_faults()
        self.simulator.release()
        if self.count % 2:
            self.a_halt_empties_the_venue()
        self.nothing_is_left_in_silence()

    def a_halt_empties_the_venue(self) -> None:
        """12: what rests there is canceled, until nothing is left, and nothing more is sent."""
        self.tighten(State.HALTED)
        sent = len(self.creates())
        self.turn(*NIGHT_S)
        left = [row for row in self.simulator.orders() if row["status"] in ("OPEN", "PENDING")]
        assert not left, left
        clearing = HaltClearing.objects.filter(connection=self.paper.connection).latest("started_at")
        in_flight = Order.objects.filter(connection=self.paper.connection, state__in=IN_FLIGHT_STATES)
        assert clearing.outcome == ClearingOutcome.DONE or in_flight.exists(), clearing.outcome
        assert len(self.creates()) == sent

    def nothing_is_left_in_silence(self) -> None:
        """10: whatever was approved has come to its end, or a person is told."""
        self.turn(*EVENING_S)
        waiting = Proposal.objects.filter(connection=self.paper.connection, state=ProposalState.AWAITING_APPROVAL)
        assert not waiting.filter(expires_at__lte=self.now).exists(), "its time is over, and it waits"
        for order in Order.objects.filter(connection=self.paper.connection, state__in=IN_FLIGHT_STATES):
            assert is_alarmed(order), (order.state, order.reason_code)
        left = Order.objects.filter(connection=self.paper.connection, state=OrderState.INITIALIZED)
        assert not left.exists(), "approved, never sent, and nobody is told"

    def turn(self, *seconds: int) -> None:
        """Let so much time go by before each turn, and deliver what it publishes."""
        app.loader.import_default_modules()
        for pause in seconds:
            self.clock.advance(pause)
            waiting: list[tuple[str, dict[str, Any]]] = [(one.task, {}) for one in turning()]
            for _ in range(ROUNDS_MAX):
                waiting = [told for name, arguments in waiting for told in self.deliver(name, arguments)]

    def deliver(self, name: str, arguments: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Run one task; what it published."""
        told: list[tuple[str, dict[str, Any]]] = []

        def keep(name: str, arguments: dict[str, Any], headers: dict[str, str]) -> None:
            told.append((name, arguments))

        with patch.object(tasks, "_send", keep), TestCase.captureOnCommitCallbacks(execute=True):
            app.tasks[name](**arguments)
        return told
