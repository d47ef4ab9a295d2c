"""What stands between a halt and a request about to leave. `tests.crash --halts` tries it thousands of times."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from apps.common import fault_places as places
from apps.common import faults
from apps.common.errors import Unavailable
from apps.policies.models import TradingState
from apps.policies.selectors import trading_state
from apps.policies.services import barrier
from apps.policies.types import State
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk
from tests.factories.trading import halt, sent


@pytest.fixture
def at() -> Any:
    """Do something when an order comes to a point."""

    def install(label: str, act: Callable[[], None]) -> None:
        def hook(reached: str) -> None:
            if reached == label:
                faults.install(None)
                act()

        faults.install(hook)

    yield install
    faults.install(None)


@pytest.mark.parametrize("label", [places.CLAIM.after, places.PLACE.before])
def test_a_halt_after_the_claim_stops_the_request(paper: PaperDesk, at: Any, label: str) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    at(label, lambda: halt(paper))

    assert paper.execute(proposal) == OrderState.INITIALIZED

    assert (paper.order_of(proposal).reason_code, sent(paper)) == ("TRADING_STATE_MOVED", [])


def test_without_a_halt_the_same_request_leaves(paper: PaperDesk, at: Any) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    at(places.PLACE.before, lambda: None)

    assert paper.execute(proposal) == OrderState.ACCEPTED
    assert len(sent(paper)) == 1


def test_a_halt_while_the_answer_is_awaited_waits_for_nothing(paper: PaperDesk, at: Any) -> None:
    """The gate is left once the request is written."""
    proposal = paper.propose()
    paper.approve(proposal)
    # Prices are read over a socket too: the order's own comes after the gate.
    at(places.LEAVING.label, lambda: at(places.ANSWERED.label, lambda: halt(paper)))

    assert paper.execute(proposal) == OrderState.ACCEPTED
    assert trading_state(paper.connection.pk) == State.HALTED


@pytest.mark.parametrize(
    ("judged", "now_is", "passes"),
    [
        (State.ACTIVE, State.ACTIVE, True),
        (State.ACTIVE, State.REDUCING, False),
        (State.ACTIVE, State.HALTED, False),
        (State.REDUCING, State.REDUCING, True),
        (State.REDUCING, State.HALTED, False),
        (State.REDUCING, State.ACTIVE, True),
        (State.HALTED, State.HALTED, False),
    ],
)
def test_only_what_is_no_tighter_than_was_judged_passes(
    paper: PaperDesk, judged: State, now_is: State, passes: bool
) -> None:
    TradingState.objects.create(
        scope=str(paper.connection.pk),
        connection=paper.connection,
        state=now_is,
        changed_by="Test",
        changed_at=timezone.now(),
    )
    if passes:
        with barrier.passing(paper.connection.pk, judged=judged):
            pass
        return
    with pytest.raises(Unavailable) as refused, barrier.passing(paper.connection.pk, judged=judged):
        pass
    assert (refused.value.code, refused.value.details) == ("TRADING_STATE_MOVED", {"state": now_is})
