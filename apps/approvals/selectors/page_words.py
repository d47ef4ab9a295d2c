"""The opening of the decision page: the terms as one sentence, from the frozen bytes alone."""

from decimal import Decimal

from apps.approvals.selectors.page_values import Sent, Sentence
from apps.common import canonical, words
from apps.common.decimals import decimal_text, instant_text
from apps.connectors.types import OrderType, Side, TimeInForce, venue_title
from apps.trades.types import Terms


def venue_name(terms: Terms) -> str:
    """The venue as people call it."""
    return venue_title(terms.venue)


def sentence(terms: Terms, *, worst_price: Decimal | None, fee: Decimal | None) -> Sentence:
    """`Buy 0.05 BTC for at most 3,214.60 USD on Coinbase (paper)`, and what the order then does.

    `worst_price` and `fee` (quote currency) are policy's own; a limit price bounds the order by itself.
    """
    what, bound, worth = _worth(terms, worst_price)
    return Sentence(
        side=terms.side.value,
        what=what,
        bound=bound,
        worth=worth,
        where=f"on {venue_name(terms)} ({terms.environment})",
        then=_then(terms, worst_price, fee),
        short=short(terms),
    )


def short(terms: Terms) -> str:
    """`Buy 0.05 BTC-USD`."""
    verb = terms.side.value.capitalize()
    if terms.quantity is not None:
        return f"{verb} {decimal_text(terms.quantity)} {terms.instrument}"
    spent = Decimal(0) if terms.quote_quantity is None else terms.quote_quantity
    return f"{verb} {terms.instrument} for {words.money(spent)} {terms.quote_currency}"


def line(terms: Terms) -> str:
    """What a row of the queue says after the side: `0.05 BTC-USD at most 64,292.00 each`."""
    size = short(terms).partition(" ")[2]
    if terms.limit_price is None:
        return f"{size}, at market"
    edge = "at most" if terms.side is Side.BUY else "at least"
    stop = f", once it reaches {words.price(terms.stop_price)}" if terms.stop_price is not None else ""
    return f"{size} {edge} {words.price(terms.limit_price)} each{stop}"


def _worth(terms: Terms, worst_price: Decimal | None) -> tuple[str, str, str]:
    currency = terms.quote_currency
    if terms.quantity is None:
        spent = Decimal(0) if terms.quote_quantity is None else terms.quote_quantity
        return terms.base_currency, "for", f"{words.money(spent)} {currency}, at market"
    what = f"{words.grouped(terms.quantity)} {terms.base_currency}"
    if terms.limit_price is None:
        if worst_price is None:
            return what, "at market, worth", "an amount that is not known now"
        return what, "at market, for about", f"{words.money(terms.quantity * worst_price)} {currency}"
    amount = terms.quantity * terms.limit_price
    if terms.side is Side.BUY:
        return what, "for at most", f"{words.cost(amount)} {currency}"
    return what, "for at least", f"{words.proceeds(amount)} {currency}"


def _then(terms: Terms, worst_price: Decimal | None, fee: Decimal | None) -> str:
    charge = f", fee up to {words.cost(fee)} {terms.quote_currency}" if fee is not None else ""
    if terms.limit_price is None:
        edge = "at most" if terms.side is Side.BUY else "at least"
        bound = f" Policy counts with {edge} {words.price(worst_price)} each." if worst_price is not None else ""
        return f"At the price the market has then{charge}. The venue holds no bound on it.{bound} {_exits(terms)}"
    edge = "At most" if terms.side is Side.BUY else "At least"
    return f"{edge} {words.price(terms.limit_price)} each, {_lasting(terms)}{charge}. {_exits(terms)}"


def _lasting(terms: Terms) -> str:
    until = f"{terms.not_after:%-d %b %H:%M} UTC"
    woken = f"once the price reaches {words.price(terms.stop_price)}, " if terms.stop_price is not None else ""
    match terms.time_in_force:
        case TimeInForce.IOC:
            return f"{woken}at once, and what is not filled at once is canceled"
        case TimeInForce.FOK:
            return f"{woken}at once and in full, or not at all"
        case TimeInForce.GTD:
            return f"{woken}until {until}"
        case _:
            return f"{woken}until it is filled or canceled, at most until {until}"


def _exits(terms: Terms) -> str:
    post_only = "It never takes from the book: it rests or the venue refuses it. " if terms.post_only else ""
    if terms.side is Side.BUY:
        return f"{post_only}No stop is attached: nothing sells it again by itself."
    return f"{post_only}Nothing buys it back by itself."


def is_marketable(terms: Terms, *, bid: Decimal, ask: Decimal) -> bool:
    """Whether the order would trade at once at these prices."""
    if terms.stop_price is not None or terms.post_only:
        return False
    if terms.order_type is OrderType.MARKET or terms.limit_price is None:
        return True
    return terms.limit_price >= ask if terms.side is Side.BUY else terms.limit_price <= bid


def sent(terms: Terms, *, raw: bytes, digest: str, request: bytes, request_digest: str) -> Sent:
    """Both frozen byte strings in full, and whether they still have the digests that were stored with them."""
    return Sent(
        terms=tuple((name, value) for name, value in _pairs(terms)),
        digest=digest,
        request=request.decode("utf-8", errors="backslashreplace"),
        request_digest=request_digest,
        venue=venue_name(terms),
        is_intact=canonical.digest(raw) == digest and canonical.digest(request) == request_digest,
    )


def _pairs(terms: Terms) -> list[tuple[str, str]]:
    numbers = {name: getattr(terms, name) for name in ("quantity", "quote_quantity", "limit_price", "stop_price")}
    pairs = [
        ("connection", terms.connection),
        ("environment", terms.environment.value),
        ("venue", terms.venue),
        ("instrument", terms.instrument),
        ("side", terms.side.value),
        ("order_type", terms.order_type.value),
        *((name, decimal_text(value)) for name, value in numbers.items() if value is not None),
        ("time_in_force", terms.time_in_force.value),
        ("post_only", "true" if terms.post_only else "false"),
        ("not_after", instant_text(terms.not_after)),
    ]
    return pairs
