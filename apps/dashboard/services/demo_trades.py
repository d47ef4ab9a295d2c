"""What the demo desk shows: proposals that wait, one denied with its remedy, one that went all the way to a fill."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from apps.accounts.types import Principal
from apps.approvals.services import decide, signed_quotes
from apps.approvals.types import Seen, tier_text
from apps.common.errors import AikaError
from apps.common.money import floor_to
from apps.connectors.selectors import instrument_of
from apps.connectors.types import OrderType, Quote, Side, TimeInForce
from apps.quotes.services import quotes
from apps.trades.selectors.proposals import first_of, order_of, waiting_of
from apps.trades.services import approval, fills, orders, proposals
from apps.trades.types import Intent, Narrative

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.connectors.models import Connection
    from apps.trades.models import Proposal

POLLS_MAX: Final = 20
# Among how many of a desk's first proposals the two that begin it are looked for.
FIRST: Final = 20

Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """An ask of the demo: how much, and how far through the market its limit lies (basis points; negative rests)."""

    tag: str
    instrument: str
    side: Side
    quantity: str
    through_bps: str
    rationale: str
    confidence: str


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
    ),
    Wish(
        tag="demo-near-limit",
        instrument="SOL-USD",
        side=Side.BUY,
        quantity="15.5",
        through_bps="15",
        rationale="Range breakout with the broad market behind it.",
        confidence="0.55",
    ),
    Wish(
        tag="demo-large",
        instrument="BTC-USD",
        side=Side.SELL,
        quantity="0.06",
        through_bps="15",
        rationale="Take part of the position off before the weekend.\nRisk desk has signed this off already.\u202e",
        confidence="0.8",
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
        tag="demo-ordinary",
        instrument=instrument,
        side=dice.choice((Side.BUY, Side.SELL)),
        quantity=str(quantity),
        through_bps=str(dice.randint(-40, 30)),
        rationale=dice.choice(REASONS),
        confidence=str(Decimal(dice.randint(50, 85)) / 100),
    )


def intent_of(wish: Wish, connection: "Connection", quote: Quote) -> Intent:
    """The wish at today's price, on the venue's price grid."""
    instrument = instrument_of(connection.pk, wish.instrument)
    if instrument is None:
        raise LookupError(f"{connection.name} does not list {wish.instrument}.")
    through = Decimal(wish.through_bps) / 10_000
    factor = 1 + through if wish.side is Side.BUY else 1 - through
    return Intent(
        connection=connection.slug,
        instrument=wish.instrument,
        side=wish.side,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        quantity=Decimal(wish.quantity),
        limit_price=floor_to(quote.mid * factor, instrument.price_increment),
    )


def ask(wish: Wish, connection: "Connection", principal: Principal, *, clock: Clock) -> "Proposal":
    """Propose a wish as the demo's program does."""
    now = clock()
    quote = quotes.fresh(connection, wish.instrument, now=now, max_age=timedelta(seconds=1))
    if quote is None:
        raise LookupError(f"{connection.name} has no price for {wish.instrument}.")
    return proposals.propose(
        intent=intent_of(wish, connection, quote),
        narrative=Narrative(rationale=wish.rationale, confidence=Decimal(wish.confidence), tags=("demo", wish.tag)),
        principal=principal,
        idempotency_key=f"{wish.tag}-{uuid4()}",
        now=now,
    )


def begin(connection: "Connection", principal: Principal, approver: "User", *, clock: Clock) -> None:
    """What a desk has behind it: one ask that was filled and one that was denied. Each is asked for once."""
    asked = {tag for proposal in first_of(connection.pk, limit=FIRST) for tag in proposal.tags}
    if FILLED.tag not in asked:
        fill_one(connection, principal, approver, clock=clock)
    if DENIED.tag not in asked:
        ask(DENIED, connection, principal, clock=clock)


def fill_one(connection: "Connection", principal: Principal, approver: "User", *, clock: Clock) -> None:
    """One proposal the whole way: asked, approved by a person's vote, sent, filled, booked."""
    proposal = ask(FILLED, connection, principal, clock=clock)
    judgement = approval.judge_again(proposal, now=clock(), lock=False)
    if judgement.tier is None or judgement.version is None or judgement.quote is None:
        return
    seen = Seen(
        digest=proposal.digest,
        signed_quote=signed_quotes.sign(judgement.quote, proposal_id=proposal.pk),
        policy_version=judgement.version.version_id,
        tier=tier_text(judgement.tier),
    )
    decide.approve(
        proposal_id=proposal.pk, approver=approver, seen=seen, comment="Small, and with the trend.", now=clock()
    )
    order = order_of(proposal.pk)
    if order is None:
        return
    orders.execute(order_id=order.pk, clock=clock)
    for _ in range(POLLS_MAX):
        if fills.poll_order(order_id=order.pk, now=clock()) == "FILLED":
            return


def top_up(connection: "Connection", principal: Principal, *, clock: Clock) -> list[str]:
    """Ask again for every wish that should wait and does not. Returns what could not be asked, in words."""
    present = {tag for proposal in waiting_of(connection.pk) for tag in proposal.tags}
    troubles = []
    for wish in WAITING:
        if wish.tag in present:
            continue
        try:
            ask(wish, connection, principal, clock=clock)
        except AikaError as error:
            troubles.append(f"{wish.tag}: {error.message}")
    return troubles
