"""Both sides of a book are of one moment, also where the second ends between the two."""

from decimal import Decimal

import pytest

from apps.connectors.simulator import market_frames, wire
from apps.connectors.simulator.clock import Clock
from apps.connectors.simulator.market import Market
from apps.connectors.simulator.products import PRODUCTS

LOOKS = 60


class Hurried(Clock):
    """A second passes at every look at it."""

    _now = 1_700_000_000

    @property
    def step(self) -> int:
        self._now += 1
        return self._now


@pytest.mark.parametrize("told", ["pricebook", "ticker", "book"])
def test_bid_is_below_ask(told: str) -> None:
    market, product = Market(7, Hurried()), PRODUCTS["BTC-USD"]
    for _ in range(LOOKS):
        if told == "pricebook":
            found = wire.pricebook(product, market, 1)
            bid, ask = found["bids"][0]["price"], found["asks"][0]["price"]
        elif told == "ticker":
            row = market_frames.ticker(product, market, with_best=True)
            bid, ask = row["best_bid"], row["best_ask"]
        else:
            sides = market_frames.book(product, market)
            bid, ask = max(map(Decimal, sides["bid"])), min(map(Decimal, sides["offer"]))
        assert Decimal(bid) < Decimal(ask)
