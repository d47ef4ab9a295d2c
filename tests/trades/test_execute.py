"""Between the approval and the socket: everything that must stop an order, what its answer means, and that it leaves
once. The venue is the real simulator, and what reached it is counted there."""

import base64
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.db import models
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.services import decide
from apps.audit.models import Alarm
from apps.common import canonical
from apps.common.errors import Unavailable
from apps.connectors.errors import Mismatch
from apps.connectors.models import Connection
from apps.connectors.services import sync, venue
from apps.connectors.types import OrderType, Placement, Side, TimeInForce
from apps.policies import rules as policy
from apps.policies.models import Decision, PolicyVersion
from apps.policies.selectors import trading_state
from apps.policies.services import versions
from apps.trades.models import Authority, Order, Proposal
from apps.trades.services import facts, market, orders, seal, sweeps
from apps.trades.services.approval import judge_again
from apps.trades.services.gathering import Gathering
from apps.trades.types import OrderState, ProposalState
from tests.factories.desk import BTC, PaperDesk, connect_paper
from tests.factories.tampering import another, guards_lifted, sql_update, tamper, undone
from tests.factories.trading import (
    ONE_NEEDED,
    TWO_NEEDED,
    change_connection,
    change_policy,
    halt,
    kinds,
    last_state,
    learn_meanwhile,
    move,
    rules_with,
    sent,
)

pytestmark = pytest.mark.django_db

MID = "64000"


@pytest.fixture
def approved(paper: PaperDesk) -> Proposal:
    move(paper, MID)
    proposal = paper.propose()
    paper.approve(proposal)
    return proposal


def assert_void(paper: PaperDesk, proposal: Proposal, code: str) -> None:
    """The claim ended it, the reservation is free, it is on record, and nothing reached the venue."""
    assert paper.execute(proposal) == OrderState.CANCELED
    proposal.refresh_from_db()
    order = paper.order_of(proposal)
    assert (proposal.state, proposal.end_code, order.reason_code) == (ProposalState.VOIDED, code, code)
    assert kinds(proposal)[-2:] == ["order.canceled", "proposal.voided"]
    assert last_state(str(order.pk)) == OrderState.CANCELED
    assert not Order.objects.filter(pk=order.pk).live().exists()  # type: ignore[attr-defined]
    assert not sent(paper)


