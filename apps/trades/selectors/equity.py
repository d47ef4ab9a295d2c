"""What a connection's balances are worth now, and what they are measured against."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

from apps.common.statements import Question, Select
from apps.connectors.selectors import cash_currencies, held_currencies, instruments_of
from apps.connectors.types import Balance
from apps.quotes.services import quotes
from apps.trades.models import EquityMark, Fill, Order
from apps.trades.rules.equity import Measure, worth
from apps.trades.selectors.exposure import SNAPSHOT_SKEW
from apps.trades.types import IN_FLIGHT_STATES, WORKING_STATES

if TYPE_CHECKING:
    from apps.connectors.models import Connection


_STEP: Final = Decimal(1).scaleb(-8)


@dataclass(frozen=True, slots=True)
class Prices:
    """Reporting currency per unit, by currency: the middle of a live quote. `as_of` is the oldest of them."""

    by_currency: Mapping[str, Decimal]
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """Worth of what is held now (rounded down to 1e-8), the highest it ever was, and as of when."""

    equity: Decimal
    peak: Decimal
    as_of: datetime


class Mark(NamedTuple):
    """The highest worth on record, in `currency`; `left_out` names money that is not counted."""

    peak: Decimal
    currency: str
    left_out: list[str]


_MARK: Final[Select[Mark]] = Select(
    lambda connection: EquityMark.objects.filter(pk=connection).values_list(*Mark._fields), Mark, connection=UUID
)


def mark_question(connection_id: UUID) -> Question[Mark]:
    """The mark of a connection; none before the first measure."""
    return _MARK(connection=connection_id)


def known(connection: "Connection", mark: Mark, balances: Mapping[str, Balance], *, now: datetime) -> Known | None:
    """None where balances were never read, and as soon as one part has no price."""
    if connection.balances_as_of is None or mark.currency != connection.desk.reporting_currency:
        return None
    totals = totals_of(balances, mark.left_out)
    prices = prices_of(connection, set(totals), now=now)
    found = worth(totals, prices.by_currency)
    if found is None:
        return None
    down, up = found.quantize(_STEP, ROUND_FLOOR), found.quantize(_STEP, ROUND_CEILING)
    return Known(down, max(mark.peak, up), min(connection.balances_as_of, prices.as_of))


def totals_of(balances: Mapping[str, Balance], left_out: Iterable[str]) -> dict[str, Decimal]:
    """What is held by currency, but for the currencies that are not counted."""
    apart = set(left_out)
    return {currency: row.total for currency, row in balances.items() if row.total and currency not in apart}


def not_counted(connection: "Connection") -> list[str]:
    """Money for which the venue lists no pair with the reporting currency, so that it has no worth there: it is left
    out. A coin without a price is not: then the worth of the whole is unknown."""
    reporting = connection.desk.reporting_currency
    money = (held_currencies(connection.pk) & cash_currencies(connection.pk)) - {reporting}
    codes = {code: currency for currency in money for code in (f"{currency}-{reporting}", f"{reporting}-{currency}")}
    listed = instruments_of(connection.pk, codes=tuple(codes)).values_list("code", flat=True) if codes else ()
    return sorted(money - {codes[code] for code in listed})


def prices_of(connection: "Connection", currencies: set[str], *, now: datetime) -> Prices:
    """The middle of a kept quote of each currency against the reporting currency, one way round or the other."""
    reporting = connection.desk.reporting_currency
    found, as_of = {reporting: Decimal(1)}, now
    wanted = sorted(currencies - {reporting})
    codes = [code for currency in wanted for code in (f"{currency}-{reporting}", f"{reporting}-{currency}")]
    known = quotes.latest_of(connection.pk, codes)
    for currency in wanted:
        direct, inverse = known.get(f"{currency}-{reporting}"), known.get(f"{reporting}-{currency}")
        quote = direct or inverse
        if quote is not None:
            found[currency] = quote.mid if direct is not None else 1 / quote.mid
            as_of = min(as_of, quote.received_at)
    return Prices(found, as_of)


def measure_on_record(mark: EquityMark) -> Measure:
    """A stored mark as a measure."""
    totals = {currency: Decimal(text) for currency, text in mark.totals.items()}
    return Measure(totals=totals, equity=mark.equity, peak=mark.peak)


def is_quiet_since(connection_id: UUID, instant: datetime) -> bool:
    """Whether nothing of ours can have changed what the venue holds since: no order there, and no fill."""
    there = WORKING_STATES | IN_FLIGHT_STATES
    if Order.objects.filter(connection_id=connection_id, state__in=there).exists():
        return False
    return not Fill.objects.filter(connection_id=connection_id, occurred_at__gt=instant - SNAPSHOT_SKEW).exists()
