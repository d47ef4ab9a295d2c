"""What tests of the desk's pages share."""

import pytest

from apps.connectors.types import Side
from apps.trades.models import Proposal
from tests.factories.desk import PaperDesk
from tests.factories.trading import move


@pytest.fixture
def closed(paper: PaperDesk, db: None) -> Proposal:
    """A proposal that sold what was bought before, at a loss: with an order, an outcome, a case and a lesson."""
    for side, price in ((Side.BUY, "66000"), (Side.SELL, "64500")):
        move(paper, price)
        asked = paper.propose(side=side)
        paper.approve(asked)
        paper.execute(asked)
        paper.poll(asked)
    return asked