class TestVoid:
    """Each cause comes between the approval and the claim."""

    def test_without_a_cause_it_leaves(self, paper: PaperDesk, approved: Proposal) -> None:
        assert paper.execute(approved) == OrderState.ACCEPTED
        (request,) = sent(paper)
        assert base64.b64decode(request["body"]) == bytes(approved.request_body)
        assert kinds(approved)[-2:] == ["order.submitted", "order.accepted"]

    @pytest.mark.parametrize(("early", "passes"), [(1, True), (0, False)])
    def test_the_authority_ran_out(self, paper: PaperDesk, early: int, passes: bool) -> None:
        move(paper, MID)
        proposal = paper.propose(not_after=timezone.now() + timedelta(seconds=60))
        seen = paper.seen(proposal)
        now = market.make_fresh(paper.connection, [BTC], now=timezone.now())
        tamper(proposal, expires_at=now + timedelta(microseconds=early))
        decide.approve(
            proposal_id=proposal.pk,
            approver=paper.approver,
            seen=seen,
            comment="",
            now=now - (timedelta(0) if passes else timedelta(microseconds=1)),
        )
        order = paper.order_of(proposal)
        state = orders.execute(order_id=order.pk, clock=lambda: now)
        proposal.refresh_from_db()
        assert (state, proposal.end_code) == (
            (OrderState.ACCEPTED, "APPROVED") if passes else (OrderState.CANCELED, "AUTHORITY_EXPIRED")
        )
        assert len(sent(paper)) == int(passes)

    def test_it_runs_out_also_while_the_venue_is_away(self, paper: PaperDesk, approved: Proposal) -> None:
        """Nothing can be read any more, and nothing must be read to know that it is over."""
        change_connection(paper, api_base="http://127.0.0.1:9")
        order = paper.order_of(approved)
        over = order.authority.valid_until
        early = orders.execute(order_id=order.pk, clock=lambda: over - timedelta(seconds=1))
        assert early == OrderState.INITIALIZED
        assert orders.execute(order_id=order.pk, clock=lambda: over) == OrderState.CANCELED
        approved.refresh_from_db()
        assert approved.end_code == "AUTHORITY_EXPIRED"

    def test_the_price_drifted(self, paper: PaperDesk, approved: Proposal) -> None:
        with undone():
            move(paper, "65280")
            assert paper.execute(approved) == OrderState.ACCEPTED
        paper.simulator.reset()
        move(paper, "65280.02")
        assert_void(paper, approved, "DRIFTED")

    def test_another_policy(self, paper: PaperDesk, approved: Proposal) -> None:
        change_policy(paper)
        assert_void(paper, approved, "POLICY_CHANGED")

    def test_a_higher_tier(self, paper: PaperDesk) -> None:
        """At today's price the same order is worth more than one person may approve: 2500 is where two begin."""
        move(paper, MID)
        order = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC, "quantity": Decimal("0.0388")}
        proposal = paper.propose(**order)
        paper.approve(proposal)
        move(paper, "64640")
        assert_void(paper, proposal, "TIER_CHANGED")

    @pytest.mark.parametrize(("mid", "passes"), [("64064", True), ("64640", False)])
    def test_a_tier_that_asks_for_a_second_factor(self, paper: PaperDesk, mid: str, passes: bool) -> None:
        """As many people of the same roles; but from 2500 on each shows theirs, and at the vote nobody had to."""
        above = {**ONE_NEEDED[0], "second_factor": True}
        change_policy(paper, rules_with(approvals={"tiers": [{**ONE_NEEDED[0], "up_to": "2500"}, above]}))
        move(paper, MID)
        proposal = paper.propose(order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC, quantity=Decimal("0.0387"))
        paper.approve(proposal)
        move(paper, mid)
        if passes:
            assert paper.execute(proposal) == OrderState.ACCEPTED
        else:
            assert_void(paper, proposal, "TIER_CHANGED")

    def test_policy_denies_now(self, paper: PaperDesk, approved: Proposal) -> None:
        """And what it said is kept, as for every decision."""
        halt(paper)
        assert_void(paper, approved, "POLICY_DENIES")
        kept = Decision.objects.get(subject=str(approved.pk), gate="CLAIM")
        assert kept.outcome == "DENY"

    @pytest.mark.parametrize("gone", ["deactivated", "out of the role"])
    def test_an_approver_is_gone(self, paper: PaperDesk, approved: Proposal, gone: str) -> None:
        if gone == "deactivated":
            User.objects.filter(pk=paper.approver.pk).update(is_active=False)
        else:
            paper.approver.groups.set([Group.objects.get(name="auditor")])
        assert_void(paper, approved, "APPROVER_GONE")

    def test_one_of_two_approvers_is_gone(self, paper: PaperDesk) -> None:
        change_policy(paper, rules_with(approvals={"tiers": TWO_NEEDED}))
        proposal = paper.propose()
        paper.approve(proposal)
        paper.approve(proposal, by=paper.risk)
        User.objects.filter(pk=paper.risk.pk).update(is_active=False)
        assert_void(paper, proposal, "APPROVER_GONE")

    def test_the_connection_is_switched_off(self, paper: PaperDesk, approved: Proposal) -> None:
        change_connection(paper, is_active=False)
        assert_void(paper, approved, "CONNECTION_INACTIVE")

    def test_halted_between_claim_and_call(
        self, paper: PaperDesk, approved: Proposal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Halted in the last instant: the order goes back, and the next claim ends it."""
        claim = orders._claim

        def halted_after(*args: object) -> object:
            found = claim(*args)  # type: ignore[arg-type]
            halt(paper)
            return found

        monkeypatch.setattr(orders, "_claim", halted_after)
        assert paper.execute(approved) == OrderState.INITIALIZED
        monkeypatch.undo()
        assert not sent(paper)
        assert_void(paper, approved, "POLICY_DENIES")


class TestContent:
    """Every column that is frozen, of every row that carries the order, changed behind the application's back."""

    def others(self, paper: PaperDesk, now: datetime) -> dict[type[models.Model], models.Model]:
        """A valid target for every foreign key: a change that points nowhere would stop by itself."""
        second, third = paper.propose(quantity=Decimal("0.011")), paper.propose(quantity=Decimal("0.012"))
        paper.approve(second)
        draft = versions.create_draft(policy_set_id=paper.version.policy_set_id, author=paper.risk, now=now)
        return {
            Proposal: third,
            Authority: Authority.objects.get(proposal=second),
            Decision: third.decision,
            PolicyVersion: draft,
            Connection: connect_paper(paper.desk, paper.simulator, f"other-{uuid4().hex[:6]}", now),
            User: paper.approver2,
        }

    @pytest.mark.parametrize("model", [Proposal, Authority, Order])
    def test_no_frozen_column_can_change(self, paper: PaperDesk, approved: Proposal, model: type[models.Model]) -> None:
        others = self.others(paper, timezone.now())
        order = paper.order_of(approved)
        row: models.Model = {Proposal: approved, Authority: order.authority, Order: order}[model]
        row.refresh_from_db()
        names = [name for name in seal.sealed_columns(model) if name != "id"]
        assert len(names) > 10
        market.make_fresh(paper.connection, [BTC], now=timezone.now())
        with guards_lifted(Proposal._meta.db_table, Authority._meta.db_table, Order._meta.db_table):
            for name in names:
                change = {name: another(row, name, others)}
                if name in {"quantity", "quote_quantity"} and model is Proposal:
                    change = {"quantity": None, "quote_quantity": Decimal(700)}
                with undone():
                    sql_update(row, **change)
                    assert orders.execute(order_id=order.pk, clock=timezone.now) == OrderState.CANCELED, name
                    ended = Order.objects.get(pk=order.pk)
                    assert ended.proposal.state == ProposalState.VOIDED, name
                    assert ended.reason_code in {"CONTENT_CHANGED", "APPROVER_GONE", "NOT_APPROVED"}, name
        assert not sent(paper)
        # The same rows, as they were: nothing else stood in the way.
        assert paper.execute(approved) == OrderState.ACCEPTED

    def test_terms_and_digests_changed_together(self, paper: PaperDesk, approved: Proposal) -> None:
        """All that one could think of brought in line: terms, digests, columns, request. The seal still differs."""
        order = paper.order_of(approved)
        terms = bytes(approved.terms).replace(b'"0.01"', b'"0.02"')
        body = bytes(order.request_body).replace(b'"0.01"', b'"0.02"')
        digest, request_digest = canonical.digest(terms), canonical.digest(body)
        tamper(
            approved,
            terms=terms,
            digest=digest,
            request_body=body,
            request_digest=request_digest,
            quantity=Decimal("0.02"),
        )
        tamper(order, request_body=body, request_digest=request_digest, quantity=Decimal("0.02"))
        tamper(order.authority, digest=digest, request_digest=request_digest)
        assert_void(paper, approved, "CONTENT_CHANGED")

    def test_terms_that_are_no_terms(self, paper: PaperDesk, approved: Proposal) -> None:
        junk = b"\xff not terms"
        tamper(approved, terms=junk, digest=canonical.digest(junk))
        tamper(paper.order_of(approved).authority, digest=canonical.digest(junk))
        assert_void(paper, approved, "CONTENT_CHANGED")

    @pytest.mark.parametrize(
        "changes",
        [
            {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC, "limit_price": None},
            {
                "order_type": OrderType.MARKET,
                "time_in_force": TimeInForce.IOC,
                "limit_price": None,
                "quantity": None,
                "quote_quantity": Decimal("77.77"),
            },
            {"side": Side.SELL, "quantity": Decimal("0.01234567")},
        ],
    )
    def test_the_seal_holds_for_every_kind_of_order(self, paper: PaperDesk, changes: dict[str, object]) -> None:
        move(paper, "63999.99")
        proposal = paper.propose(**changes)
        assert proposal.state == ProposalState.AWAITING_APPROVAL, proposal.end_code
        paper.approve(proposal)
        assert paper.execute(proposal) == OrderState.ACCEPTED


class TestOnce:
    def test_twice_and_after_the_end(self, paper: PaperDesk, approved: Proposal) -> None:
        for _ in range(2):
            assert paper.execute(approved) == OrderState.ACCEPTED
        assert paper.poll(approved) == OrderState.FILLED
        assert paper.execute(approved) == OrderState.FILLED
        assert len(sent(paper)) == 1

    def test_two_workers_that_both_read_it_unclaimed(
        self, paper: PaperDesk, approved: Proposal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The second worker passed its first look before the first one claimed."""
        fresh = market.make_fresh

        def slow(*args: object, **kwargs: object) -> datetime:
            monkeypatch.setattr(market, "make_fresh", fresh)
            assert paper.execute(approved) == OrderState.ACCEPTED
            return fresh(*args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(market, "make_fresh", slow)
        assert paper.execute(approved) == OrderState.ACCEPTED
        assert len(sent(paper)) == 1

    @pytest.mark.parametrize("late_s", [4, 0])
    def test_what_was_learned_while_it_waited_for_its_turn(
        self, paper: PaperDesk, approved: Proposal, monkeypatch: pytest.MonkeyPatch, late_s: int
    ) -> None:
        """Prices and balances of four seconds later: of the moment where it is as late here, else of the future."""
        now = market.make_fresh(paper.connection, [BTC], now=timezone.now())
        learn_meanwhile(paper, monkeypatch, at=now + timedelta(seconds=4))
        moments = iter([now])
        order = paper.order_of(approved)
        state = orders.execute(order_id=order.pk, clock=lambda: next(moments, now + timedelta(seconds=late_s)))
        assert state == (OrderState.ACCEPTED if late_s else OrderState.CANCELED)
        assert len(sent(paper)) == (1 if late_s else 0)

    def test_an_order_that_is_not_there(self, paper: PaperDesk) -> None:
        assert orders.execute(order_id=uuid4(), clock=timezone.now) == "MISSING"


class TestAnswers:
    """What the answer proves, and what it does not."""

    def test_not_sent_is_tried_again(self, paper: PaperDesk, approved: Proposal) -> None:
        address = paper.connection.api_base
        change_connection(paper, api_base="http://127.0.0.1:9")
        order = paper.order_of(approved)
        claim = orders._claim(order.pk, timezone.now(), timezone.now)
        assert claim is not None
        assert orders._send(claim, timezone.now) == OrderState.INITIALIZED
        order.refresh_from_db()
        assert (order.fence, order.reason_code) == (1, "VENUE_UNAVAILABLE")
        assert order.next_attempt_at is not None
        assert kinds(approved)[-2:] == ["order.submitted", "order.not_sent"]
        change_connection(paper, api_base=address)
        assert sweeps.publish_pending(now=order.next_attempt_at - timedelta(seconds=1)) == 0
        assert sweeps.publish_pending(now=order.next_attempt_at) == 1
        assert paper.execute(approved) == OrderState.ACCEPTED
        assert paper.order_of(approved).fence == 2
        assert len(sent(paper)) == 1

    @pytest.mark.parametrize("fault", ["timeout-after", "timeout-before", "5xx-after"])
    def test_no_proof_is_unknown_and_stays(self, paper: PaperDesk, approved: Proposal, fault: str) -> None:
        paper.simulator.add_fault("create", fault, seconds="0")
        assert paper.execute(approved) == OrderState.UNKNOWN
        order = paper.order_of(approved)
        assert last_state(str(order.pk)) == OrderState.UNKNOWN
        alarm = Alarm.objects.get(code="ORDER_UNKNOWN", subject=f"order:{order.pk}")
        assert alarm.cleared_at is None
        # Nothing that runs by itself touches it, at any time.
        for days in (0, 1, 400):
            now = timezone.now() + timedelta(days=days)
            assert sweeps.publish_pending(now=now) == sweeps.publish_polls(now=now) == 0
            assert sweeps.resolve_lapsed_claims(now=now) == 0
            assert sweeps.expire_due(now=now) == 0
            assert paper.execute(approved) == paper.poll(approved) == OrderState.UNKNOWN
        assert len(sent(paper)) == 1
        assert len(paper.venue_orders(approved)) == (0 if fault == "timeout-before" else 1)

    def test_what_is_unknown_stays_reserved(self, paper: PaperDesk, approved: Proposal) -> None:
        paper.simulator.add_fault("create", "timeout-before", seconds="0")
        before = known(paper, approved)
        paper.execute(approved)
        assert known(paper, approved) == before
        assert before["working_buy"] == "0.01"

    def test_a_refusal_frees_it(self, paper: PaperDesk, approved: Proposal) -> None:
        paper.simulator.reset(USD="5")
        move(paper, MID)
        assert paper.execute(approved) == OrderState.REJECTED
        order = paper.order_of(approved)
        assert order.reason_code == "PREVIEW_INSUFFICIENT_FUND"
        assert order.closed_at is not None
        assert last_state(str(order.pk)) == OrderState.REJECTED
        sync.refresh_balances(paper.connection, now=timezone.now())
        assert known(paper, approved) == {"USD": "5", "working_buy": "0", "notional": "0"}
        assert paper.execute(approved) == OrderState.REJECTED
        assert len(sent(paper)) == 1

    def test_another_order_under_our_id_stops_the_connection(
        self, paper: PaperDesk, approved: Proposal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connector = venue.connect(paper.order_of(approved).connection)
        placed = Placement("v-1", str(approved.client_order_id), BTC, Side.SELL)

        def answer_with_another(body: bytes, *, gate: object) -> Placement:
            raise Mismatch(placed, {"side": ("BUY", "SELL")})

        monkeypatch.setattr(connector, "place_order", answer_with_another)
        assert paper.execute(approved) == OrderState.UNKNOWN
        assert trading_state(paper.connection.pk) == "HALTED"
        assert Alarm.objects.filter(code="ORDER_UNKNOWN").exists()

    def test_an_error_of_ours_after_the_claim_is_unknown(
        self, paper: PaperDesk, approved: Proposal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connector = venue.connect(paper.order_of(approved).connection)

        def break_down(body: bytes) -> Placement:
            raise ZeroDivisionError

        monkeypatch.setattr(connector, "place_order", break_down)
        assert paper.execute(approved) == OrderState.UNKNOWN

    def test_a_worker_that_slept_on_its_claim_does_not_send(self, paper: PaperDesk, approved: Proposal) -> None:
        order = paper.order_of(approved)
        claim = orders._claim(order.pk, timezone.now(), timezone.now)
        assert claim is not None
        assert orders._send(claim, lambda: claim.lease_until) == OrderState.INITIALIZED
        claim = orders._claim(order.pk, timezone.now(), timezone.now)
        assert claim is not None
        assert sweeps.resolve_lapsed_claims(now=claim.lease_until + timedelta(seconds=1)) == 1
        assert orders._send(claim, lambda: claim.lease_until) == OrderState.UNKNOWN
        assert not sent(paper)

    def test_a_late_answer_does_not_overrule(self, paper: PaperDesk, approved: Proposal) -> None:
        """The sweep called it unknown while the answer was under way: it stays so, for a person or reconciliation."""
        order = paper.order_of(approved)
        claim = orders._claim(order.pk, timezone.now(), timezone.now)
        assert claim is not None
        sweeps.resolve_lapsed_claims(now=claim.lease_until + timedelta(seconds=1))
        assert orders._send(claim, timezone.now) == OrderState.UNKNOWN

    def test_the_venue_is_away_before_the_claim(
        self, paper: PaperDesk, approved: Proposal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*args: object, **kwargs: object) -> datetime:
            raise Unavailable("VENUE_UNAVAILABLE", "Away.")

        monkeypatch.setattr(market, "make_fresh", away)
        assert paper.execute(approved) == OrderState.INITIALIZED
        order = paper.order_of(approved)
        assert (order.fence, order.reason_code) == (0, "VENUE_UNAVAILABLE")
        assert order.next_attempt_at is not None


def known(paper: PaperDesk, proposal: Proposal) -> dict[str, str]:
    """What another proposal on the connection would be judged on."""
    connection = Connection.objects.select_related("desk").get(pk=paper.connection.pk)
    judgement = judge_again(proposal, now=timezone.now())
    specs = {spec.kind.value: spec for spec in policy.facts_needed(judgement.version, judgement.ask)}
    now = timezone.now()
    gathering = Gathering(connection=connection, ask=judgement.ask, now=now, asked_at=now)
    found = {kind: facts.gather([spec], gathering).get(spec.key) for kind, spec in specs.items()}
    balances, position, day = found["BALANCES"], found["POSITION"], found["DAY_NOTIONAL"]
    assert balances is not None and position is not None and day is not None
    return {
        "USD": balances.values["USD"],
        "working_buy": position.values["working_buy"],
        "notional": day.values["notional"],
    }
