"""What the demo desk shows: proposals that wait, one denied with its remedy, one that went all the way to a fill."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from apps.accounts.types import Principal
from apps.approvals.services import decide, signed_quotes
from apps.approvals.types import Seen, tier_text
from apps.common.errors import AikaError
from apps.connectors.selectors import instrument_of
from apps.connectors.types import OrderType, Quote, TimeInForce
from apps.dashboard.rules import demo_wishes
from apps.dashboard.rules.demo_wishes import DENIED, FILLED, Prices, Wish
from apps.quotes.services import quotes
from apps.trades.selectors.proposals import first_of, order_of, waiting_of
from apps.trades.services import approval, fills, orders, proposals
from apps.trades.types import Intent, Narrative

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.connectors.models import Connection
    from apps.trades.models import Proposal

POLLS_MAX: Final = 20
# How long people may take: somebody who looks at the demo for an afternoon finds what it showed at the start.
VALID_FOR_S: Final = 4 * 3600
# Among how many of a desk's first proposals the two that begin it are looked for.
FIRST: Final = 20

Clock = Callable[[], datetime]


def intent_of(wish: Wish, connection: "Connection", quote: Quote) -> tuple[Intent, Prices]:
    """The wish at today's price, on the venue's price grid; and all prices of it."""
    instrument = instrument_of(connection.pk, wish.instrument)
    if instrument is None:
        raise LookupError(f"{connection.name} does not list {wish.instrument}.")
    prices = demo_wishes.prices_of(wish, mid=quote.mid, increment=instrument.price_increment)
    intent = Intent(
        connection=connection.slug,
        instrument=wish.instrument,
        side=wish.side,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        quantity=Decimal(wish.quantity),
        limit_price=prices.limit,
        valid_for_s=VALID_FOR_S,
    )
    return intent, prices


def ask(wish: Wish, connection: "Connection", principal: Principal, *, clock: Clock) -> "Proposal":
    """Propose a wish as the demo's program does."""
    now = clock()
    quote = quotes.fresh(connection, wish.instrument, now=now, max_age=timedelta(seconds=1))
    if quote is None:
        raise LookupError(f"{connection.name} has no price for {wish.instrument}.")
    intent, prices = intent_of(wish, connection, quote)
    return proposals.propose(
        intent=intent,
        narrative=Narrative(
            rationale=wish.rationale,
            confidence=Decimal(wish.confidence),
            tags=("demo", wish.tag),
            setup=wish.setup,
            stop=prices.stop,
            target=prices.target,
        ),
        principal=principal,
        idempotency_key=f"{wish.tag}-{uuid4()}",
        now=now,
        clock=clock,
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
    judgement = approval.judge_again(proposal, now=clock())
    if judgement.tier is None or judgement.version is None or judgement.quote is None:
        return
    seen = Seen(
        digest=proposal.digest,
        signed_quote=signed_quotes.sign(judgement.quote, proposal_id=proposal.pk),
        policy_version=judgement.version.version_id,
        tier=tier_text(judgement.tier),
    )
    decide.approve(
        proposal_id=proposal.pk,
        approver=approver,
        seen=seen,
        comment="Small, and with the trend.",
        now=clock(),
        clock=clock,
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
    now = clock()
    # By the clock: what ran out while nothing ran has not been written down as expired yet.
    waiting = [proposal for proposal in waiting_of(connection.pk) if proposal.expires_at > now]
    troubles = []
    for wish in demo_wishes.missing({tag for proposal in waiting for tag in proposal.tags}):
        try:
            ask(wish, connection, principal, clock=clock)
        except AikaError as error:
            troubles.append(f"{wish.tag}: {error.message}")
    return troubles
