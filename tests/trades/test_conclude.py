"""What two people may say of an order whose fate stays unknown, and what the venue says before them."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import SecondPersonRequest
from apps.audit.models import Alarm
from apps.common.errors import AikaError, Conflict, Denied, Forbidden, Invalid, NotFound, Unavailable
from apps.connectors.services import venue
from apps.policies.selectors import trading_state
from apps.trades.models import Difference, Order, Proposal
from apps.trades.services import conclusions, differences
from apps.trades.services.reconciliation import runs
from apps.trades.types import DifferenceKind, OrderState, RunTrigger
from tests.factories.accounts import UserFactory
from tests.factories.desk import BTC, PaperDesk
from tests.factories.tampering import tamper
from tests.factories.trading import change_connection, kinds, last_state, sent
from tests.factories.unknown import inquiries, resolve, unknown

pytestmark = pytest.mark.django_db


@pytest.fixture
def lost(paper: PaperDesk, settings: Any) -> Proposal:
    """An order that nobody has found for longer than the horizon; its request is still on its way."""
    proposal = unknown(paper, "late-arrival")
    settings.UNKNOWN_HORIZON_S = 0
    return proposal


def ask(paper: PaperDesk, proposal: Proposal, reason: str = "Not in the venue's app.") -> SecondPersonRequest:
    return conclusions.ask_to_abandon(
        order_id=paper.order_of(proposal).pk, requester=paper.risk, reason=reason, now=timezone.now()
    )


def abandon(paper: PaperDesk, proposal: Proposal, by: Any = None) -> Order:
    return conclusions.second_and_abandon(
        order_id=paper.order_of(proposal).pk, seconder=by or paper.approver, clock=timezone.now
    )


def assert_refused(kind: type[AikaError], code: str, act: Any) -> None:
    with pytest.raises(kind) as raised:
        act()
    assert raised.value.code == code


class TestAbandon:
    def test_two_people_and_a_last_look(self, paper: PaperDesk, lost: Proposal) -> None:
        ask(paper, lost)
        order = abandon(paper, lost)
        assert (order.state, order.reason_code, order.next_attempt_at) == (OrderState.ABANDONED, "ABANDONED", None)
        assert order.closed_at is not None
        assert last_state(str(order.pk)) == OrderState.ABANDONED
        assert not Order.objects.filter(pk=order.pk).live().exists()  # type: ignore[attr-defined]
        assert not Alarm.objects.filter(subject=f"order:{order.pk}", cleared_at=None).exists()
        assert inquiries(order)[-1] == "PERSON NOT_FOUND ABANDONED"
        assert len(sent(paper)) == 1
        # It is over: nobody looks for it or sends it again.
        assert resolve(paper, lost) == OrderState.ABANDONED

    def test_one_person_is_not_two(self, paper: PaperDesk, lost: Proposal) -> None:
        assert_refused(NotFound, "NOT_ASKED", lambda: abandon(paper, lost))
        ask(paper, lost)
        assert_refused(Denied, "SECOND_PERSON_IS_REQUESTER", lambda: abandon(paper, lost, paper.risk))
        assert paper.order_of(lost).state == OrderState.UNKNOWN
        assert paper.order_of(lost).lease_until is None
        assert abandon(paper, lost).state == OrderState.ABANDONED

    def test_a_trader_may_not(self, paper: PaperDesk, lost: Proposal) -> None:
        ask(paper, lost)
        assert_refused(Forbidden, "MAY_NOT_CONCLUDE", lambda: abandon(paper, lost, paper.trader))

    def test_a_reason_is_needed(self, paper: PaperDesk, lost: Proposal) -> None:
        assert_refused(Invalid, "REASON_NEEDED", lambda: ask(paper, lost, " "))

    def test_not_before_the_horizon(self, paper: PaperDesk) -> None:
        proposal = unknown(paper, "late-arrival")
        assert_refused(Denied, "TOO_SOON_TO_ABANDON", lambda: ask(paper, proposal))

    def test_what_the_venue_shows_in_that_moment_comes_first(self, paper: PaperDesk, lost: Proposal) -> None:
        ask(paper, lost)
        paper.simulator.release()
        assert_refused(Conflict, "ORDER_FOUND", lambda: abandon(paper, lost))
        assert paper.order_of(lost).state == OrderState.FILLED

    def test_a_venue_that_cannot_be_asked_proves_nothing(self, paper: PaperDesk, lost: Proposal) -> None:
        ask(paper, lost)
        address = paper.connection.api_base
        change_connection(paper, api_base="http://127.0.0.1:9")
        assert_refused(Unavailable, "VENUE_UNAVAILABLE", lambda: abandon(paper, lost))
        change_connection(paper, api_base=address)
        assert abandon(paper, lost).state == OrderState.ABANDONED

    def test_another_order_under_its_name_must_have_ended(self, paper: PaperDesk, lost: Proposal) -> None:
        body = json.loads(bytes(lost.request_body))
        (terms,) = body["order_configuration"].values()
        terms["limit_price"] = "10000"
        connector = venue.connect(paper.order_of(lost).connection)
        other = connector.place_order(json.dumps(body).encode())
        ask(paper, lost)
        assert_refused(Conflict, "ORDER_DIFFERS", lambda: abandon(paper, lost))
        connector.cancel_orders([other.venue_order_id])
        assert abandon(paper, lost).state == OrderState.ABANDONED

    def test_what_arrives_after_that_halts(self, paper: PaperDesk, lost: Proposal) -> None:
        """The one case that giving up cannot exclude: it is found, booked and said aloud."""
        ask(paper, lost)
        order = abandon(paper, lost)
        paper.simulator.release()
        runs.reconcile(
            connection_id=paper.connection.pk,
            trigger=RunTrigger.COMMAND,
            actor=differences.RECONCILIATION,
            clock=timezone.now,
        )
        order.refresh_from_db()
        assert (order.state, order.filled_quantity) == (OrderState.ABANDONED, order.quantity)
        assert trading_state(paper.connection.pk) == "HALTED"
        assert Difference.objects.get(kind=DifferenceKind.ORDER_LATE).settled_at is None


class TestAttach:
    def place(self, paper: PaperDesk, proposal: Proposal, **terms: str) -> str:
        """The same order under a name of the venue's own, as where it forgets ours."""
        body = json.loads(bytes(proposal.request_body))
        body["client_order_id"] = "somebody-elses"
        (sent_terms,) = body["order_configuration"].values()
        sent_terms |= terms
        connector = venue.connect(paper.order_of(proposal).connection)
        return connector.place_order(json.dumps(body).encode()).venue_order_id

    def ask(self, paper: PaperDesk, proposal: Proposal, venue_order_id: str) -> SecondPersonRequest:
        return conclusions.ask_to_attach(
            order_id=paper.order_of(proposal).pk,
            venue_order_id=venue_order_id,
            requester=paper.risk,
            reason="I see it in the app.",
            clock=timezone.now,
        )

    def attach(self, paper: PaperDesk, proposal: Proposal, venue_order_id: str, by: Any = None) -> Order:
        return conclusions.second_and_attach(
            order_id=paper.order_of(proposal).pk,
            venue_order_id=venue_order_id,
            seconder=by or paper.approver,
            clock=timezone.now,
        )

    @pytest.fixture
    def nameless(self, paper: PaperDesk, lost: Proposal, monkeypatch: pytest.MonkeyPatch) -> str:
        """The order is at a venue that tells no client ids."""
        venue_order_id = self.place(paper, lost)
        connector = venue.connect(paper.order_of(lost).connection)
        read = connector.order
        monkeypatch.setattr(connector, "order", lambda found: replace(read(found), client_order_id=""))
        return venue_order_id

    def test_two_people_name_it(self, paper: PaperDesk, lost: Proposal, nameless: str) -> None:
        self.ask(paper, lost, nameless)
        order = self.attach(paper, lost, nameless)
        assert (order.state, order.venue_order_id) == (OrderState.ACCEPTED, nameless)
        assert paper.poll(lost) == OrderState.FILLED
        assert kinds(lost).count("order.accepted") == 1

    def test_one_is_not_two(self, paper: PaperDesk, lost: Proposal, nameless: str) -> None:
        assert_refused(NotFound, "NOT_ASKED", lambda: self.attach(paper, lost, nameless))
        self.ask(paper, lost, nameless)
        assert_refused(Denied, "SECOND_PERSON_IS_REQUESTER", lambda: self.attach(paper, lost, nameless, paper.risk))
        assert paper.order_of(lost).state == OrderState.UNKNOWN

    def test_it_must_be_what_was_sent(self, paper: PaperDesk, lost: Proposal) -> None:
        other = self.place(paper, lost, limit_price="10000")
        assert_refused(Denied, "ORDER_DIFFERS", lambda: self.ask(paper, lost, other))
        assert_refused(NotFound, "VENUE_NOT_FOUND", lambda: self.ask(paper, lost, ""))

    def test_it_must_not_be_another_of_ours(
        self, paper: PaperDesk, lost: Proposal, nameless: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = paper.propose(quantity=Decimal("0.02"))
        paper.approve(other)
        tamper(paper.order_of(other), venue_order_id=nameless)
        assert_refused(Conflict, "VENUE_ORDER_TAKEN", lambda: self.ask(paper, lost, nameless))


class TestSettle:
    def test_a_person_says_what_it_was(self, paper: PaperDesk) -> None:
        row = differences.keep(
            connection_id=paper.connection.pk,
            kind=DifferenceKind.BALANCE,
            subject="USD 5",
            ours="10 USD.",
            theirs="5 USD.",
            done="Kept.",
            now=timezone.now(),
        )
        alarm = Alarm.objects.get(code="BALANCE", cleared_at=None)
        assert_refused(
            Forbidden,
            "MAY_NOT_SETTLE",
            lambda: differences.settle(difference_id=row.pk, person=paper.trader, reason="x", now=timezone.now()),
        )
        differences.settle(difference_id=row.pk, person=paper.risk, reason="A deposit.", now=timezone.now())
        alarm.refresh_from_db()
        assert alarm.cleared_at is not None
        assert_refused(
            Conflict,
            "DIFFERENCE_SETTLED",
            lambda: differences.settle(difference_id=row.pk, person=paper.risk, reason="Or not.", now=timezone.now()),
        )


class TestPage:
    def get(self, client: Client, proposal: Proposal, paper: PaperDesk) -> str:
        answer = client.get(reverse("admin:trades_unknown", args=[paper.order_of(proposal).pk]))
        assert answer.status_code == 200
        return answer.content.decode()

    def post(self, client: Client, verb: str, order: Order, **values: str) -> int:
        return client.post(reverse(f"admin:trades_unknown_{verb}", args=[order.pk]), values).status_code

    def test_what_is_known_and_the_way_out(self, paper: PaperDesk, lost: Proposal, client: Client) -> None:
        order = paper.order_of(lost)
        resolve(paper, lost)
        client.force_login(paper.risk)
        shown = self.get(client, lost, paper)
        assert "nobody knows" in shown and "is not shown" in shown and "Next look at" in shown
        assert self.post(client, "ask_abandon", order, reason="Not in the app.") == 303
        assert "somebody else must second it" in self.get(client, lost, paper)
        client.force_login(paper.approver)
        assert "Second it, and give it up now" in self.get(client, lost, paper)
        assert self.post(client, "abandon", order) == 303
        order.refresh_from_db()
        assert order.state == OrderState.ABANDONED
        assert "it is known" in self.get(client, lost, paper)

    def test_looking_finds_and_never_sends(
        self, paper: PaperDesk, lost: Proposal, client: Client, settings: Any
    ) -> None:
        settings.UNKNOWN_REPLAY_AFTER_S = 0
        client.force_login(paper.approver)
        assert self.post(client, "look", paper.order_of(lost)) == 303
        assert len(sent(paper)) == 1
        paper.simulator.release()
        assert self.post(client, "look", paper.order_of(lost)) == 303
        assert paper.order_of(lost).state == OrderState.FILLED

    def test_who_may_what(self, paper: PaperDesk, lost: Proposal, client: Client) -> None:
        order = paper.order_of(lost)
        client.force_login(paper.trader)
        assert "Approvers, risk and operators may" in self.get(client, lost, paper)
        for verb in ("look", "ask_abandon", "abandon", "ask_attach", "attach"):
            assert self.post(client, verb, order) == 403
        client.force_login(UserFactory(username="elsewhere", role="approver"))
        assert client.get(reverse("admin:trades_unknown", args=[order.pk])).status_code == 404
        assert self.post(client, "look", order) == 404
        assert client.get(reverse("admin:trades_unknown_look", args=[order.pk])).status_code in {404, 405}

    def test_comparing_and_settling_by_hand(self, paper: PaperDesk, client: Client) -> None:
        body = {
            "client_order_id": "by-hand",
            "product_id": BTC,
            "side": "BUY",
            "order_configuration": {
                "limit_limit_gtc": {"base_size": "0.001", "limit_price": "10000", "post_only": False}
            },
        }
        venue.connect(paper.connection).place_order(json.dumps(body).encode())
        client.force_login(paper.trader)
        compare = reverse("admin:trades_compare", args=[paper.connection.pk])
        assert client.post(compare).status_code == 403
        client.force_login(paper.approver)
        assert (
            b"Compare Coinbase (paper) now" in client.get(reverse("admin:trades_reconciliationrun_changelist")).content
        )
        assert client.post(compare).status_code == 303
        row = Difference.objects.get()
        url = reverse("admin:trades_difference_change", args=[row.pk])
        assert b"What was it?" in client.get(url).content
        client.post(reverse("admin:trades_difference_settle", args=[row.pk]), {"reason": "By hand, by Ann."})
        row.refresh_from_db()
        assert row.settled_reason == "By hand, by Ann."
        assert b"What was it?" not in client.get(url).content


def test_an_unknown_order_does_not_age_out(paper: PaperDesk, lost: Proposal) -> None:
    """Nothing but proof, or two people, ends it."""
    for days in (1, 30, 400):
        assert resolve(paper, lost, after_s=int(timedelta(days=days).total_seconds())) == OrderState.UNKNOWN
