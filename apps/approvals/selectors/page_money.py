"""Prices and sums of the decision page: the price now and its drift, what the order can lose, what it costs."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from apps.approvals.selectors.page_values import Price, Sheet, SumLine, Tile
from apps.approvals.selectors.page_words import is_marketable
from apps.common import words
from apps.common.decimals import parse_decimal
from apps.common.errors import Invalid
from apps.common.money import product
from apps.connectors.types import Quote, Side
from apps.policies.types import Evaluation, FactKind, Facts, RuleKind, Tier
from apps.trades.types import Terms

ZERO: Final = Decimal(0)
NEAR_DRIFT: Final = Decimal("0.75")
_BPS: Final = Decimal(10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """The order at its worst, in quote currency: base quantity, price, what changes hands, the taker's fee."""

    quantity: Decimal | None
    price: Decimal | None
    notional: Decimal | None
    fee: Decimal | None
    taker: Decimal | None


def worst_of(terms: Terms, evaluation: Evaluation, facts: Facts) -> Worst:
    """What the order is at its own bound, and where it has none, at the one policy counts with."""
    price = terms.limit_price if terms.limit_price is not None else evaluation.worst_price
    quantity = terms.quantity
    if quantity is None and terms.quote_quantity is not None and price:
        quantity = terms.quote_quantity / price
    notional = terms.quote_quantity
    if notional is None and terms.quantity is not None and price is not None:
        notional = product(terms.quantity, price)
    taker = taker_rate(facts)
    fee = product(notional, taker) if notional is not None and taker is not None else None
    return Worst(quantity=quantity, price=price, notional=notional, fee=fee, taker=taker)


def taker_rate(facts: Facts) -> Decimal | None:
    """The taker's fee as a fraction of notional, as policy was given it."""
    for key, fact in facts.items():
        if key.startswith(f"{FactKind.FEES}:"):
            try:
                return parse_decimal(fact.values.get("taker"), field="taker")
            except Invalid:
                return None
    return None


def age_bound_s(evaluation: Evaluation, tier: Tier | None) -> int:
    """How old the price may be for a vote, in seconds: the tightest of what policy and the tier say."""
    bounds = [tier.quote_age_s] if tier is not None else []
    for line in evaluation.lines:
        if line.kind == RuleKind.STALE_QUOTE and line.unit == "s":
            try:
                bounds.append(int(Decimal(line.limit)))
            except ArithmeticError:
                continue
    return min(bounds, default=0)


def price_now(terms: Terms, quote: Quote | None, *, bound_s: int, signed: str, now: datetime) -> Price:
    """The quote as the page shows it; stale past `bound_s`."""
    if quote is None:
        return Price(instrument=terms.instrument, bound_s=bound_s)
    age = max(words.seconds_between(quote.received_at, now), ZERO)
    spread = (quote.ask - quote.bid) / quote.mid * _BPS
    return Price(
        instrument=terms.instrument,
        bid=words.price(quote.bid),
        ask=words.price(quote.ask),
        spread=f"spread {words.grouped(spread, places=1)} bps",
        received_at=quote.received_at,
        age=words.span(age),
        is_stale=age > bound_s,
        bound_s=bound_s,
        signed=signed,
    )


def drift_tile(
    terms: Terms, *, drift: Decimal | None, bound: Decimal | None, price: Price, asked_mid: Decimal | None
) -> Tile:
    """Is the price still right? Not known as soon as it is old."""
    question = "Is the price still right?"
    if drift is None or bound is None or price.is_stale:
        note = "No price is known." if not price.age else f"The last price is {price.age} old."
        if drift is not None and bound is not None and price.age:
            note = f"It was {words.signed(drift)} of {bound:f} bps, {price.age} ago."
        return Tile(key="price", question=question, answer="Not known", icon="unsure", kind="stale", note=note)
    used = abs(drift) / bound if bound else Decimal(1)
    over, near = abs(drift) > bound, used >= NEAR_DRIFT
    asked = f" It was {words.grouped(asked_mid, places=_places(terms, asked_mid))} then." if asked_mid else ""
    return Tile(
        key="price",
        question=question,
        answer=words.signed(drift),
        unit=f"of {bound:f} bps",
        icon="stop" if over else "warn" if near else "ok",
        kind="warn" if near else "",
        now=str(min(used * 100, Decimal(100)).quantize(Decimal("0.1"))),
        bar_kind="over" if over else "warn" if near else "",
        bar_label=f"{words.percent(used)} of the drift allowed",
        note=f"{_drift_words(terms, drift)}{asked}",
    )


def _places(terms: Terms, price: Decimal) -> int:
    """Decimals a price is read with: those of the limit, and enough for a coin worth cents."""
    exponent = terms.limit_price.normalize().as_tuple().exponent if terms.limit_price is not None else -2
    return max(2 if price >= 1 else 4, -exponent if isinstance(exponent, int) else 2)


