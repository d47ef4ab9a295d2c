"""How far a price has moved since somebody looked. Pure."""

from decimal import Decimal

from apps.connectors.types import Quote, Side


def drift_bps(reference: Decimal, current: Decimal) -> Decimal:
    """The move from `reference` to `current` in basis points of the reference, signed: positive is up."""
    return (current - reference) / reference * 10_000


def trading_side_price(quote: Quote, side: Side) -> Decimal:
    """The price an order would meet first: the ask for a buy, the bid for a sell."""
    return quote.ask if side is Side.BUY else quote.bid
