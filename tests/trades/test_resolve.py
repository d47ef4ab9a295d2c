"""An order of unknown fate: looked for, sent again only while it is wanted, and never concluded from silence."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.audit.models import Alarm
from apps.connectors.services import venue
from apps.policies.selectors import trading_state
from apps.trades.models import Difference, Order, Proposal
from apps.trades.services import lookups, resolution, sweeps
from apps.trades.types import DifferenceKind, OrderState
from tests.factories.desk import BTC, PaperDesk
from tests.factories.trading import change_connection, halt, kinds, last_state, move, sent
from tests.factories.unknown import inquiries, resolve, unknown

pytestmark = pytest.mark.django_db

AFTER = ["timeout-after", "5xx-after", "reset-after", "garbage", "truncated"]
BEFORE = ["timeout-before", "5xx-before", "reset-before"]


@pytest.fixture
def at_once(settings: Any) -> None:
    """What is not found may be sent again at once."""
    settings.UNKNOWN_REPLAY_AFTER_S = 0


def open_alarms(order: Order) -> set[str]:
    rows = Alarm.objects.filter(subject=f"order:{order.pk}", cleared_at=None)
    return set(rows.values_list("code", flat=True))


def created(paper: PaperDesk, proposal: Proposal) -> dict[str, Any]:
    """What the venue counts of this order's name."""
    (row,) = [row for row in paper.simulator.creates() if row["client_order_id"] == str(proposal.client_order_id)]
    return row


class TestFound:
    @pytest.mark.parametrize("fault", AFTER)
    def test_what_the_venue_took_is_found_and_followed(self, paper: PaperDesk, fault: str) -> None:
        proposal = unknown(paper, fault)
        assert open_alarms(paper.order_of(proposal)) == {"ORDER_UNKNOWN"}
        assert resolve(paper, proposal) == OrderState.FILLED
        order = paper.order_of(proposal)
        assert order.filled_quantity == order.quantity
        assert order.venue_order_id == paper.venue_orders(proposal)[0]["order_id"]
        assert inquiries(order) == ["SCAN FOUND"]
        assert len(sent(paper)) == len(paper.venue_orders(proposal)) == 1
        assert last_state(str(order.pk)) == OrderState.FILLED
        assert open_alarms(order) == set()
        found = Difference.objects.get(order=order)
        assert (found.kind, found.settled_at is not None) == (DifferenceKind.ORDER_FOUND, True)

    def test_a_list_that_knows_it_later(self, paper: PaperDesk, at_once: None) -> None:
        """Sent again, the venue names the order it has; until it can be read, its fate stays open."""
        paper.simulator.add_fault("create", "slow-listing", seconds="600")
        proposal = unknown(paper, "reset-after")
        assert resolve(paper, proposal) == OrderState.UNKNOWN
        order = paper.order_of(proposal)
        assert inquiries(order) == ["SCAN NOT_FOUND", "REPLAY ASKED", "REPLAY ACCEPTED ACCEPTED"]
        assert resolve(paper, proposal) == OrderState.UNKNOWN
        assert inquiries(order)[3:] == ["SCAN NOT_FOUND REPLAY_SAYS_NOTHING"]
        paper.simulator.release()
        assert resolve(paper, proposal) == OrderState.FILLED
        assert len(sent(paper)) == 2
        assert len(paper.venue_orders(proposal)) == 1

    def test_a_venue_that_says_only_that_it_exists(self, paper: PaperDesk, at_once: None) -> None:
        paper.simulator.options(duplicate_mode="reject")
        paper.simulator.add_fault("create", "slow-listing", seconds="600")
        proposal = unknown(paper, "reset-after")
        assert resolve(paper, proposal) == OrderState.UNKNOWN
        assert inquiries(paper.order_of(proposal))[-1] == "REPLAY EXISTS VENUE_ORDER_EXISTS"
        assert resolve(paper, proposal) == OrderState.UNKNOWN
        paper.simulator.release()
        assert resolve(paper, proposal) == OrderState.FILLED
        assert len(sent(paper)) == 2

    def test_another_order_under_our_name_stops_everything(self, paper: PaperDesk) -> None:
        proposal = unknown(paper, "reset-before")
        body = json.loads(bytes(proposal.request_body))
        body["order_configuration"]["limit_limit_gtd"]["base_size"] = "0.02"
        venue.connect(paper.order_of(proposal).connection).place_order(json.dumps(body).encode())
        assert resolve(paper, proposal) == OrderState.UNKNOWN
        order = paper.order_of(proposal)
        assert inquiries(order) == ["SCAN DIFFERS"]
        assert not order.fills.exists()
        assert trading_state(paper.connection.pk) == "HALTED"
        row = Difference.objects.get(order=order)
        assert row.kind == DifferenceKind.ORDER_DIFFERS and row.settled_at is None
        assert "quantity: sent 0.01, found 0.02" in row.theirs
        assert {"ORDER_DIFFERS", "ORDER_UNKNOWN"} <= open_alarms(order)
        assert resolve(paper, proposal) == OrderState.UNKNOWN
        assert Difference.objects.filter(order=order).count() == 1


