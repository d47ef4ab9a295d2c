"""One approval, beside everything that must refuse it. The set-up is the same: a proposal that waits at 64000."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.types import Principal
from apps.approvals.models import Vote
from apps.approvals.services import decide, signed_quotes
from apps.approvals.types import Seen
from apps.common.errors import AikaError, Conflict, Denied, Forbidden, NotFound
from apps.connectors.services import sync
from apps.connectors.types import Side
from apps.dashboard.services.demo_policy import INSTRUMENTS
from apps.policies.errors import BudgetExhausted
from apps.policies.models import Decision
from apps.policies.types import Gate
from apps.quotes.services import quotes
from apps.trades.models import Authority, Order, Proposal
from apps.trades.services import market, withdrawals
from apps.trades.types import OrderState, ProposalState
from tests.factories.accounts import UserFactory, issue_key
from tests.factories.desk import BTC, PaperDesk
from tests.factories.tampering import tamper
from tests.factories.trading import (
    TWO_NEEDED,
    change_policy,
    halt,
    kinds,
    learn_meanwhile,
    move,
    replayed,
    rules_with,
    sent,
)

pytestmark = pytest.mark.django_db

MID = "64000"


@pytest.fixture
def waiting(paper: PaperDesk) -> Proposal:
    move(paper, MID)
    return paper.propose()


def approve(paper: PaperDesk, proposal: Proposal, seen: Seen, **changes: object) -> object:
    values: dict[str, object] = {"approver": paper.approver, "comment": "", "now": timezone.now(), **changes}
    return decide.approve(proposal_id=proposal.pk, seen=seen, **values)  # type: ignore[arg-type]


def refused(paper: PaperDesk, proposal: Proposal, seen: Seen, **changes: object) -> AikaError:
    """The error, after making sure that nothing of the vote was kept."""
    with pytest.raises(AikaError) as error:
        approve(paper, proposal, seen, **changes)
    assert not Vote.objects.filter(proposal=proposal).exists()
    assert not Order.objects.filter(proposal=proposal).exists()
    assert not sent(paper)
    return error.value


def test_one_approval_makes_the_authority_and_the_order(paper: PaperDesk, waiting: Proposal) -> None:
    seen = paper.seen(waiting)
    result = decide.approve(
        proposal_id=waiting.pk, approver=paper.approver, seen=seen, comment="Fine.", now=timezone.now()
    )

    order = Order.objects.get(proposal=waiting)
    vote = Vote.objects.get(proposal=waiting)
    authority = Authority.objects.get(proposal=waiting)
    assert (result.state, result.order_id, result.approvals, result.needed) == ("APPROVED", order.pk, 1, 1)
    assert (vote.verb, vote.approver_id, vote.comment) == ("APPROVE", paper.approver.pk, "Fine.")
    assert vote.digest == authority.digest == waiting.digest
    assert authority.approvers == [str(paper.approver.pk)]
    assert authority.valid_until == waiting.expires_at
    assert order.state == OrderState.INITIALIZED
    assert bytes(order.request_body) == bytes(waiting.request_body)
    assert order.reserved_amount == waiting.limit_price * waiting.quantity * (1 + paper.connection.fee_taker)  # type: ignore[operator]
    assert kinds(waiting) == ["proposal.proposed", "vote.approve", "proposal.approved"]
    assert not sent(paper)


@pytest.mark.parametrize(("side", "shown"), [(Side.BUY, "ask"), (Side.SELL, "bid")])
def test_the_price_that_is_kept_is_of_the_side_that_would_trade(paper: PaperDesk, side: Side, shown: str) -> None:
    """What the fill is compared with later: a buyer has seen the ask, a seller the bid."""
    move(paper, MID)
    proposal = paper.propose(side=side)
    seen = paper.seen(proposal)
    approve(paper, proposal, seen)
    quote = signed_quotes.read(seen.signed_quote, proposal_id=proposal.pk)
    assert quote.bid < quote.ask
    assert Authority.objects.get(proposal=proposal).seen_price == getattr(quote, shown)


SHOWED_SOMETHING_ELSE = (
    ({"digest": "0" * 64}, "DIGEST_CHANGED"),
    ({"digest": ""}, "DIGEST_CHANGED"),
    ({"policy_version": "00000000-0000-0000-0000-000000000000"}, "POLICY_CHANGED"),
    ({"policy_version": "junk"}, "POLICY_CHANGED"),
    ({"tier": "2:approver,risk"}, "TIER_CHANGED"),
    ({"tier": "1:approver"}, "TIER_CHANGED"),
    ({"tier": ""}, "TIER_CHANGED"),
    ({"signed_quote": ""}, "QUOTE_NOT_SIGNED"),
)


def test_a_page_that_showed_something_else(paper: PaperDesk, waiting: Proposal) -> None:
    seen = paper.seen(waiting)
    for changes, code in SHOWED_SOMETHING_ELSE:
        error = refused(paper, waiting, replace(seen, **changes))
        assert (type(error), error.code) == (Conflict, code), changes
    approve(paper, waiting, seen)


def test_a_row_changed_under_its_digest(paper: PaperDesk, waiting: Proposal) -> None:
    seen = paper.seen(waiting)
    tamper(waiting, terms=bytes(waiting.terms).replace(b'"0.01"', b'"0.02"'))
    assert refused(paper, waiting, seen).code == "DIGEST_CHANGED"
    tamper(waiting, terms=bytes(waiting.terms))
    approve(paper, waiting, seen)


@pytest.mark.parametrize("verb", ["decline", "withdraw"])
def test_a_proposal_that_ended_meanwhile(paper: PaperDesk, waiting: Proposal, verb: str) -> None:
    seen, now = paper.seen(waiting), timezone.now()
    if verb == "decline":
        decide.decline(proposal_id=waiting.pk, approver=paper.risk, digest=waiting.digest, comment="No.", now=now)
    else:
        withdrawals.withdraw(proposal_id=waiting.pk, principal=paper.principal, reason="", now=now)
    with pytest.raises(Conflict, match="PROPOSAL_NOT_WAITING"):
        approve(paper, waiting, seen)
    assert not Order.objects.exists()


@pytest.mark.parametrize(("late_s", "passes"), [(4, True), (1, False), (0, False)])
def test_what_was_learned_while_the_vote_waited_for_its_turn(
    paper: PaperDesk, waiting: Proposal, monkeypatch: pytest.MonkeyPatch, late_s: int, passes: bool
) -> None:
    """Prices and balances of four seconds later are of the moment where it is as late here; else a clock is wrong."""
    seen, now = paper.seen(waiting), market.make_fresh(paper.connection, [BTC], now=timezone.now())
    late = now + timedelta(seconds=late_s)
    learn_meanwhile(paper, monkeypatch, at=now + timedelta(seconds=4))
    if passes:
        approve(paper, waiting, seen, now=now, clock=lambda: late)
        assert Decision.objects.get(gate=Gate.APPROVAL).decided_at == late
        assert replayed()
    else:
        error = refused(paper, waiting, seen, now=now, clock=lambda: late)
        assert (type(error), error.code) == (Denied, "FACT_FROM_FUTURE")


@pytest.mark.parametrize(("early", "passes"), [(1, True), (0, False), (-1, False)])
def test_the_last_microsecond(paper: PaperDesk, waiting: Proposal, early: int, passes: bool) -> None:
    """The deadline itself is too late; one microsecond before it is not. The clock decides, no sweep has run."""
    seen = paper.seen(waiting)
    now = market.make_fresh(paper.connection, [BTC], now=timezone.now())
    tamper(waiting, expires_at=now + timedelta(microseconds=early))
    if passes:
        approve(paper, waiting, seen, now=now)
    else:
        assert refused(paper, waiting, seen, now=now).code == "PROPOSAL_EXPIRED"
    waiting.refresh_from_db()
    assert waiting.state == (ProposalState.APPROVED if passes else ProposalState.AWAITING_APPROVAL)


def test_another_policy_since_the_page_was_drawn(paper: PaperDesk, waiting: Proposal) -> None:
    seen = paper.seen(waiting)
    change_policy(paper)
    assert refused(paper, waiting, seen).code == "POLICY_CHANGED"
    paper.approve(waiting)


def test_another_tier_since_the_page_was_drawn(paper: PaperDesk, waiting: Proposal) -> None:
    before = paper.seen(waiting)
    version = change_policy(paper, rules_with(approvals={"tiers": TWO_NEEDED}))
    seen = replace(before, policy_version=str(version.pk))
    assert refused(paper, waiting, seen).code == "TIER_CHANGED"
    assert paper.approve(waiting).order_id is None


@pytest.mark.parametrize(("mid", "passes"), [("64000.01", True), ("65280", True), ("65280.02", False)])
def test_the_price_moved_since_the_page(paper: PaperDesk, waiting: Proposal, mid: str, passes: bool) -> None:
    """200 bps may pass: a tick does, exactly 200 bps do, a cent more does not."""
    seen = paper.seen(waiting)
    move(paper, mid)
    if passes:
        approve(paper, waiting, seen)
    else:
        assert refused(paper, waiting, seen).code == "PRICE_MOVED"
        waiting.refresh_from_db()
        assert waiting.state == ProposalState.AWAITING_APPROVAL


@pytest.mark.parametrize(("mid", "passes"), [("65280", True), ("65280.02", False)])
def test_the_price_moved_since_it_was_proposed(paper: PaperDesk, waiting: Proposal, mid: str, passes: bool) -> None:
    """A fresh page at the new price does not help: the proposal was made for another market, and is void."""
    move(paper, mid)
    seen = paper.seen(waiting)
    if passes:
        approve(paper, waiting, seen)
        return
    assert refused(paper, waiting, seen).code == "DRIFTED"
    waiting.refresh_from_db()
    assert (waiting.state, waiting.end_code) == (ProposalState.VOIDED, "DRIFTED")
    assert kinds(waiting)[-1] == "proposal.voided"


def test_a_page_left_open_too_long(paper: PaperDesk, waiting: Proposal) -> None:
    """The price that was signed is too old, although the price itself has not moved."""
    seen = paper.seen(waiting)
    later = market.make_fresh(paper.connection, [BTC], now=timezone.now()) + timedelta(seconds=10, milliseconds=500)
    # The poller has heard the same prices again just now.
    held = quotes.latest_of(paper.connection.pk, INSTRUMENTS).values()
    quotes.keep(paper.connection.pk, [replace(quote, occurred_at=later, received_at=later) for quote in held])
    error = refused(paper, waiting, seen, now=later)
    assert error.code == "QUOTE_TOO_OLD", error.message


@pytest.mark.parametrize(
    ("age_us", "passes"), [(10_000_000, True), (10_000_001, False), (-1_000_000, True), (-1_000_001, False)]
)
def test_how_old_and_how_early_the_price_of_the_page_may_be(
    paper: PaperDesk, waiting: Proposal, age_us: int, passes: bool
) -> None:
    """Ten seconds, and a second of a clock that is ahead; not a microsecond more of either."""
    seen = paper.seen(waiting)
    now = market.make_fresh(paper.connection, [BTC], now=timezone.now()) + timedelta(seconds=1)
    held = quotes.latest_of(paper.connection.pk, INSTRUMENTS)
    quotes.keep(paper.connection.pk, [replace(one, occurred_at=now, received_at=now) for one in held.values()])
    shown = replace(held[BTC], received_at=now - timedelta(microseconds=age_us))
    seen = replace(seen, signed_quote=signed_quotes.sign(shown, proposal_id=waiting.pk))
    if passes:
        approve(paper, waiting, seen, now=now)
    else:
        assert refused(paper, waiting, seen, now=now).code == "QUOTE_TOO_OLD"


def test_the_price_of_another_instrument_is_none(paper: PaperDesk, waiting: Proposal) -> None:
    """Signed for this very page, and the same number: it is still not this instrument's price."""
    seen = paper.seen(waiting)
    held = quotes.latest_of(paper.connection.pk, INSTRUMENTS)[BTC]
    other = signed_quotes.sign(replace(held, instrument="ETH-USD"), proposal_id=waiting.pk)
    assert refused(paper, waiting, replace(seen, signed_quote=other)).code == "QUOTE_MISSING"
    approve(paper, waiting, seen)


