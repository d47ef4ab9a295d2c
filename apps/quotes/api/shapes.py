"""What answers about the market look like."""

from apps.common.api.shapes import Count, Instant, Many, Number, Part, Shape, Words, YesNo
from apps.quotes.types import FeedWord, Length


class Quote(Shape):
    """Best bid and ask in quote currency: when they were so at the venue, when we heard, and how old that is.

    `last` is the price of the last public trade, `change_24h` its change over a day in percent; null where the venue
    did not say. `stale`: too old to be the price.
    """

    bid = Number()
    ask = Number()
    mid = Number()
    bid_quantity = Number()
    ask_quantity = Number()
    last = Number(nullable=True)
    change_24h = Number(nullable=True)
    occurred_at = Instant()
    received_at = Instant()
    age_ms = Count()
    stale = YesNo()


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


class Candle(Shape):
    """Prices and volume (base currency) of the interval that begins at `start`."""

    start = Instant()
    open = Number()
    high = Number()
    low = Number()
    close = Number()
    volume = Number()
    final = YesNo(about="The venue told it, or all its parts, after its end: no later answer will differ.")


class CandlePage(Shape):
    connection = Words()
    instrument = Words()
    granularity = Words(Length)
    items = Many(Candle)
    next_cursor = Words(nullable=True, about="Only where since was said: the newest candles have none after them.")


class FirstTold(Shape):
    """The instrument that was told longest ago."""

    instrument = Words()
    heard_at = Instant()
    age_ms = Count()


class Feed(Shape):
    """How a market's live feed does, as its holder last said. Gaps and reconnects count since the holder began."""

    market = Words()
    connections = Many(Words())
    state = Words(FeedWord)
    since = Instant(nullable=True)
    heard_at = Instant(nullable=True, about="When anything last came, heartbeats among it.")
    heard_age_ms = Count(nullable=True)
    lag_ms = Count(nullable=True, about="By how much the newest price came after its time by the venue's clock.")
    gaps = Count()
    reconnects = Count()
    messages_per_s = Count()
    detail = Words()
    instruments = Count()
    oldest = Part(FirstTold, nullable=True)


class InstrumentTold(Shape):
    """When the feed last brought a price of an instrument; null where none has come since its holder began."""

    instrument = Words()
    heard_at = Instant(nullable=True)
    age_ms = Count(nullable=True)


class FeedTold(Shape):
    connection = Words()
    feed = Part(Feed, nullable=True, about="Null where the venue has no socket: its prices are asked for.")
    items = Many(InstrumentTold, about="The one told longest ago first; in the end those not told yet.")
    left_out = Count(about="Instruments beyond the limit.")
