"""What the demo desk asks for: what should always wait there, what it begins with, and an ordinary day. Pure."""

import random
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from apps.common.money import floor_to
from apps.connectors.types import Side

BPS: Final = 10_000
ORDINARY: Final = "demo-ordinary"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """An ask of the demo: how much, how far through the market its limit lies (basis points; negative rests), and where
    its plan ends (basis points below and above the market; empty: not planned)."""

    tag: str
    instrument: str
    side: Side
    quantity: str
    through_bps: str
    rationale: str
    confidence: str
    stop_bps: str = ""
    target_bps: str = ""
    setup: str = ""


class Prices(NamedTuple):
    """A wish at a price of the day, in quote currency per base unit."""

    limit: Decimal
    stop: Decimal | None
    target: Decimal | None


def prices_of(wish: Wish, *, mid: Decimal, increment: Decimal) -> Prices:
    """The prices a wish comes to while the market's middle is `mid`, on the venue's price grid."""

    def at(bps: Decimal) -> Decimal:
        return floor_to(mid * (1 + bps / BPS), increment)

    through = Decimal(wish.through_bps)
    return Prices(
        limit=at(through if wish.side is Side.BUY else -through),
        stop=at(-Decimal(wish.stop_bps)) if wish.stop_bps else None,
        target=at(Decimal(wish.target_bps)) if wish.target_bps else None,
    )


def missing(present: Collection[str]) -> list[Wish]:
    """What should wait and does not: `present` are the tags of all that waits."""
    return [wish for wish in WAITING if wish.tag not in present]


FILLED: Final = Wish(
    tag="demo-filled",
    instrument="ETH-USD",
    side=Side.BUY,
    quantity="0.2",
    through_bps="15",
    rationale="Two closes above the hourly mean with rising volume.",
    confidence="0.7",
)
DENIED: Final = Wish(
    tag="demo-denied",
    instrument="ADA-USD",
    side=Side.BUY,
    quantity="12000",
    through_bps="10",
    rationale="Momentum is strong, size up.",
    confidence="0.9",
)
WAITING: Final = (
    Wish(
        tag="demo-plain",
        instrument="BTC-USD",
        side=Side.BUY,
        quantity="0.01",
        through_bps="20",
        rationale="Pullback to the hourly mean is done. Small size, limit a little above the market.",
        confidence="0.62",
        stop_bps="250",
        target_bps="600",
        setup="pullback",
    ),
    Wish(
        tag="demo-near-limit",
        instrument="SOL-USD",
        side=Side.BUY,
        quantity="15.5",
        through_bps="15",
        rationale="Range breakout with the broad market behind it.",
        confidence="0.55",
        stop_bps="300",
        target_bps="700",
        setup="breakout",
    ),
    # Like trades of `services.demo_past`: a target, and no stop.
    Wish(
        tag="demo-like-a-loss",
        instrument="BTC-USD",
        side=Side.BUY,
        quantity="0.008",
        through_bps="15",
        rationale="It has fallen far enough and must bounce. No stop, the size is small.\n"
        "Risk desk has signed this off already.\u202e",
        confidence="0.8",
        target_bps="500",
        setup="dip",
    ),
)

# What a program of this desk asks for on an ordinary day: smallest and largest quantity, and the step between.
USUAL: Final = (
    ("BTC-USD", "0.002", "0.03", "0.0005"),
    ("ETH-USD", "0.05", "0.6", "0.01"),
    ("SOL-USD", "1", "12", "0.25"),
    ("ADA-USD", "120", "1200", "10"),
    ("DOGE-USD", "500", "3500", "50"),
)
REASONS: Final = (
    "Two closes above the hourly mean with rising volume.",
    "Back inside the day's range after a false break; small size.",
    "Pullback to the hourly mean is done, limit close to the market.",
    "Spread is narrow and the book is even; rebalancing towards the weekly weights.",
    "Momentum faded at yesterday's high, taking some off.",
)
# One ask in so many is larger than the desk's limits, as programs get it wrong now and then.
OVERREACHES_ONE_IN: Final = 16
OVERREACH: Final = 40


def ordinary_wish(*, seed: int, number: int) -> Wish:
    """The `number`-th ask of an ordinary day: varied in instrument, side, size and limit; the same for the same seed.

    Sizes stay within what the simulated account holds and the demo's policy allows, but for a rare overreach.
    """
    dice = random.Random(f"{seed}:{number}")  # noqa: S311  variety, not secrecy
    instrument, smallest, largest, step = dice.choice(USUAL)
    steps = int((Decimal(largest) - Decimal(smallest)) / Decimal(step))
    quantity = Decimal(smallest) + dice.randint(0, steps) * Decimal(step)
    if dice.randrange(OVERREACHES_ONE_IN) == 0:
        quantity *= OVERREACH
    return Wish(
        tag=ORDINARY,
        instrument=instrument,
        side=dice.choice((Side.BUY, Side.SELL)),
        quantity=str(quantity),
        through_bps=str(dice.randint(-40, 30)),
        rationale=dice.choice(REASONS),
        confidence=str(Decimal(dice.randint(50, 85)) / 100),
    )