def _drift_words(terms: Terms, drift: Decimal) -> str:
    share = f"{words.grouped(abs(drift) / 100, places=2)} %"
    if abs(drift) < Decimal("0.05"):
        return "As it was when asked."
    up = drift > 0
    if terms.side is Side.BUY:
        return f"{share} {'dearer, against us' if up else 'cheaper, for us'}."
    return f"{share} {'higher, for us' if up else 'lower, against us'}."


def loss_tile(terms: Terms, worst: Worst, quote: Quote | None, *, is_stale: bool) -> Tile:
    """What can it lose? Without a stop, a buy all it costs; a sell what its bound is below the price, and the fee."""
    question, currency = "What can it lose?", terms.quote_currency
    if worst.notional is None or worst.fee is None:
        note = "The worst price or the fee is not known now."
        return Tile(key="loss", question=question, answer="Not known", icon="unsure", kind="stale", note=note)
    if terms.side is Side.BUY:
        return Tile(
            key="loss",
            question=question,
            answer=f"{words.MINUS}{words.cost(worst.notional + worst.fee)}",
            unit=currency,
            tone="loss",
            now="100",
            bar_kind="add",
            bar_label="The whole amount",
            note="No stop: the whole amount, fee in, if the price falls to nothing.",
        )
    if quote is None or is_stale:
        note = f"The fee is at most {words.cost(worst.fee)} {currency}; against the price, it is not known."
        return Tile(key="loss", question=question, answer="Not known", icon="unsure", kind="stale", note=note)
    given = max(given_away(worst, quote), ZERO)
    lost = given + worst.fee
    rest = "" if not given else f", {words.cost(given)} of it below the price now"
    return Tile(
        key="loss",
        question=question,
        answer=f"{words.MINUS}{words.cost(lost)}",
        unit=currency,
        tone="loss",
        bar_label="Share of what is sold",
        now=str(min(lost / worst.notional * 100, Decimal(100)).quantize(Decimal("0.1"))) if worst.notional else "0",
        note=f"Fee in{rest}. Later gains of what is sold are forgone.",
    )


def given_away(worst: Worst, quote: Quote) -> Decimal:
    """What a sell at its bound brings less than the middle of the market, in quote currency."""
    if worst.quantity is None or worst.price is None:
        return ZERO
    return product(worst.quantity, quote.mid - worst.price)


def costs(terms: Terms, worst: Worst) -> Sheet:
    """Worst case, added up: the order at its bound and the taker's fee."""
    currency = terms.quote_currency
    if worst.notional is None or worst.fee is None or worst.taker is None:
        note = "The fee rate or the worst price is not known now, so nothing can be added up."
        return Sheet(title="Worst case, added up", aside=currency, lines=(), note=note)
    rate = f"{words.grouped(worst.taker * 100, places=2)} %"
    size = f"{words.grouped(terms.quantity)} {terms.base_currency}" if terms.quantity is not None else "Spent"
    at = f" at {words.price(worst.price)}" if worst.price is not None and terms.quantity is not None else ""
    buys = terms.side is Side.BUY
    amount, fee = words.cost(worst.notional), words.cost(worst.fee)
    if buys:
        lines = (
            SumLine(label=f"{size}{at}", value=f"{words.MINUS}{amount}", tone="loss"),
            SumLine(label=f"Fee to buy, {rate} taker", value=f"{words.MINUS}{fee}", tone="loss"),
            SumLine(
                label="Leaves the account at most",
                value=f"{words.MINUS}{words.cost(worst.notional + worst.fee)}",
                tone="loss",
                is_sum=True,
            ),
        )
        note = "All of it can be lost: no stop is attached, and a fee to sell comes on top."
    else:
        lines = (
            SumLine(label=f"{size}{at}", value=words.proceeds(worst.notional)),
            SumLine(label=f"Fee to sell, {rate} taker", value=f"{words.MINUS}{fee}", tone="loss"),
            SumLine(label="Comes in at least", value=words.proceeds(worst.notional - worst.fee), is_sum=True),
        )
        note = (
            "A gap or a thin book cannot push it below this."
            if terms.limit_price is not None
            else ("A market order has no bound at the venue: a thin book can push it below this.")
        )
    return Sheet(title="Worst case, added up", aside=currency, lines=lines, note=note)


def consequence(terms: Terms, quote: Quote | None, *, is_last: bool, still_needed: int) -> tuple[str, str]:
    """What the click on Approve does, in a bold sentence and the rest."""
    if not is_last:
        people = "One more approval is" if still_needed == 1 else f"{words.count(still_needed).capitalize()} more are"
        return "Yours is not the last vote.", f"{people} needed after it. Nothing is sent before."
    lead = "Yours is the last vote."
    if quote is None:
        return lead, "The order leaves at once. A fill cannot be undone."
    if is_marketable(terms, bid=quote.bid, ask=quote.ask):
        at = words.price(quote.ask if terms.side is Side.BUY else quote.bid)
        return lead, f"The order leaves at once and trades at about {at}. A fill cannot be undone."
    waits = words.price(terms.stop_price or terms.limit_price or quote.mid)
    return lead, f"The order leaves at once and rests until the price comes to {waits}. A fill cannot be undone."
