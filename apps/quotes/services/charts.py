"""What a chart draws, for who may see the connection."""

from datetime import datetime

from apps.accounts.types import Principal
from apps.common.errors import Invalid
from apps.connectors.selectors import instrument_of, market_of
from apps.quotes.selectors.candles import CandlePage, candles
from apps.quotes.services.board import connection_named
from apps.quotes.types import Length


def chart(
    *,
    principal: Principal,
    connection: str,
    instrument: str,
    granularity: Length,
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> CandlePage:
    """Candles of an instrument, as `selectors.candles.candles` gives them.

    Raises NotFound CONNECTION_UNKNOWN, Invalid INSTRUMENT_UNKNOWN.
    """
    found = connection_named(principal, connection)
    if instrument_of(found.pk, instrument) is None:
        raise Invalid(
            "INSTRUMENT_UNKNOWN",
            f"{found.name} does not list {instrument}.",
            fix="GET /api/v1/quotes lists what it does.",
            field="instrument",
        )
    return candles(
        market=market_of(found), instrument=instrument, granularity=granularity, since=since, until=until, limit=limit
    )
