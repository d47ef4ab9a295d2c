"""Whatever goes wrong in whatever order: at most one order per approval, and only proof ends one of unknown fate.

Each example is a life of one order over the real simulator: its first request meets a fault, then come looks, replays
that meet faults of their own, late arrivals, halts, lapsed claims, comparisons, and people who give it up.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.common.errors import AikaError
from apps.policies.models import TradingState
from apps.policies.types import State
from apps.trades.models import Difference, Order, Proposal
from apps.trades.selectors.reconciliation import replays_of
from apps.trades.services import conclusions, differences, orders, sweeps
from apps.trades.services.reconciliation import runs
from apps.trades.types import LIVE_ORDER_STATES, DifferenceKind, InquiryAnswer, OrderState, RunTrigger
from tests.factories.desk import PaperDesk
from tests.factories.tampering import undone
from tests.factories.trading import halt, move, sent
from tests.factories.unknown import resolve

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

FIRST = (
    "timeout-after",
    "timeout-before",
    "5xx-after",
    "reset-before",
    "garbage",
    "cut-short",
    "late-arrival",
    "lapse",
)
REPLAY = ("reset-before", "5xx-after", "garbage", "429", "late-arrival", "none")
STEPS = st.lists(
    st.one_of(
        st.just(("look", "")),
        st.sampled_from(REPLAY).map(lambda fault: ("replay", fault)),
        st.sampled_from(["slow", "release", "halt", "active", "compare", "abandon"]).map(lambda verb: (verb, "")),
    ),
    max_size=7,
)


def fault(paper: PaperDesk, kind: str) -> None:
    seconds = {"late-arrival": "600", "timeout-after": "0", "timeout-before": "0"}
    numbers = {"seconds": seconds[kind]} if kind in seconds else {}
    paper.simulator.add_fault("create", kind, **numbers)


def first_request(paper: PaperDesk, proposal: Proposal, kind: str) -> None:
    """The order becomes UNKNOWN."""
    order = paper.order_of(proposal)
    if kind != "lapse":
        fault(paper, kind)
        assert paper.execute(proposal) == OrderState.UNKNOWN
        return
    claim = orders._claim(order.pk, timezone.now())
    assert claim is not None
    sweeps.resolve_lapsed_claims(now=claim.lease_until + timedelta(seconds=1))


def compare(paper: PaperDesk) -> None:
    runs.reconcile(
        connection_id=paper.connection.pk,
        trigger=RunTrigger.COMMAND,
        actor=differences.RECONCILIATION,
        clock=timezone.now,
    )


def take(paper: PaperDesk, proposal: Proposal, verb: str, kind: str) -> None:
    order = paper.order_of(proposal)
    if verb == "look":
        resolve(paper, proposal)
    elif verb == "replay":
        if kind != "none":
            fault(paper, kind)
        resolve(paper, proposal)
        paper.simulator.clear_faults()
    elif verb == "slow":
        paper.simulator.options(visible_ms=600_000)
    elif verb == "release":
        paper.simulator.release()
    elif verb == "halt":
        halt(paper)
    elif verb == "active":
        TradingState.objects.filter(connection=paper.connection).update(state=State.ACTIVE)
    elif verb == "compare":
        compare(paper)
    elif order.state == OrderState.UNKNOWN:
        abandon(paper, order)


def abandon(paper: PaperDesk, order: Order) -> None:
    try:
        conclusions.ask_to_abandon(order_id=order.pk, requester=paper.risk, reason="Looked.", now=timezone.now())
        conclusions.second_and_abandon(order_id=order.pk, seconder=paper.approver, clock=timezone.now)
    except AikaError as error:
        assert error.code in {"ORDER_FOUND", "SECOND_PERSON_PENDING"}, error


def hold(paper: PaperDesk, proposal: Proposal) -> None:
    """What is true after every step."""
    order = paper.order_of(proposal)
    assert len(paper.venue_orders(proposal)) <= 1
    assert len({json.dumps(request["body"], sort_keys=True) for request in sent(paper)}) <= 1
    assert order.state != OrderState.REJECTED
    assert order.state in LIVE_ORDER_STATES | {OrderState.FILLED, OrderState.ABANDONED}
    if order.state in {OrderState.ACCEPTED, OrderState.FILLED}:
        (told,) = paper.venue_orders(proposal)
        assert order.venue_order_id == told["order_id"]
    assert order.filled_quantity == sum(row.quantity for row in order.fills.all())


@given(first=st.sampled_from(FIRST), steps=STEPS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_at_most_one_order_and_an_end_only_by_proof(
    paper: PaperDesk, settings: Any, first: str, steps: Sequence[tuple[str, str]]
) -> None:
    settings.UNKNOWN_REPLAY_AFTER_S, settings.UNKNOWN_HORIZON_S = 0, 0
    with undone():
        cache.clear()
        paper.simulator.reset()
        paper.simulator.clear_faults()
        move(paper, "64000")
        proposal = paper.propose()
        paper.approve(proposal)
        first_request(paper, proposal, first)
        for verb, kind in steps:
            before = len(sent(paper))
            allowed = not _is_halted(paper)
            take(paper, proposal, verb, kind)
            hold(paper, proposal)
            assert allowed or len(sent(paper)) == before or verb == "release"
        _end(paper, proposal)


def _is_halted(paper: PaperDesk) -> bool:
    return TradingState.objects.filter(connection=paper.connection, state=State.HALTED).exists()


def _end(paper: PaperDesk, proposal: Proposal) -> None:
    """The venue behaves again and everything late has arrived: what is there is known here, and what is not is not."""
    paper.simulator.clear_faults()
    paper.simulator.options(visible_ms=0)
    paper.simulator.release()
    halt(paper)
    for _ in range(2):
        resolve(paper, proposal)
        compare(paper)
    order = paper.order_of(proposal)
    there = paper.venue_orders(proposal)
    hold(paper, proposal)
    if not there:
        assert order.state in {OrderState.UNKNOWN, OrderState.ABANDONED}
    elif order.state == OrderState.ABANDONED:
        late = Difference.objects.filter(order=order, kind=DifferenceKind.ORDER_LATE)
        assert late.exists() and order.filled_quantity == order.quantity
    else:
        assert (order.state, order.filled_quantity) == (OrderState.FILLED, order.quantity)
    assert replays_of(order.pk).count(InquiryAnswer.ASKED) <= 5
