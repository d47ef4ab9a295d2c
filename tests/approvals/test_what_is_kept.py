"""What stays of a vote: the price it carried, and of a denial the sentences of the rules that deny, and no others."""

from decimal import Decimal

import pytest
from django.utils import timezone

from apps.approvals.models import Vote
from apps.approvals.services import decide, signed_quotes
from apps.common.decimals import instant_text
from apps.common.errors import Denied
from tests.factories.desk import PaperDesk
from tests.factories.trading import halt

pytestmark = pytest.mark.django_db


def test_the_price_that_was_seen(paper: PaperDesk) -> None:
    proposal = paper.propose()
    seen = paper.seen(proposal)
    decide.approve(proposal_id=proposal.pk, approver=paper.approver, seen=seen, comment="", now=timezone.now())
    quote = signed_quotes.read(seen.signed_quote, proposal_id=proposal.pk)
    kept = Vote.objects.get(proposal=proposal).quote
    assert set(kept) == {"instrument", "bid", "ask", "received_at"}
    assert (kept["instrument"], kept["received_at"]) == (quote.instrument, instant_text(quote.received_at))
    assert (Decimal(kept["bid"]), Decimal(kept["ask"])) == (quote.bid, quote.ask)


def test_a_denial_says_why_and_only_that(paper: PaperDesk) -> None:
    proposal = paper.propose()
    seen = paper.seen(proposal)
    halt(paper)
    with pytest.raises(Denied) as error:
        decide.approve(proposal_id=proposal.pk, approver=paper.approver, seen=seen, comment="", now=timezone.now())
    assert error.value.message == "Policy denies it now. Trading is halted. Nothing is sent until it is resumed."
