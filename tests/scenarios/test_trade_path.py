"""The whole path on real parts: asked, judged, approved, sent over HTTP, filled, booked, written down."""

from decimal import Decimal

import pytest
from django.core.management import call_command

from apps.common import canonical
from apps.trades.models import Authority, Fill, Position
from apps.trades.types import OrderState, ProposalState
from tests.factories.desk import PaperDesk

pytestmark = pytest.mark.django_db


def test_a_proposal_becomes_one_filled_order(paper: PaperDesk) -> None:
    proposal = paper.propose()
    assert proposal.state == ProposalState.AWAITING_APPROVAL, proposal.end_code
    assert not paper.simulator.orders()

    vote = paper.approve(proposal)
    assert vote.state == ProposalState.APPROVED
    assert paper.execute(proposal) == OrderState.ACCEPTED
    assert paper.poll(proposal) == OrderState.FILLED

    order = paper.order_of(proposal)
    sent = [r for r in paper.simulator.requests("/orders") if r["method"] == "POST"]
    assert len(sent) == 1
    assert len(paper.venue_orders(proposal)) == 1
    assert order.filled_quantity == Decimal("0.01")
    position = Position.objects.get(connection=paper.connection)
    assert position.quantity == Decimal("0.01")
    assert position.average_entry_price == order.average_fill_price
    assert Fill.objects.filter(order=order).exists()
    authority = Authority.objects.get(proposal=proposal)
    assert authority.digest == canonical.digest(bytes(proposal.terms))
    call_command("audit_verify")


def test_what_was_approved_is_what_the_venue_got(paper: PaperDesk) -> None:
    import base64

    proposal = paper.propose()
    paper.approve(proposal)
    paper.execute(proposal)
    (sent,) = [r for r in paper.simulator.requests("/orders") if r["method"] == "POST"]
    assert base64.b64decode(sent["body"]) == bytes(proposal.request_body)
    assert canonical.digest(base64.b64decode(sent["body"])) == proposal.request_digest
