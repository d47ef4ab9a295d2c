"""After a halt everything of ours that is open is canceled at the venue, until its list is empty twice."""

import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import override_settings
from django.utils import timezone

from apps.audit.models import Alarm, Event
from apps.audit.types import Actor
from apps.common.commands import Exit
from apps.connectors.errors import RateLimited
from apps.connectors.services import venue
from apps.connectors.venues.coinbase.connector import CoinbaseConnector
from apps.connectors.venues.coinbase.limits import Priority
from apps.policies.services import trading_state
from apps.trades.models import HaltClearing, Order, Proposal
from apps.trades.selectors.clearing import clearing_of
from apps.trades.services import fills, halting, orders
from apps.trades.types import OrderState, ProposalState
from tests.factories.desk import PaperDesk
from tests.factories.tampering import tamper
from tests.factories.trading import halt, kinds, move, sent

pytestmark = pytest.mark.django_db

REST = Decimal("60000")


class Later:
    """A clock that stands `seconds` ahead of the real one."""

    def __init__(self) -> None:
        self.seconds = 0

    def __call__(self) -> datetime:
        return timezone.now() + timedelta(seconds=self.seconds)


@pytest.fixture
def clock() -> Later:
    return Later()


def rest(paper: PaperDesk, count: int = 1) -> list[Proposal]:
    """Orders that work at the venue."""
    move(paper, "64000")
    proposals = []
    for number in range(count):
        proposal = paper.propose(limit_price=REST - number)
        paper.approve(proposal)
        assert paper.execute(proposal) == OrderState.ACCEPTED
        proposals.append(proposal)
    return proposals


def clear(paper: PaperDesk, clock: Later, *, seconds: int = 2) -> str:
    clock.seconds += seconds
    return halting.clear(connection_id=paper.connection.pk, clock=clock)


def poll_all(paper: PaperDesk) -> None:
    for order in Order.objects.filter(connection=paper.connection).exclude(venue_order_id=""):
        fills.poll_order(order_id=order.pk, now=timezone.now())


def clear_until_done(paper: PaperDesk, clock: Later) -> HaltClearing:
    for _ in range(8):
        state = clear(paper, clock)
        poll_all(paper)
        if state == "DONE":
            return HaltClearing.objects.get(connection=paper.connection, outcome="DONE")
    raise AssertionError(clearing_of(str(paper.connection.pk)).sentence)


def open_at_venue(paper: PaperDesk) -> int:
    return sum(row["status"] == "OPEN" for row in paper.simulator.orders())


def test_resting_orders_are_canceled_until_the_list_is_empty_twice(paper: PaperDesk, clock: Later) -> None:
    proposals = rest(paper, 3)
    halt(paper)
    assert clear(paper, clock) == "RUNNING"
    assert open_at_venue(paper) == 0
    assert len(paper.simulator.requests("/batch_cancel")) == 1, "one call cancels them all"
    assert not clearing_of(str(paper.connection.pk)).is_done, "one look is not enough, nor is having asked"
    done = clear_until_done(paper, clock)
    assert (done.empty_lists, done.asked_orders, done.open_orders) == (2, 3, 0)
    assert {paper.order_of(proposal).state for proposal in proposals} == {OrderState.CANCELED}
    assert "Trading was halted: Test." in paper.order_of(proposals[0]).reason
    found = clearing_of(str(paper.connection.pk))
    assert found.is_done
    assert "empty twice" in found.sentence
    recorded = Event.objects.filter(stream=f"halt:{paper.connection.pk}").order_by("seq")
    assert [event.kind for event in recorded] == ["halt.clearing", "halt.cleared"]
    before = len(paper.simulator.requests())
    assert clear(paper, clock) == ""
    assert halting.publish_passes(now=clock()) == 0
    assert len(paper.simulator.requests()) == before, "a cleared halt asks the venue nothing more"


def test_what_has_not_left_never_does(paper: PaperDesk, clock: Later) -> None:
    move(paper, "64000")
    proposal = paper.propose(limit_price=REST)
    paper.approve(proposal)
    halt(paper)
    clear_until_done(paper, clock)
    proposal.refresh_from_db()
    assert (proposal.state, proposal.end_code) == (ProposalState.VOIDED, "TRADING_HALTED")
    assert not sent(paper)


