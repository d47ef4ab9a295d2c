"""What the demo desk shows: proposals that wait, one denied with its remedy, one that went all the way to a fill."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from django.utils import timezone

from apps.accounts.types import Principal
from apps.approvals.services import decide, signed_quotes
from apps.approvals.types import Seen, tier_text
from apps.common.errors import AikaError
from apps.common.money import floor_to
from apps.connectors.selectors import instrument_of
from apps.connectors.types import OrderType, Quote, Side, TimeInForce
from apps.quotes.services import quotes
from apps.trades.selectors.proposals import order_of, waiting_of
from apps.trades.services import approval, fills, orders, proposals
from apps.trades.types import Intent, Narrative

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.connectors.models import Connection
    from apps.trades.models import Proposal

POLLS_MAX: Final = 20


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


def ask(wish: Wish, connection: "Connection", principal: Principal) -> "Proposal":
    """Propose a wish as the demo's program does."""
    now = timezone.now()
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


def fill_one(connection: "Connection", principal: Principal, approver: "User") -> None:
    """One proposal the whole way: asked, approved by a person's vote, sent, filled, booked."""
    proposal = ask(FILLED, connection, principal)
    judgement = approval.judge_again(proposal, now=timezone.now(), lock=False)
    if judgement.tier is None or judgement.version is None or judgement.quote is None:
        return
    seen = Seen(
        digest=proposal.digest,
        signed_quote=signed_quotes.sign(judgement.quote, proposal_id=proposal.pk),
        policy_version=judgement.version.version_id,
        tier=tier_text(judgement.tier.needed, judgement.tier.roles),
    )
    decide.approve(
        proposal_id=proposal.pk, approver=approver, seen=seen, comment="Small, and with the trend.", now=timezone.now()
    )
    order = order_of(proposal.pk)
    if order is None:
        return
    orders.execute(order_id=order.pk, clock=timezone.now)
    for _ in range(POLLS_MAX):
        if fills.poll_order(order_id=order.pk, now=timezone.now()) == "FILLED":
            return


def top_up(connection: "Connection", principal: Principal) -> list[str]:
    """Ask again for every wish that should wait and does not. Returns what could not be asked, in words."""
    present = {tag for proposal in waiting_of(connection.pk) for tag in proposal.tags}
    troubles = []
    for wish in WAITING:
        if wish.tag in present:
            continue
        try:
            ask(wish, connection, principal)
        except AikaError as error:
            troubles.append(f"{wish.tag}: {error.message}")
    return troubles
