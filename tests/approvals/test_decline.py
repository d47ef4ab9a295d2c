"""One person's no ends it; an approver's second thought takes an approval back, until the order has left."""

import pytest
from django.utils import timezone

from apps.approvals.models import Vote
from apps.approvals.services import decide
from apps.common.errors import AikaError, Conflict, Forbidden, Invalid, NotFound
from apps.trades.models import Order, Proposal
from apps.trades.types import OrderState, ProposalState
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk
from tests.factories.trading import TWO_NEEDED, change_policy, kinds, last_state, rules_with, sent

pytestmark = pytest.mark.django_db


def decline(paper: PaperDesk, proposal: Proposal, **changes: object) -> object:
    values: dict[str, object] = {
        "approver": paper.approver,
        "digest": proposal.digest,
        "comment": "Too close to the announcement.",
        "now": timezone.now(),
        **changes,
    }
    return decide.decline(proposal_id=proposal.pk, **values)  # type: ignore[arg-type]


def revoke(paper: PaperDesk, proposal: Proposal, **changes: object) -> object:
    values: dict[str, object] = {"approver": paper.approver, "comment": "", "now": timezone.now(), **changes}
    return decide.revoke(proposal_id=proposal.pk, **values)  # type: ignore[arg-type]


class TestDecline:
    def test_one_no_ends_it(self, paper: PaperDesk) -> None:
        change_policy(paper, rules_with(approvals={"tiers": TWO_NEEDED}))
        proposal = paper.propose()
        paper.approve(proposal, by=paper.approver2)
        decline(paper, proposal)
        proposal.refresh_from_db()
        assert (proposal.state, proposal.end_code) == (ProposalState.DECLINED, "DECLINED")
        assert proposal.end_reason == "Too close to the announcement."
        assert kinds(proposal)[-2:] == ["vote.decline", "proposal.declined"]
        with pytest.raises(Conflict, match="PROPOSAL_NOT_WAITING"):
            decide.approve(
                proposal_id=proposal.pk,
                approver=paper.risk,
                seen=paper.seen(proposal),
                comment="",
                now=timezone.now(),
            )
        assert not Order.objects.exists()

    @pytest.mark.parametrize(
        ("changes", "kind", "code"),
        [
            ({"comment": ""}, Invalid, "COMMENT_NEEDED"),
            ({"comment": " \n\t"}, Invalid, "COMMENT_NEEDED"),
            ({"comment": "x" * 2_001}, Invalid, "COMMENT_TOO_LONG"),
            ({"comment": "nul \x00"}, Invalid, "TEXT_WITH_NUL"),
            ({"digest": "0" * 64}, Conflict, "DIGEST_CHANGED"),
        ],
    )
    def test_refused(self, paper: PaperDesk, changes: dict[str, str], kind: type[AikaError], code: str) -> None:
        proposal = paper.propose()
        with pytest.raises(kind) as error:
            decline(paper, proposal, **changes)
        assert error.value.code == code
        assert not Vote.objects.exists()
        decline(paper, proposal, comment="x" * 2_000)

    def test_who_may(self, paper: PaperDesk) -> None:
        proposal = paper.propose()
        trader = UserFactory(username="another-trader", role="trader", desk=paper.desk)
        for person, kind in ((trader, Forbidden), (UserFactory(role="approver"), NotFound), (paper.trader, Forbidden)):
            with pytest.raises(kind):
                decline(paper, proposal, approver=person)
        decline(paper, proposal, approver=paper.risk)

    def test_an_approved_one_cannot_be_declined(self, paper: PaperDesk) -> None:
        proposal = paper.propose()
        paper.approve(proposal)
        with pytest.raises(Conflict, match="PROPOSAL_NOT_WAITING"):
            decline(paper, proposal, approver=paper.risk)


class TestRevoke:
    def test_before_the_claim_it_voids(self, paper: PaperDesk) -> None:
        proposal = paper.propose()
        paper.approve(proposal)
        revoke(paper, proposal, comment="I misread the price.")
        proposal.refresh_from_db()
        order = paper.order_of(proposal)
        assert (proposal.state, proposal.end_code) == (ProposalState.VOIDED, "REVOKED")
        assert (order.state, order.reason_code) == (OrderState.CANCELED, "REVOKED")
        assert kinds(proposal)[-3:] == ["order.canceled", "proposal.voided", "vote.revoke"]
        assert last_state(str(order.pk)) == OrderState.CANCELED
        assert paper.execute(proposal) == OrderState.CANCELED
        assert not sent(paper)

    @pytest.mark.parametrize(
        ("comment", "kept"),
        [("", "Taken back by an approver."), ("I misread the price.", "I misread the price.")],
        ids=["no word", "a word"],
    )
    def test_the_reason_is_theirs_or_says_that_they_gave_none(self, paper: PaperDesk, comment: str, kept: str) -> None:
        proposal = paper.propose()
        paper.approve(proposal)
        revoke(paper, proposal, comment=comment)
        proposal.refresh_from_db()
        assert proposal.end_reason == kept

    def test_after_the_claim_nothing_is_written(self, paper: PaperDesk) -> None:
        """An order at the venue cannot be un-approved, and the votes must not say so."""
        proposal = paper.propose()
        paper.approve(proposal)
        paper.execute(proposal)
        with pytest.raises(Conflict, match="ORDER_ALREADY_CLAIMED"):
            revoke(paper, proposal)
        proposal.refresh_from_db()
        assert proposal.state == ProposalState.APPROVED
        assert not Vote.objects.filter(verb="REVOKE").exists()

    def test_before_the_quorum_it_uncounts(self, paper: PaperDesk) -> None:
        change_policy(paper, rules_with(approvals={"tiers": TWO_NEEDED}))
        proposal = paper.propose()
        assert paper.approve(proposal).approvals == 1
        revoke(paper, proposal)
        assert paper.approve(proposal, by=paper.approver2).approvals == 1
        assert not Order.objects.exists()
        assert paper.approve(proposal, by=paper.risk).order_id is not None
        assert str(paper.approver.pk) not in paper.order_of(proposal).authority.approvers

    def test_whose_vote_it_is(self, paper: PaperDesk) -> None:
        proposal = paper.propose()
        paper.approve(proposal)
        with pytest.raises(NotFound, match="VOTE_UNKNOWN"):
            revoke(paper, proposal, approver=paper.risk)
        revoke(paper, proposal)

    def test_an_ended_proposal_has_nothing_to_take_back(self, paper: PaperDesk) -> None:
        change_policy(paper, rules_with(approvals={"tiers": TWO_NEEDED}))
        proposal = paper.propose()
        paper.approve(proposal)
        decline(paper, proposal, approver=paper.risk)
        with pytest.raises(Conflict, match="PROPOSAL_NOT_WAITING"):
            revoke(paper, proposal)
