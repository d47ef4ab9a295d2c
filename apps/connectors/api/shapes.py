"""What answers about connections look like."""

from apps.common.api.shapes import Instant, Many, Number, Part, Shape, Uuid, Words, YesNo
from apps.connectors.types import Environment, Venue


class Capabilities(Shape):
    """What Aika can do over a connection to this venue, whatever its key may do."""

    places_orders = YesNo()
    previews = YesNo()
    candles = YesNo()
    fee_rates = YesNo()
    market_by_quote_quantity = YesNo()
    order_terms = Many(Words(), about="Order type and time in force of what may be asked, such as `LIMIT GTC`.")


class Connector(Shape):
    """A connection to a venue. `environment` says whether money moves; no secret of it is ever shown."""

    id = Uuid()
    connection = Words(about="The short name by which proposals name it.")
    name = Words()
    desk = Words()
    reporting_currency = Words()
    venue = Words(Venue)
    environment = Words(Environment)
    environment_words = Words()
    is_active = YesNo(about="Whether it is in use; where `trading` is true, whether it may place orders.")
    trading = YesNo(
        about="Whether Aika places orders at this venue. Where not, every proposal is DENIED VENUE_READ_ONLY."
    )
    trading_words = Words(about="The same as a sentence.")
    capabilities = Part(Capabilities)
    fee_taker = Number(nullable=True, about="Fraction of notional.")
    fee_maker = Number(nullable=True, about="Fraction of notional.")
    fees_as_of = Instant(nullable=True)
    instruments_as_of = Instant(nullable=True)
    balances_as_of = Instant(nullable=True)


class Connectors(Shape):
    items = Many(Connector)
