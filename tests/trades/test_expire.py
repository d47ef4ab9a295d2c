"""Time runs out by the clock; the sweep only writes it down."""

from datetime import timedelta

import pytest

from apps.connectors.types import Side
from apps.trades.services import endings, sweeps
from apps.trades.types import ProposalState
from tests.factories.desk import PaperDesk
from tests.factories.trading import kinds

pytestmark = pytest.mark.django_db

MICROSECOND = timedelta(microseconds=1)


def test_at_the_instant_and_not_before(paper: PaperDesk) -> None:
    proposal = paper.propose()
    assert not endings.expire(proposal_id=proposal.pk, now=proposal.expires_at - MICROSECOND)
    assert endings.expire(proposal_id=proposal.pk, now=proposal.expires_at)
    proposal.refresh_from_db()
    assert (proposal.state, proposal.ended_at) == (ProposalState.EXPIRED, proposal.expires_at)
    assert kinds(proposal)[-1] == "proposal.expired"
    assert not endings.expire(proposal_id=proposal.pk, now=proposal.expires_at)
    assert len(kinds(proposal)) == 2


def test_the_sweep_takes_what_is_due_and_only_that(paper: PaperDesk) -> None:
    soon, late = paper.propose(valid_for_s=30), paper.propose(valid_for_s=60, side=Side.SELL)
    approved = paper.propose(valid_for_s=30, instrument="ETH-USD")
    paper.approve(approved)
    assert sweeps.expire_due(now=soon.expires_at - MICROSECOND) == 0
    assert sweeps.expire_due(now=soon.expires_at) == 1
    assert sweeps.expire_due(now=soon.expires_at) == 0
    states = []
    for proposal in (soon, late, approved):
        proposal.refresh_from_db()
        states.append(proposal.state)
    assert states == [ProposalState.EXPIRED, ProposalState.AWAITING_APPROVAL, ProposalState.APPROVED]