@pytest.mark.parametrize("side", ["reference_bid", "reference_ask"])
def test_without_the_whole_price_it_was_proposed_at_nothing_is_approved(
    paper: PaperDesk, waiting: Proposal, side: str
) -> None:
    seen = paper.seen(waiting)
    tamper(waiting, **{side: None})
    assert refused(paper, waiting, seen).code == "QUOTE_MISSING"


class TestWho:
    def test_the_proposer_is_refused_and_another_person_is_not(self, paper: PaperDesk, waiting: Proposal) -> None:
        both = User.objects.get(pk=paper.trader.pk)
        both.groups.add(*paper.approver.groups.all())
        assert refused(paper, waiting, paper.seen(waiting), approver=both).code == "OWN_PROPOSAL"
        approve(paper, waiting, paper.seen(waiting))

    def test_who_proposed_in_person_is_refused_too(self, paper: PaperDesk) -> None:
        both = UserFactory(username="both-hats", role="approver", desk=paper.desk)
        proposal = paper.propose(principal=Principal(user_id=both.pk, api_key_id=None, name="Both"))
        assert refused(paper, proposal, paper.seen(proposal), approver=both).code == "OWN_PROPOSAL"
        approve(paper, proposal, paper.seen(proposal))

    def test_a_role_that_does_not_decide(self, paper: PaperDesk, waiting: Proposal) -> None:
        for role in ("trader", "operator", "auditor"):
            somebody = UserFactory(username=f"some-{role}", role=role, desk=paper.desk)
            error = refused(paper, waiting, paper.seen(waiting), approver=somebody)
            assert (type(error), error.code) == (Forbidden, "MAY_NOT_DECIDE")

    def test_a_role_that_decides_but_not_this(self, paper: PaperDesk) -> None:
        change_policy(paper, rules_with(approvals={"tiers": [{"needed": "1", "roles": ["risk"]}]}))
        proposal = paper.propose()
        assert refused(paper, proposal, paper.seen(proposal)).code == "ROLE_NEEDED"
        approve(paper, proposal, paper.seen(proposal), approver=paper.risk)

    def test_a_superuser_without_the_role(self, paper: PaperDesk, waiting: Proposal) -> None:
        root = UserFactory(username="rooty", is_superuser=True, desk=paper.desk)
        assert refused(paper, waiting, paper.seen(waiting), approver=root).code == "ROLE_NEEDED"

    def test_a_deactivated_approver(self, paper: PaperDesk, waiting: Proposal) -> None:
        paper.approver.is_active = False
        paper.approver.save()
        assert refused(paper, waiting, paper.seen(waiting)).code == "MAY_NOT_DECIDE"

    def test_an_approver_of_another_desk(self, paper: PaperDesk, waiting: Proposal) -> None:
        stranger = UserFactory(username="other-desk", role="approver")
        error = refused(paper, waiting, paper.seen(waiting), approver=stranger)
        assert (type(error), error.code) == (NotFound, "PROPOSAL_UNKNOWN")
        paper.desk.members.add(stranger)
        approve(paper, waiting, paper.seen(waiting), approver=stranger)

    def test_a_key_is_refused_where_its_owner_is_not(self, paper: PaperDesk, waiting: Proposal) -> None:
        """The approver's own key, with every scope a key can have, against the approver signed in."""
        _, authorization = issue_key(owner=paper.approver, now=timezone.now(), scopes=("read", "halt"))
        seen = paper.seen(waiting)
        body = {
            "digest": seen.digest,
            "signed_quote": seen.signed_quote,
            "policy_version": seen.policy_version,
            "tier": seen.tier,
        }
        path = f"/api/v1/approvals/{waiting.pk}/approve"
        by_key = Client().post(path, body, "application/json", headers={"authorization": authorization})
        assert by_key.status_code == 403
        assert not Vote.objects.exists()
        person = Client()
        person.force_login(paper.approver)
        assert person.post(path, body, "application/json").status_code == 200
        assert Vote.objects.get().approver == paper.approver


