"""The instruments of a connection with their last prices, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from apps.accounts.types import Principal
from apps.common.errors import Invalid, NotFound
from apps.connectors.selectors import connections_for, instruments_of
from apps.connectors.types import Quote
from apps.quotes.services import quotes

if TYPE_CHECKING:
    from apps.connectors.models import Connection, Instrument

QUOTE_AGE_MAX: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Board:
    """Instruments by code and the quotes kept of them; `more` says whether others follow."""

    instruments: "list[Instrument]"
    quotes: dict[str, Quote]
    more: bool


def connection_named(principal: Principal, slug: str) -> "Connection":
    """The connection of this short name, if this caller may use it. Raises NotFound CONNECTION_UNKNOWN."""
    found = connections_for(principal).filter(slug=slug).first()
    if found is None:
        raise NotFound(
            "CONNECTION_UNKNOWN",
            "There is no connection of this name for you.",
            fix="GET /api/v1/connectors lists the connections this key or person may use.",
            field="connection",
        )
    return found


def board(
    *, principal: Principal, connection: str, codes: Sequence[str], after: str | None, limit: int, now: datetime
) -> Board:
    """What the connection lists. For instruments that are named, a quote older than 2 s is asked for anew.

    Raises NotFound CONNECTION_UNKNOWN, Invalid INSTRUMENT_UNKNOWN, Unavailable where the venue does not answer.
    """
    found = connection_named(principal, connection)
    rows = instruments_of(found.pk, codes=tuple(codes)).order_by("code")
    listed = list((rows.filter(code__gt=after) if after is not None else rows)[: limit + 1])
    shown = listed[:limit]
    if after is None and (missing := set(codes) - {row.code for row in listed}):
        raise Invalid(
            "INSTRUMENT_UNKNOWN",
            f"{found.name} does not list {', '.join(sorted(missing))}.",
            fix="Leave instrument out to see all that it lists.",
            field="instrument",
        )
    known = quotes.latest_of(found.pk, [row.code for row in shown])
    if codes:
        old = [row.code for row in shown if row.code not in known or now - known[row.code].received_at > QUOTE_AGE_MAX]
        known |= quotes.refresh(found, old)
    return Board(shown, known, len(listed) > limit)
