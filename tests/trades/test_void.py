"""Ending what lost its ground: only before the claim, with its order, and both on record."""

import pytest
from django.db import transaction
from django.utils import timezone

from apps.audit.types import Actor
from apps.common.errors import Conflict
from apps.trades.models import Proposal
from apps.trades.selectors.proposals import locked_proposal
from apps.trades.services import endings, orders
from apps.trades.types import OrderState, ProposalState
from tests.factories.desk import PaperDesk
from tests.factories.trading import kinds, last_state

pytestmark = pytest.mark.django_db


def void(proposal: Proposal) -> None:
    with transaction.atomic():
        locked = locked_proposal(proposal.pk)
        assert locked is not None
        actor = Actor.system("test")
        endings.void(locked, code="GONE", reason="Because.", actor=actor, now=timezone.now())


def test_a_waiting_one_has_no_order_to_end(paper: PaperDesk) -> None:
    proposal = paper.propose()
    void(proposal)
    proposal.refresh_from_db()
    assert (proposal.state, proposal.end_code, proposal.end_reason) == (ProposalState.VOIDED, "GONE", "Because.")
    assert kinds(proposal) == ["proposal.proposed", "proposal.voided"]


def test_an_approved_one_ends_with_its_order(paper: PaperDesk) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    void(proposal)
    order = paper.order_of(proposal)
    assert (order.state, order.reason_code) == (OrderState.CANCELED, "GONE")
    assert order.closed_at is not None
    assert kinds(proposal)[-2:] == ["order.canceled", "proposal.voided"]
    assert last_state(str(order.pk)) == OrderState.CANCELED


def test_a_claimed_one_does_not_end(paper: PaperDesk) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    order = paper.order_of(proposal)
    assert orders._claim(order.pk, timezone.now(), timezone.now) is not None
    before = kinds(proposal)
    with pytest.raises(Conflict, match="ORDER_ALREADY_CLAIMED"):
        void(proposal)
    proposal.refresh_from_db()
    assert (proposal.state, kinds(proposal)) == (ProposalState.APPROVED, before)
    assert paper.order_of(proposal).state == OrderState.SUBMITTED
