"""The proposer takes a waiting proposal back; nobody else does, and not later."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.types import Principal
from apps.common.errors import Conflict, NotFound
from apps.trades.models import Proposal
from apps.trades.services import orders, withdrawals
from apps.trades.types import OrderState, ProposalState, WithdrawAnswer
from tests.factories.desk import PaperDesk
from tests.factories.trading import kinds, sent

pytestmark = pytest.mark.django_db


def withdraw(
    paper: PaperDesk, proposal: Proposal, principal: Principal | None = None, after_s: int = 0
) -> withdrawals.Withdrawal:
    return withdrawals.withdraw(
        proposal_id=proposal.pk,
        principal=principal or paper.principal,
        reason="Changed my mind.",
        now=timezone.now() + timedelta(seconds=after_s),
    )


def test_the_proposer_may(paper: PaperDesk) -> None:
    proposal = paper.propose()
    assert withdraw(paper, proposal).answer is WithdrawAnswer.WITHDRAWN
    proposal.refresh_from_db()
    assert (proposal.state, proposal.end_reason) == (ProposalState.WITHDRAWN, "Changed my mind.")
    assert kinds(proposal) == ["proposal.proposed", "proposal.withdrawn"]
    with pytest.raises(Conflict, match="PROPOSAL_NOT_WAITING"):
        withdraw(paper, proposal)


def test_the_human_behind_the_key_may_and_others_may_not(paper: PaperDesk) -> None:
    proposal = paper.propose()
    for person in (paper.approver, paper.risk):
        with pytest.raises(NotFound, match="PROPOSAL_UNKNOWN"):
            withdraw(paper, proposal, Principal(user_id=person.pk, api_key_id=None, name="Other"))
    withdraw(paper, proposal, Principal(user_id=paper.trader.pk, api_key_id=None, name="Trader"))


def test_approved_and_not_gone_it_is_void(paper: PaperDesk) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    done = withdraw(paper, proposal)
    proposal.refresh_from_db()
    assert (done.answer, paper.order_of(proposal).state) == (WithdrawAnswer.VOIDED, OrderState.CANCELED)
    assert (proposal.state, proposal.end_code, proposal.end_reason) == ("VOIDED", "WITHDRAWN", "Changed my mind.")
    assert paper.execute(proposal) == OrderState.CANCELED
    assert not sent(paper)


def test_after_the_claim_it_is_only_asked_to_cancel(paper: PaperDesk) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    assert orders._claim(paper.order_of(proposal).pk, timezone.now(), timezone.now) is not None
    done = withdraw(paper, proposal)
    proposal.refresh_from_db()
    assert (done.answer, done.order and done.order.state) == (WithdrawAnswer.ASKED_TO_CANCEL, OrderState.SUBMITTED)
    assert proposal.state == ProposalState.APPROVED
    assert "proposal.withdrawn" not in kinds(proposal)
    assert kinds(proposal)[-1] == "order.cancel_remembered"


def test_a_filled_order_cannot_be_taken_back(paper: PaperDesk) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    paper.execute(proposal)
    paper.poll(proposal)
    with pytest.raises(Conflict, match="ORDER_ENDED"):
        withdraw(paper, proposal)


def test_not_once_its_time_is_over(paper: PaperDesk) -> None:
    proposal = paper.propose(valid_for_s=30)
    with pytest.raises(Conflict, match="PROPOSAL_EXPIRED"):
        withdraw(paper, proposal, after_s=31)
    withdraw(paper, proposal)