def test_one_request_in_flight_is_found_and_canceled(paper: PaperDesk, clock: Later) -> None:
    """The claim was before the halt and the answer is lost after it: what landed is canceled when it is seen."""
    move(paper, "64000")
    proposal = paper.propose(limit_price=REST)
    paper.approve(proposal)
    paper.simulator.add_fault("create", "timeout-after", seconds="0.1")
    assert paper.execute(proposal) == OrderState.UNKNOWN
    halt(paper)
    assert clear(paper, clock) == "RUNNING"
    assert open_at_venue(paper) == 0
    assert "order.cancel_requested" in kinds(proposal)
    clear_until_done(paper, clock)
    assert paper.order_of(proposal).state == OrderState.CANCELED


def test_it_is_not_over_while_an_order_may_still_turn_up(paper: PaperDesk, clock: Later) -> None:
    move(paper, "64000")
    proposal = paper.propose(limit_price=REST)
    paper.approve(proposal)
    claim = orders._claim(paper.order_of(proposal).pk, timezone.now(), timezone.now)
    assert claim is not None
    halt(paper)
    for _ in range(4):
        assert clear(paper, clock, seconds=31) == "RUNNING"
    found = clearing_of(str(paper.connection.pk)).connections[0]
    assert (found.open_orders, found.in_flight_orders, found.empty_lists) == (0, 1, 0)
    assert "may still turn up" in found.sentence
    venue.connect(paper.connection).place_order(claim.body)  # the request that was on the wire lands now
    clear(paper, clock, seconds=31)
    assert open_at_venue(paper) == 0
    clear_until_done(paper, clock)


def test_everything_is_halted_at_once(paper: PaperDesk, clock: Later) -> None:
    rest(paper)
    trading_state.halt(connection_id=None, actor=Actor.system("test"), reason="All.", now=timezone.now())
    assert halting.publish_passes(now=timezone.now(), scope="global") == 1
    clear_until_done(paper, clock)
    assert clearing_of("global").is_done


def test_orders_of_others_are_told_and_left_alone(paper: PaperDesk, clock: Later) -> None:
    (proposal,) = rest(paper)
    body = json.loads(bytes(proposal.request_body)) | {"client_order_id": f"somebody-{uuid4().hex}"}
    venue.connect(paper.connection).place_order(json.dumps(body).encode())
    halt(paper)
    done = clear_until_done(paper, clock)
    assert done.foreign_orders == open_at_venue(paper) == 1
    assert "not ours" in Alarm.objects.get(code="FOREIGN_ORDERS_OPEN").message
    assert "left alone" in clearing_of(str(paper.connection.pk)).connections[0].sentence


def test_open_under_our_name_although_it_had_ended_here(paper: PaperDesk, clock: Later) -> None:
    """Our row is wrong, the venue is right: nobody wants it to trade."""
    (proposal,) = rest(paper)
    tamper(paper.order_of(proposal), state=OrderState.CANCELED)
    halt(paper)
    clear_until_done(paper, clock)
    assert open_at_venue(paper) == 0


def test_a_venue_that_does_not_answer_is_asked_again(paper: PaperDesk, clock: Later) -> None:
    rest(paper)
    halt(paper)
    url = paper.connection.api_base
    tamper(paper.connection, api_base="http://127.0.0.1:9")
    assert clear(paper, clock) == "RUNNING"
    assert "could not be listed" in clearing_of(str(paper.connection.pk)).connections[0].sentence
    tamper(paper.connection, api_base=url)
    clear_until_done(paper, clock)


def test_a_list_that_fails_between_two_empty_ones_does_not_count(paper: PaperDesk, clock: Later) -> None:
    halt(paper)
    assert clear(paper, clock) == "RUNNING"
    url = paper.connection.api_base
    tamper(paper.connection, api_base="http://127.0.0.1:9")
    assert clear(paper, clock) == "RUNNING"
    tamper(paper.connection, api_base=url)
    assert clear(paper, clock) == "RUNNING", "the first of two"
    assert clear(paper, clock, seconds=3) == "DONE"