class TestSentAgain:
    @pytest.mark.parametrize("fault", BEFORE)
    def test_the_same_bytes_while_it_is_wanted(self, paper: PaperDesk, at_once: None, fault: str) -> None:
        proposal = unknown(paper, fault)
        assert resolve(paper, proposal) == OrderState.FILLED
        order = paper.order_of(proposal)
        assert inquiries(order) == [
            "SCAN NOT_FOUND",
            "REPLAY ASKED",
            "REPLAY ACCEPTED ACCEPTED",
            "SCAN FOUND",
        ]
        assert len(paper.venue_orders(proposal)) == 1
        assert len({json.dumps(request["body"]) for request in sent(paper)}) == 1
        assert "order.replayed" in kinds(proposal)

    def test_not_before_its_time(self, paper: PaperDesk) -> None:
        proposal = unknown(paper, "reset-before")
        assert resolve(paper, proposal) == OrderState.UNKNOWN
        assert inquiries(paper.order_of(proposal)) == ["SCAN NOT_FOUND TOO_SOON"]
        assert len(sent(paper)) == 1

    def test_a_request_that_arrives_after_the_replay_makes_no_second_order(
        self, paper: PaperDesk, at_once: None
    ) -> None:
        proposal = unknown(paper, "late-arrival")
        assert paper.venue_orders(proposal) == []
        assert resolve(paper, proposal) == OrderState.FILLED
        assert paper.simulator.release() == 1
        assert len(paper.venue_orders(proposal)) == 1
        assert created(paper, proposal)["requests"] == 2

    def test_a_refused_replay_proves_nothing(self, paper: PaperDesk, at_once: None) -> None:
        """The first request is still on its way: it finds the money there again."""
        proposal = unknown(paper, "late-arrival")
        paper.simulator.switch(BTC, cancel_only=True)
        assert resolve(paper, proposal) == OrderState.UNKNOWN
        order = paper.order_of(proposal)
        assert inquiries(order)[-1].startswith("REPLAY REFUSED")
        paper.simulator.switch(BTC, cancel_only=False)
        # It is not sent a third time: a refusal that turns into an order at an odd moment is nobody's wish.
        assert resolve(paper, proposal) == OrderState.UNKNOWN
        assert len(sent(paper)) == 2
        paper.simulator.release()
        assert resolve(paper, proposal) == OrderState.FILLED
        assert len(paper.venue_orders(proposal)) == 1

    def test_a_replay_that_was_turned_away_unread(self, paper: PaperDesk, at_once: None) -> None:
        proposal = unknown(paper, "late-arrival")
        paper.simulator.add_fault("create", "429")
        assert resolve(paper, proposal) == OrderState.UNKNOWN
        assert inquiries(paper.order_of(proposal))[-1].startswith("REPLAY NOT_SENT")
        paper.simulator.release()
        assert resolve(paper, proposal) == OrderState.FILLED
        assert len(paper.venue_orders(proposal)) == 1

    @pytest.mark.parametrize("fault", ["reset-before", "5xx-after", "garbage", "timeout-before"])
    def test_an_answer_that_is_lost_again(self, paper: PaperDesk, at_once: None, fault: str) -> None:
        proposal = unknown(paper, "reset-before")
        paper.simulator.add_fault("create", fault, **({"seconds": "0"} if "timeout" in fault else {}))
        assert resolve(paper, proposal) == OrderState.UNKNOWN
        assert inquiries(paper.order_of(proposal))[-1].startswith("REPLAY UNCLEAR")
        assert resolve(paper, proposal) == OrderState.FILLED
        assert len(paper.venue_orders(proposal)) == 1


