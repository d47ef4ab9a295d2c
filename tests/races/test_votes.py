"""People who decide at the same moment. Each race is run once with the code as it is, and once with what keeps it right
taken out: a test that cannot see the mutant proves nothing."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from threading import Event
from typing import Any

import pytest
from django.db import connection as db
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.models import Vote
from apps.approvals.services import decide
from apps.approvals.types import VoteResult
from apps.common.errors import Conflict, Denied
from apps.policies.models import Decision
from apps.policies.services.replays import problem_of
from apps.trades.models import Authority, Order, Proposal
from apps.trades.services import approval, budgeting, endings, orders, withdrawals
from apps.trades.types import OrderState, ProposalState
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk
from tests.factories.tampering import guards_lifted
from tests.factories.trading import ONE_NEEDED, TWO_NEEDED, change_policy, move, reserved_minor, rules_with, sent
from tests.races.conftest import Work, meet_after, together
from tests.scenarios.callers import eventually

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

LIMIT = Decimal(1000)


def ballot(desk: PaperDesk, proposal: Proposal, by: User) -> Work:
    seen = desk.seen(proposal)
    return lambda: decide.approve(proposal_id=proposal.pk, approver=by, seen=seen, comment="", now=timezone.now())


def counted(results: list[Any]) -> list[VoteResult]:
    return [result for result in results if isinstance(result, VoteResult)]


class TestOneApprover:
    def eight_clicks(self, desk: PaperDesk) -> list[Any]:
        proposal = desk.propose()
        return together([ballot(desk, proposal, desk.approver)] * 8)

    def test_eight_clicks_are_one_vote(self, desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
        meet_after(monkeypatch, endings, "require_waiting", 8)
        results = self.eight_clicks(desk)
        assert len(counted(results)) == 1
        assert [type(result) for result in results if not isinstance(result, VoteResult)] == [Conflict] * 7
        assert (Vote.objects.count(), Order.objects.count()) == (1, 1)

    def test_without_the_locks_the_database_still_holds_it(
        self, desk: PaperDesk, monkeypatch: pytest.MonkeyPatch, without_locks: Callable[..., None]
    ) -> None:
        """Seven met the winner in the middle of its work: no longer told politely, and still not counted."""
        without_locks()
        meet_after(monkeypatch, endings, "require_waiting", 8)
        self.eight_clicks(desk)
        assert (Vote.objects.count(), Order.objects.count()) == (1, 1)


class TestTwoApprovers:
    """Both votes that are needed arrive at once."""

    def vote_together(self, desk: PaperDesk) -> list[Any]:
        change_policy(desk, rules_with(approvals={"tiers": TWO_NEEDED}))
        proposal = desk.propose()
        return together([ballot(desk, proposal, desk.approver), ballot(desk, proposal, desk.risk)])

    def test_make_one_authority_and_one_order(self, desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
        meet_after(monkeypatch, decide, "_cast", 2)
        results = self.vote_together(desk)
        assert sorted(result.approvals for result in counted(results)) == [1, 2]
        assert (Vote.objects.count(), Authority.objects.count(), Order.objects.count()) == (2, 1, 1)

    def test_the_mutant_loses_the_quorum(
        self, desk: PaperDesk, monkeypatch: pytest.MonkeyPatch, without_locks: Callable[..., None]
    ) -> None:
        """Each sees only its own vote: two people approved, and no order comes of it."""
        without_locks()
        meet_after(monkeypatch, decide, "_cast", 2)
        # Both have counted before either commits; else the slower one may count the other's vote too.
        meet_after(monkeypatch, decide, "_standing", 2)
        results = self.vote_together(desk)
        assert [result.approvals for result in counted(results)] == [1, 1]
        assert (Vote.objects.count(), Order.objects.count()) == (2, 0)


class TestLimit:
    """Ten proposals of 60 % of the daily limit each, approved at once by ten people."""

    def approve_ten(self, desk: PaperDesk) -> list[Any]:
        move(desk, "60000")
        rules = rules_with(daily_notional={"max_notional": str(LIMIT)}, approvals={"tiers": ONE_NEEDED})
        change_policy(desk, rules)
        people = [UserFactory(role="approver", desk=desk.desk) for _ in range(10)]
        asked = [desk.propose(limit_price=Decimal(60000 + n), quantity=Decimal("0.01")) for n in range(10)]
        assert {proposal.state for proposal in asked} == {ProposalState.AWAITING_APPROVAL}
        return together([ballot(desk, p, by) for p, by in zip(asked, people, strict=True)])

    def test_holds(self, desk: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
        meet_after(monkeypatch, approval, "keep_judgement", 10)
        results = self.approve_ten(desk)
        assert len(counted(results)) == 1
        assert [type(result) for result in results if not isinstance(result, VoteResult)] == [Denied] * 9
        assert 0 < reserved_minor(desk) <= LIMIT * 10**8

    def test_without_the_locks_the_budget_still_holds_it(
        self, desk: PaperDesk, monkeypatch: pytest.MonkeyPatch, without_locks: Callable[..., None]
    ) -> None:
        """All ten were judged while there was room. Nine find none, and nothing of theirs is left: no vote, no order,
        and a denial on record that says why."""
        without_locks()
        meet_after(monkeypatch, approval, "keep_judgement", 10)
        results = self.approve_ten(desk)
        refused = [result for result in results if not isinstance(result, VoteResult)]
        assert [(type(error), error.code) for error in refused] == [(Denied, "DAILY_NOTIONAL")] * 9
        assert reserved_minor(desk) <= LIMIT * 10**8
        assert (Vote.objects.count(), Authority.objects.count(), Order.objects.count()) == (1, 1, 1)
        denials = Decision.objects.filter(gate="APPROVAL", outcome="DENY")
        assert denials.count() == 9
        assert {problem_of(decision) for decision in denials} == {""}
        waiting = Proposal.objects.filter(state=ProposalState.AWAITING_APPROVAL)
        assert waiting.count() == 9

    def test_the_mutant_breaks_it(
        self, desk: PaperDesk, monkeypatch: pytest.MonkeyPatch, without_locks: Callable[..., None]
    ) -> None:
        """Without the budgets too, what was judged is out of date by the time it is written."""
        without_locks()
        monkeypatch.setattr(budgeting, "hold", lambda order, judgement, now: None)
        meet_after(monkeypatch, approval, "keep_judgement", 10)
        self.approve_ten(desk)
        assert reserved_minor(desk) > LIMIT * 10**8


def withdraw(desk: PaperDesk, proposal: Proposal) -> None:
    withdrawals.withdraw(proposal_id=proposal.pk, principal=desk.principal, reason="", now=timezone.now())


def expire(desk: PaperDesk, proposal: Proposal) -> None:
    over = proposal.expires_at + timedelta(microseconds=1)
    if not endings.expire(proposal_id=proposal.pk, now=over):
        raise Conflict("PROPOSAL_NOT_WAITING", "Somebody was faster.")


def decline(desk: PaperDesk, proposal: Proposal) -> None:
    decide.decline(
        proposal_id=proposal.pk, approver=desk.risk, digest=proposal.digest, comment="No.", now=timezone.now()
    )


def _then(work: Work, afterwards: Callable[[], None]) -> Any:
    try:
        return work()
    finally:
        afterwards()


ENDINGS = [withdraw, expire, decline]


def somebody_waits_for_us() -> bool:
    """Whether another transaction waits for the one this is asked in."""
    with db.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        return bool(cursor.fetchone()[0])


FIRST = {withdraw: "WITHDRAWN", expire: "EXPIRED", decline: "DECLINED"}


@pytest.mark.parametrize("ending", ENDINGS)
class TestEndings:
    """Something ends the proposal while somebody approves it: one of the two happens first, never both at once or none.

    What is too late is refused, but for one: the proposer may still take back what is approved, until it leaves.
    """

    def race(
        self,
        desk: PaperDesk,
        ending: Callable[[PaperDesk, Proposal], None],
        rounds: int,
        voted: Callable[[], None] = lambda: None,
    ) -> list[tuple[int, str, int]]:
        """Per round: how many of the two succeeded, the state, and how many orders there are that may leave."""
        seen = []
        for number in range(rounds):
            proposal = desk.propose(quantity=Decimal("0.005") + Decimal(number) / 10_000)
            vote = ballot(desk, proposal, desk.approver)
            results = together([partial(_then, vote, voted), partial(ending, desk, proposal)])
            seen.append(self.outcome(proposal, results))
        return seen

    def outcome(self, proposal: Proposal, results: list[Any]) -> tuple[int, str, int]:
        proposal.refresh_from_db()
        succeeded = sum(not isinstance(result, Exception) for result in results)
        return succeeded, proposal.state, Order.objects.initialized().filter(proposal=proposal).count()

    def nothing_is_left_of(self, desk: PaperDesk, proposal: Proposal) -> None:
        """An order of it there may have been; it binds no money and never leaves."""
        for order in Order.objects.filter(proposal=proposal):
            assert (order.state, order.reason_code) == (OrderState.CANCELED, "WITHDRAWN")
            assert desk.execute(proposal) == OrderState.CANCELED
        assert reserved_minor(desk) == 0
        assert not desk.venue_orders(proposal)

    def test_one_of_the_two(self, desk: PaperDesk, ending: Callable[[PaperDesk, Proposal], None]) -> None:
        late = (2, "VOIDED", 0) if ending is withdraw else (1, "APPROVED", 1)
        assert set(self.race(desk, ending, 6)) <= {late, (1, FIRST[ending], 0)}
        for proposal in Proposal.objects.exclude(state="APPROVED"):
            assert not Order.objects.filter(proposal=proposal).exists() or proposal.end_code == "WITHDRAWN"
        if ending is withdraw:
            for proposal in Proposal.objects.all():
                self.nothing_is_left_of(desk, proposal)

    def test_who_comes_while_the_vote_is_counted_waits_for_it(
        self, desk: PaperDesk, ending: Callable[[PaperDesk, Proposal], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The order of the two that seldom happens by itself."""
        counting, keep = Event(), approval.keep_judgement

        def kept(*args: Any, **kwargs: Any) -> Any:
            found = keep(*args, **kwargs)
            counting.set()
            assert eventually(somebody_waits_for_us, seconds=30)
            return found

        def too_late() -> None:
            assert counting.wait(30)
            ending(desk, proposal)

        proposal = desk.propose()
        vote = ballot(desk, proposal, desk.approver)
        monkeypatch.setattr(approval, "keep_judgement", kept)
        results = together([vote, too_late])

        assert isinstance(results[0], VoteResult)
        if ending is withdraw:
            assert self.outcome(proposal, results) == (2, "VOIDED", 0)
            assert (Order.objects.count(), proposal.end_code) == (1, "WITHDRAWN")
            self.nothing_is_left_of(desk, proposal)
        else:
            assert self.outcome(proposal, results) == (1, "APPROVED", 1)
            assert isinstance(results[1], Conflict)
            assert reserved_minor(desk) > 0

    def test_the_mutant_does_both(
        self,
        desk: PaperDesk,
        ending: Callable[[PaperDesk, Proposal], None],
        monkeypatch: pytest.MonkeyPatch,
        without_locks: Callable[..., None],
    ) -> None:
        """Without the locks, the comparison in the UPDATE, and the guard of the table."""
        without_locks()

        read, approved = Event(), Event()

        def set_state(proposal: Proposal, state: ProposalState, **words: Any) -> Proposal:
            read.set()
            approved.wait(30)
            Proposal.objects.filter(pk=proposal.pk).update(state=state)
            return proposal

        keep = approval.keep_judgement

        def kept(*args: Any, **kwargs: Any) -> Any:
            found = keep(*args, **kwargs)
            read.wait(30)
            return found

        monkeypatch.setattr(endings, "end", set_state)
        monkeypatch.setattr(approval, "keep_judgement", kept)
        with guards_lifted("trades_proposal"):
            ((succeeded, state, count),) = self.race(desk, ending, 1, voted=approved.set)
        assert (succeeded, count) == (2, 1), state


