"""What answers about the market look like."""

from apps.common.api.shapes import Count, Instant, Many, Number, Part, Shape, Words, YesNo


class Quote(Shape):
    """Best bid and ask in quote currency: when they were so at the venue, when we heard, and how old that is."""

    bid = Number()
    ask = Number()
    mid = Number()
    occurred_at = Instant()
    received_at = Instant()
    age_ms = Count()


class InstrumentQuote(Shape):
    """What a connection trades, the venue's steps and bounds, and the last price kept; null where none is."""

    instrument = Words()
    base_currency = Words()
    quote_currency = Words()
    tradable = YesNo()
    cancel_only = YesNo()
    limit_only = YesNo()
    post_only = YesNo()
    price_increment = Number()
    quantity_increment = Number()
    quote_increment = Number()
    min_quantity = Number()
    max_quantity = Number()
    min_notional = Number()
    max_notional = Number()
    fetched_at = Instant()
    quote = Part(Quote, nullable=True)


class QuotePage(Shape):
    connection = Words()
    items = Many(InstrumentQuote)
    next_cursor = Words(nullable=True)
