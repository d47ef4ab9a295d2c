"""What a size is held against: the newest that were approved on a connection, of ninety days."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.trades.models import Proposal
from apps.trades.selectors.usual import Approved, approved_question, notionals_since
from tests.factories.desk import PaperDesk

SINCE = timezone.now() - timedelta(days=90)


@pytest.mark.django_db
def test_only_what_was_approved_before_counts_newest_first(paper: PaperDesk) -> None:
    approved = [paper.propose(quantity=Decimal(text)) for text in ("0.010", "0.011")]
    for one in approved:
        paper.approve(one)
    waiting = paper.propose(quantity=Decimal("0.012"))
    denied = paper.propose(quantity=Decimal(1000))
    assert [waiting.state, denied.state] == ["AWAITING_APPROVAL", "DENIED"]

    def usual(until: datetime) -> list[Approved]:
        return approved_question(paper.connection.pk, until=until).answer

    first, second = (Approved(one.notional or Decimal(0), one.created_at) for one in approved)
    assert usual(timezone.now()) == [second, first]
    assert usual(second.created_at) == [first]
    assert Proposal.objects.count() == 4


def test_older_ones_do_not_count() -> None:
    at_the_edge = [Approved(Decimal(3), SINCE + timedelta(seconds=1)), Approved(Decimal(2), SINCE)]
    before = Approved(Decimal(1), SINCE - timedelta(microseconds=1))
    assert notionals_since([*at_the_edge, before], SINCE) == [Decimal(3), Decimal(2)]
