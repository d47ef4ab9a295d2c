"""The search over the whole desk: what it finds, of whom, and in what order."""

from decimal import Decimal

import pytest

from apps.accounts.models import User
from apps.connectors.selectors import page_connections_of
from apps.trades.models import Order, Proposal
from apps.trades.selectors import searching
from apps.trades.selectors.searching import find_proposals
from tests.factories.desk import PaperDesk

pytestmark = pytest.mark.django_db


def found(desk: PaperDesk, text: str) -> list[Proposal]:
    return find_proposals(text, connection_ids=(desk.connection.pk,))


def test_a_proposal_is_found_by_everything_people_have_in_hand(paper: PaperDesk) -> None:
    other, asked = paper.propose(instrument="ETH-USD", quantity=Decimal("0.1")), paper.propose()
    paper.approve(asked)
    paper.execute(asked)
    order = Order.objects.get(proposal=asked)
    by_hand = (
        str(asked.pk),
        asked.label,
        asked.pk.hex[:8],
        str(asked.client_order_id),
        str(order.pk),
        order.pk.hex[:8],
    )
    for text in (*by_hand, order.venue_order_id, "BTC", "btc-u"):
        assert found(paper, text) == [asked], text
    for text in (paper.trader.username, paper.trader.username[:3].upper(), paper.key.name[:3].lower()):
        assert found(paper, text) == [asked, other], text
    for text in ("", "B", "TC-USD", "nobody", "00000000", "%", "_TC"):
        assert found(paper, text) == [], text


def test_nothing_of_another_desk_is_found(paper: PaperDesk, outsider: User) -> None:
    asked = paper.propose()
    seen = page_connections_of(outsider)
    assert paper.connection.pk not in seen
    for text in (str(asked.pk), "BTC", paper.trader.username):
        assert find_proposals(text, connection_ids=seen) == []
        assert find_proposals(text, connection_ids=None) == [asked]


def test_no_more_than_so_many_are_found_the_newest(paper: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "FOUND_MAX", 2)
    asked = [paper.propose() for _ in range(3)]
    assert found(paper, "BTC") == asked[:0:-1]