def test_with_a_full_bucket_and_a_connection_that_is_off(paper: PaperDesk, clock: Later) -> None:
    """Reads and orders have used up what they may: a cancel and the look after it still leave."""
    rest(paper)
    tamper(paper.connection, is_active=False)
    paper.connection.refresh_from_db()
    connector = venue.connect(paper.connection)
    assert isinstance(connector, CoinbaseConnector)
    limiter = connector.client.limiter
    limiter._minutes.append((int(limiter._clock() // 60), 9_900 - limiter.used_this_hour()))
    for priority in (Priority.READ, Priority.ORDER):
        with pytest.raises(RateLimited):
            limiter.acquire(priority, deadline=limiter._clock())
    halt(paper)
    assert clear(paper, clock) == "RUNNING"
    assert open_at_venue(paper) == 0
    limiter._minutes.clear()
    clear_until_done(paper, clock)


def test_halting_may_leave_orders_alone(paper: PaperDesk, clock: Later) -> None:
    rest(paper)
    halt(paper)
    with override_settings(HALT_CANCELS_ORDERS=False):
        assert halting.publish_passes(now=clock()) == 0
        assert clear(paper, clock) == ""
        assert "HALT_CANCELS_ORDERS is off" in clearing_of(str(paper.connection.pk)).sentence
    assert open_at_venue(paper) == 1


def test_a_pass_that_died_is_taken_over(paper: PaperDesk, clock: Later) -> None:
    rest(paper)
    halt(paper)
    assert halting._take_turn(paper.connection.pk, clock()) is not None
    assert clear(paper, clock) == ""
    assert halting.publish_passes(now=clock()) == 0
    clock.seconds = 30
    assert halting.publish_passes(now=clock()) == 1
    clear_until_done(paper, clock)


def test_trading_goes_on_before_it_is_over(paper: PaperDesk, clock: Later) -> None:
    rest(paper)
    halt(paper)
    clear(paper, clock)
    tamper(paper.connection.trading_state, state="ACTIVE")
    assert halting.publish_passes(now=clock()) == 1
    assert clear(paper, clock) == ""
    assert HaltClearing.objects.get(connection=paper.connection).outcome == "STOPPED"
    assert clearing_of(str(paper.connection.pk)).sentence == "Nothing is halted here."


def test_an_outcome_is_final(paper: PaperDesk, clock: Later) -> None:
    halt(paper)
    done = clear_until_done(paper, clock)
    with pytest.raises(IntegrityError, match="outcome_moves"), transaction.atomic():
        HaltClearing.objects.filter(pk=done.pk).update(outcome="RUNNING", finished_at=None)


def test_the_halting_door_publishes(
    paper: PaperDesk, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., object]
) -> None:
    published: list[str] = []
    monkeypatch.setattr(trading_state, "publish", lambda name, **ids: published.append(f"{name} {ids}"))
    halt(paper)
    assert published == [f"trades.cancel_halted {{'scope': '{paper.connection.pk}'}}"]


def test_the_command_clears_without_broker_or_workers(paper: PaperDesk, capsys: pytest.CaptureFixture[str]) -> None:
    rest(paper, 2)
    halt(paper)
    call_command("clear_halted", "--connection", paper.connection.slug)
    assert "its list was empty twice" in capsys.readouterr().out
    assert open_at_venue(paper) == 0
    assert not Order.objects.filter(connection=paper.connection).live().exists()  # type: ignore[attr-defined]


def test_the_command_says_when_it_is_not_over(paper: PaperDesk) -> None:
    rest(paper)
    halt(paper)
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("clear_halted", "--rounds", "1", "--json", stdout=out, stderr=io.StringIO())
    told = json.loads(out.getvalue())
    assert (ended.value.code, told["clear"]) == (Exit.INCOMPLETE, False)
    assert told["connections"]
    with override_settings(HALT_CANCELS_ORDERS=False), pytest.raises(CommandError, match="HALT_CANCELS_ORDERS"):
        call_command("clear_halted")
    with pytest.raises(CommandError, match="no connection"):
        call_command("clear_halted", "--connection", "nowhere")
