"""What answers about connections look like."""

from apps.common.api.shapes import Instant, Many, Number, Shape, Uuid, Words, YesNo
from apps.connectors.types import Environment, Venue


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
    is_active = YesNo(about="Whether it may place orders.")
    fee_taker = Number(nullable=True, about="Fraction of notional.")
    fee_maker = Number(nullable=True, about="Fraction of notional.")
    fees_as_of = Instant(nullable=True)
    instruments_as_of = Instant(nullable=True)
    balances_as_of = Instant(nullable=True)


class Connectors(Shape):
    items = Many(Connector)
