"""Whose approvals add up. Two people are needed, and every way to be fewer than two is tried."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.approvals.models import Vote
from apps.approvals.services import decide
from apps.common.errors import Conflict
from apps.trades.models import Authority, Order, Proposal
from tests.factories.desk import PaperDesk
from tests.factories.tampering import guards_lifted
from tests.factories.trading import ONE_NEEDED, TWO_NEEDED, change_policy, replayed, rules_with

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(paper: PaperDesk) -> Proposal:
    change_policy(paper, rules_with(approvals={"tiers": TWO_NEEDED}))
    return paper.propose()


def test_two_people_make_a_quorum(paper: PaperDesk, waiting: Proposal) -> None:
    first = paper.approve(waiting)
    assert (first.state, first.approvals, first.needed, first.order_id) == ("AWAITING_APPROVAL", 1, 2, None)
    second = paper.approve(waiting, by=paper.risk)
    assert (second.state, second.approvals) == ("APPROVED", 2)
    authority = Authority.objects.get()
    assert authority.approvers == [str(paper.approver.pk), str(paper.risk.pk)]
    assert (authority.needed, authority.roles) == (2, ["approver", "risk"])


def test_the_same_person_twice_is_one_person(paper: PaperDesk, waiting: Proposal) -> None:
    paper.approve(waiting)
    with pytest.raises(Conflict, match="ALREADY_VOTED"):
        paper.approve(waiting)
    assert Vote.objects.count() == 1
    assert not Order.objects.exists()
    assert paper.approve(waiting, by=paper.approver2).order_id


@pytest.mark.parametrize("gone", ["deactivated", "out of the role"])
def test_an_approver_who_is_gone_does_not_count(paper: PaperDesk, waiting: Proposal, gone: str) -> None:
    paper.approve(waiting)
    if gone == "deactivated":
        paper.approver.is_active = False
        paper.approver.save()
    else:
        paper.approver.groups.set([Group.objects.get(name="auditor")])
    result = paper.approve(waiting, by=paper.approver2)
    assert (result.approvals, result.order_id) == (1, None)
    assert paper.approve(waiting, by=paper.risk).order_id
    assert str(paper.approver.pk) not in Authority.objects.get().approvers


def test_votes_under_another_policy_do_not_count(paper: PaperDesk, waiting: Proposal) -> None:
    paper.approve(waiting)
    change_policy(paper, rules_with(approvals={"tiers": TWO_NEEDED}, max_order={"max_notional": "4000"}))
    result = paper.approve(waiting, by=paper.approver2)
    assert (result.approvals, result.order_id) == (1, None)
    # Who approved under the policy before may approve under this one.
    assert paper.approve(waiting).order_id


def test_a_lower_tier_now_counts_for_the_vote_now(paper: PaperDesk, waiting: Proposal) -> None:
    change_policy(paper, rules_with(approvals={"tiers": ONE_NEEDED}))
    assert paper.approve(waiting).order_id


class TestDatabase:
    """The database itself refuses an approval by the proposer, whatever path the row takes."""

    def row(self, paper: PaperDesk, proposal: Proposal, **changes: object) -> dict[str, object]:
        return {
            "proposal": proposal,
            "approver": paper.approver,
            "proposer": paper.trader,
            "environment": "paper",
            "verb": "APPROVE",
            "digest": proposal.digest,
            "policy_version": proposal.decision.version,
            "created_at": timezone.now(),
            **changes,
        }

    @pytest.mark.parametrize("verb", ["APPROVE", "REVOKE"])
    def test_the_orm_is_refused(self, paper: PaperDesk, waiting: Proposal, verb: str) -> None:
        with pytest.raises(IntegrityError, match="vote_approver_is_not_proposer"), transaction.atomic():
            Vote.objects.create(**self.row(paper, waiting, approver=paper.trader, verb=verb))
        Vote.objects.create(**self.row(paper, waiting, verb=verb))

    def test_raw_sql_is_refused(self, paper: PaperDesk, waiting: Proposal) -> None:
        vote = Vote.objects.create(**self.row(paper, waiting))
        columns = [field.column for field in Vote._meta.concrete_fields if field.column not in {"id", "approver_id"}]
        listed = ", ".join(f'"{column}"' for column in columns)
        key = uuid4() if connection.vendor == "postgresql" else uuid4().hex
        copy = f"INSERT INTO approvals_vote (id, approver_id, {listed}) SELECT %s, {{}}, {listed} FROM approvals_vote"  # noqa: S608  a test's own names
        for lifted in ((), ("approvals_vote",)):
            with guards_lifted(*lifted), pytest.raises(IntegrityError, match="not_proposer"), transaction.atomic():
                connection.cursor().execute(copy.format("proposer_id"), [key])
        assert Vote.objects.get() == vote

    def test_a_vote_is_never_changed_or_removed(self, paper: PaperDesk, waiting: Proposal) -> None:
        paper.approve(waiting)
        votes = Vote.objects.all()
        for act in (lambda: votes.update(approver=paper.risk), votes.delete):
            with pytest.raises(IntegrityError, match="guard append_only"), transaction.atomic():
                act()

    def test_a_vote_with_a_forged_proposer_does_not_count(self, paper: PaperDesk, waiting: Proposal) -> None:
        """The database compares the copy with the proposal; where that was taken off, the count asks the proposal."""
        paper.trader.groups.add(Group.objects.get(name="approver"))
        forged = self.row(
            paper,
            waiting,
            approver=paper.trader,
            proposer=paper.risk,
            policy_version_id=waiting.decision.version_id,
        )
        del forged["policy_version"]
        with pytest.raises(IntegrityError, match="guard true_copies"), transaction.atomic():
            Vote.objects.create(**forged)
        with guards_lifted("approvals_vote"):
            Vote.objects.create(**forged)
        result = paper.approve(waiting)
        assert (result.approvals, result.order_id) == (1, None)


def test_decisions_of_a_quorum_replay(paper: PaperDesk, waiting: Proposal) -> None:
    paper.approve(waiting)
    decide.approve(
        proposal_id=waiting.pk, approver=paper.risk, seen=paper.seen(waiting), comment="", now=timezone.now()
    )
    paper.execute(waiting)
    assert replayed() == 3