class TestRevoke:
    """An approver takes the approval back while a worker claims the order."""

    def race(self, desk: PaperDesk) -> tuple[str, str, int, bool]:
        proposal = desk.propose()
        desk.approve(proposal)
        order = desk.order_of(proposal)
        revoked, state = together(
            [
                lambda: decide.revoke(proposal_id=proposal.pk, approver=desk.approver, comment="", now=timezone.now()),
                lambda: orders.execute(order_id=order.pk, clock=timezone.now),
            ]
        )
        assert not isinstance(state, Exception), state
        proposal.refresh_from_db()
        order.refresh_from_db()
        return proposal.state, order.state, len(desk.venue_orders(proposal)), isinstance(revoked, Conflict)

    def test_one_of_the_two(self, desk: PaperDesk) -> None:
        for number in range(5):
            move(desk, Decimal(64000 + number))
            assert self.race(desk) in {
                (ProposalState.VOIDED, OrderState.CANCELED, 0, False),
                (ProposalState.APPROVED, OrderState.ACCEPTED, 1, True),
            }
            assert Vote.objects.filter(verb="REVOKE").count() == Proposal.objects.filter(state="VOIDED").count()

    def test_without_the_locks_the_compare_and_swap_still_holds_it(
        self, desk: PaperDesk, without_locks: Callable[..., None]
    ) -> None:
        without_locks(chain=True)
        for number in range(3):
            move(desk, Decimal(64000 + number))
            state, order, venue_orders, _ = self.race(desk)
            assert (order, venue_orders) in {(OrderState.CANCELED, 0), (OrderState.ACCEPTED, 1)}, state
        assert len(sent(desk)) <= 3