class TestPolicyNow:
    def test_a_denial_is_kept_and_the_proposal_waits_on(self, paper: PaperDesk, waiting: Proposal) -> None:
        seen = paper.seen(waiting)
        halt(paper)
        error = refused(paper, waiting, seen)
        assert (type(error), error.code) == (Denied, "TRADING_HALTED")
        waiting.refresh_from_db()
        assert waiting.state == ProposalState.AWAITING_APPROVAL
        kept = Decision.objects.get(subject=str(waiting.pk), gate="APPROVAL")
        assert kept.outcome == "DENY"

    def test_room_that_is_taken_while_it_is_counted_and_free_again_when_it_is_judged(
        self, paper: PaperDesk, waiting: Proposal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No denial is kept, since policy does not deny: the voter looks again."""
        seen = paper.seen(waiting)

        def full(*args: object, **kwargs: object) -> None:
            raise BudgetExhausted("DAILY_NOTIONAL", "No room.")

        with monkeypatch.context() as patched:
            patched.setattr("apps.trades.services.budgeting.hold", full)
            error = refused(paper, waiting, seen)
        assert (type(error), error.code) == (Conflict, "DAILY_NOTIONAL")
        assert not Decision.objects.filter(subject=str(waiting.pk), gate="APPROVAL").exists()
        approve(paper, waiting, seen)

    def test_two_that_fit_alone_do_not_fit_together(self, paper: PaperDesk) -> None:
        """Each asks for 60 % of the cash; the second approval sees what the first has reserved."""
        paper.simulator.reset(USD="5000")
        move(paper, MID)
        sync.refresh_balances(paper.connection, now=timezone.now())
        change_policy(paper, rules_with(approvals={"tiers": [{"needed": "1", "roles": ["approver"]}]}))
        first, second = paper.propose(quantity=Decimal("0.045")), paper.propose(quantity=Decimal("0.046"))
        assert {first.state, second.state} == {ProposalState.AWAITING_APPROVAL}
        seen = paper.seen(second)
        paper.approve(first)
        assert refused_here(paper, second, seen) == "FUNDS_INSUFFICIENT"

    def test_a_sale_that_fits_beside_one(self, paper: PaperDesk) -> None:
        """Coins, too: 0.3 of 0.5 are sold, so another 0.3 may not be."""
        big = rules_with(
            max_order={"max_notional": "50000"},
            daily_notional={"max_notional": "90000"},
            approvals={"tiers": [{"needed": "1", "roles": ["approver"]}]},
        )
        change_policy(paper, big)
        move(paper, MID)
        first = paper.propose(side=Side.SELL, quantity=Decimal("0.3"))
        second = paper.propose(side=Side.SELL, quantity=Decimal("0.31"))
        seen = paper.seen(second)
        paper.approve(first)
        assert refused_here(paper, second, seen) == "FUNDS_INSUFFICIENT"
        third = paper.propose(side=Side.SELL, quantity=Decimal("0.2"))
        assert third.state == ProposalState.AWAITING_APPROVAL
        assert paper.approve(third).order_id


def refused_here(paper: PaperDesk, proposal: Proposal, seen: Seen) -> str:
    with pytest.raises(AikaError) as error:
        approve(paper, proposal, seen)
    assert not Order.objects.filter(proposal=proposal).exists()
    return error.value.code