class TestHeld:
    """What is not wanted any more is looked for, and never sent."""

    def assert_held(self, paper: PaperDesk, proposal: Proposal, code: str, *, after_s: int = 0) -> None:
        assert resolve(paper, proposal, after_s=after_s) == OrderState.UNKNOWN
        assert inquiries(paper.order_of(proposal))[-1] == f"SCAN NOT_FOUND {code}"
        assert len(sent(paper)) == 1
        assert paper.order_of(proposal).proposal.state == "APPROVED"

    def test_trading_is_halted(self, paper: PaperDesk, at_once: None) -> None:
        proposal = unknown(paper, "late-arrival")
        halt(paper)
        self.assert_held(paper, proposal, "POLICY_DENIES")
        # The request that was late arrives after we looked.
        paper.simulator.release()
        assert resolve(paper, proposal) == OrderState.FILLED

    def test_the_approval_ran_out(self, paper: PaperDesk, at_once: None) -> None:
        proposal = unknown(paper, "reset-before")
        left = paper.order_of(proposal).authority.valid_until - timezone.now()
        self.assert_held(paper, proposal, "AUTHORITY_EXPIRED", after_s=int(left.total_seconds()) + 1)

    def test_the_price_drifted(self, paper: PaperDesk, at_once: None) -> None:
        move(paper, "64000")
        proposal = unknown(paper, "reset-before")
        move(paper, "65300")
        self.assert_held(paper, proposal, "DRIFTED")
        move(paper, "64000")
        assert resolve(paper, proposal) == OrderState.FILLED

    def test_an_approver_left(self, paper: PaperDesk, at_once: None) -> None:
        proposal = unknown(paper, "reset-before")
        paper.approver.is_active = False
        paper.approver.save()
        self.assert_held(paper, proposal, "APPROVER_GONE")

    def test_the_connection_was_not_compared_yet(self, paper: PaperDesk, at_once: None) -> None:
        proposal = unknown(paper, "reset-before")
        order = paper.order_of(proposal)
        state = resolution.resolve(
            order_id=order.pk, clock=timezone.now, reconciled_from=timezone.now(), due_only=False
        )
        assert state == OrderState.UNKNOWN
        assert inquiries(order) == ["SCAN NOT_FOUND RECONCILING"]
        assert len(sent(paper)) == 1

    def test_the_venue_cannot_be_asked(self, paper: PaperDesk, at_once: None) -> None:
        proposal = unknown(paper, "reset-before")
        address = paper.connection.api_base
        change_connection(paper, api_base="http://127.0.0.1:9")
        assert resolve(paper, proposal) == OrderState.UNKNOWN
        assert inquiries(paper.order_of(proposal))[-1].startswith("SCAN UNREADABLE")
        change_connection(paper, api_base=address)
        assert resolve(paper, proposal) == OrderState.FILLED

    def test_five_times_is_enough(self, paper: PaperDesk, at_once: None) -> None:
        proposal = unknown(paper, "reset-before")
        for _ in range(5):
            paper.simulator.add_fault("create", "reset-before")
            assert resolve(paper, proposal) == OrderState.UNKNOWN
        assert resolve(paper, proposal) == OrderState.UNKNOWN
        assert inquiries(paper.order_of(proposal))[-1] == "SCAN NOT_FOUND REPLAYED_ENOUGH"
        assert paper.venue_orders(proposal) == []


class TestTurns:
    def test_at_0_2_5_15_60_and_then_every_minute(self, paper: PaperDesk, settings: Any) -> None:
        """Each pause is told by the row, and begins when the look before it ended."""
        settings.UNKNOWN_REPLAY_AFTER_S = 3600
        proposal = unknown(paper, "reset-before")
        now = timezone.now()
        pauses = []
        for _ in range(7):
            resolution.resolve(order_id=paper.order_of(proposal).pk, clock=lambda at=now: at)
            due = paper.order_of(proposal).next_attempt_at
            assert due is not None
            pauses.append((due - now).seconds)
            assert sweeps.publish_resolutions(now=due - timedelta(microseconds=1)) == 0
            assert sweeps.publish_resolutions(now=due) == 1
            now = due
        assert pauses == [2, 3, 10, 45, 60, 60, 60]

    def test_not_before_it_is_due(self, paper: PaperDesk) -> None:
        proposal = unknown(paper, "reset-before")
        order = paper.order_of(proposal)
        assert sweeps.publish_resolutions(now=timezone.now()) == 1
        resolution.resolve(order_id=order.pk, clock=timezone.now)
        resolution.resolve(order_id=order.pk, clock=timezone.now)
        assert len(inquiries(order)) == 1

    def test_one_has_the_turn_until_its_lease_ends(self, paper: PaperDesk) -> None:
        proposal = unknown(paper, "reset-before")
        order = paper.order_of(proposal)
        now = timezone.now()
        turn = lookups.take_turn(order.pk, now, due_only=False)
        assert turn is not None and turn.fence == 2
        assert lookups.take_turn(order.pk, now, due_only=False) is None
        later = lookups.take_turn(order.pk, now + lookups.LEASE, due_only=False)
        assert later is not None and later.fence == 3

    def test_beyond_the_horizon_a_person_is_called_and_the_search_goes_on(self, paper: PaperDesk) -> None:
        proposal = unknown(paper, "late-arrival")
        order = paper.order_of(proposal)
        assert resolve(paper, proposal, after_s=901) == OrderState.UNKNOWN
        assert open_alarms(order) == {"ORDER_UNKNOWN", "ORDER_NEEDS_PERSON"}
        for days in (1, 400):
            assert resolve(paper, proposal, after_s=days * 86_400) == OrderState.UNKNOWN
        assert Order.objects.filter(pk=order.pk).live().exists()  # type: ignore[attr-defined]
        paper.simulator.release()
        assert resolve(paper, proposal, after_s=401 * 86_400) == OrderState.FILLED
        assert open_alarms(order) == set()

    def test_what_is_not_unknown_is_left_alone(self, paper: PaperDesk) -> None:
        proposal = paper.propose()
        paper.approve(proposal)
        assert resolve(paper, proposal) == OrderState.INITIALIZED
        paper.execute(proposal)
        assert resolve(paper, proposal) == OrderState.ACCEPTED
        assert inquiries(paper.order_of(proposal)) == []
