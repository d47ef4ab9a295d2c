"""Facts of a proposal, for the memory, as they stand when it is judged.

The detectors are `lessons.rules`; here is gathered what they look at. What was known is frozen with the proposal
(`ProposalFacts`), and its outcome is held against that: see `outcome_facts`.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from apps.common.money import product
from apps.connectors.types import Quote, Side
from apps.lessons.rules import detectors, kept_facts, regimes
from apps.lessons.rules.scene import Scene
from apps.lessons.types import Fact, Plan
from apps.policies.types import Ask, RuleKind, VersionRules
from apps.trades.models import Proposal, ProposalFacts
from apps.trades.services.gathering import Gathering
from apps.trades.types import Narrative

ASSET_CLASSES: Final[Mapping[str, str]] = {"coinbase": "crypto", "robinhood": "crypto"}


class Known(NamedTuple):
    """What is known of a proposal. `entry` is the price it was judged at, quote currency per base unit; `remembers` is
    whether its desk remembers any trade at all."""

    plan: Plan
    entry: Decimal | None
    regime: str
    facts: tuple[Fact, ...]
    remembers: bool


def asset_class_of(venue: str) -> str:
    """What a venue trades: crypto wherever it is not known to be something else."""
    return ASSET_CLASSES.get(venue, "crypto")


def plan_of(narrative: Narrative) -> Plan:
    """What a proposer says of a proposal, as the memory keeps it."""
    return Plan(
        thesis=narrative.rationale,
        setup=narrative.setup,
        stop=narrative.stop,
        target=narrative.target,
        told=narrative.facts,
    )


def at_proposal(gathering: Gathering) -> Known:
    """Facts of what is asked, from what was gathered `for_lessons`; the reads are made there, with all others.
    Looked at once: policy asks for them, and they are kept with the proposal. Raises as `detectors.check_told` for a
    new one; what is judged again a moment later is not held to figures that moved meanwhile."""
    if gathering.detected is None:
        scene = scene_of(gathering)
        if gathering.for_lessons:
            detectors.check_told(scene)
        scene = detectors.as_it_counts(scene)
        gathering.detected = Known(
            plan=gathering.plan,
            entry=scene.price,
            regime=regimes.regime_of(scene.candles),
            facts=detectors.detect(scene),
            remembers=gathering.any_case.answer == [True],
        )
    return gathering.detected


def scene_of(gathering: Gathering) -> Scene:
    """The decision as it stands at this moment."""
    asked, connection = gathering.ask, gathering.connection
    quote = gathering.quotes.get(asked.instrument) or gathering.quote(asked.instrument)
    price = _price(asked, quote)
    quantity = asked.quantity
    if quantity is None and asked.quote_quantity is not None and price:
        quantity = asked.quote_quantity / price
    held = next((lot for lot in gathering.lots.answer if lot.instrument == asked.instrument), None)
    losses = gathering.last_loss.answer
    return Scene(
        at=gathering.asked_at,
        side=Side(asked.side),
        asset_class=asset_class_of(connection.venue),
        reduces=asked.side == Side.SELL,
        price=price,
        limit_price=asked.limit_price,
        quantity=quantity,
        notional=_notional(gathering, quantity, price),
        plan=gathering.plan,
        candles=gathering.hours.answer,
        quote=quote,
        held=held.quantity if held else Decimal(0),
        held_price=held.average_entry_price if held else None,
        others_held=sum(lot.instrument != asked.instrument for lot in gathering.lots.answer),
        usual_notionals=gathering.usual_notionals,
        notional_max=_largest(asked, gathering.version),
        fee_rate=connection.fee_taker,
        losses_known=True,
        last_loss_at=losses[0] if losses else None,
        given=gathering.plan.told,
    )


def _price(asked: Ask, quote: Quote | None) -> Decimal | None:
    """What one unit would cost: the price it meets, or its own limit where that is better."""
    met = None if quote is None else (quote.ask if asked.side == Side.BUY else quote.bid)
    own = asked.limit_price
    if own is None or met is None:
        return own if met is None else met
    return min(own, met) if asked.side == Side.BUY else max(own, met)


def _notional(gathering: Gathering, quantity: Decimal | None, price: Decimal | None) -> Decimal | None:
    if quantity is None or price is None:
        return None
    rate = gathering.rate(gathering.ask.quote_currency)
    return None if rate is None else product(quantity, price, rate[0])


def _largest(asked: Ask, version: VersionRules | None) -> Decimal | None:
    """The smallest bound on an order's notional that applies."""
    bounds = [
        Decimal(str(row.params["max_notional"]))
        for row in (version.rules if version else ())
        if row.kind == RuleKind.MAX_ORDER_NOTIONAL
        and row.connection in {None, asked.connection}
        and row.instrument in {None, asked.instrument}
        and row.side in {None, asked.side}
        and row.proposer in {None, asked.proposer}
    ]
    return min(bounds, default=None)


def frozen(proposal: Proposal, known: Known, *, now: datetime) -> ProposalFacts:
    """The row that keeps it, to be stored with the proposal."""
    return ProposalFacts(
        proposal=proposal,
        setup=known.plan.setup,
        stop=known.plan.stop,
        target=known.plan.target,
        entry=known.entry,
        regime=known.regime,
        facts=kept_facts.rows_of(known.facts),
        version=detectors.FACTS_VERSION,
        recorded_at=now,
    )
