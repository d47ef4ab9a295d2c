"""Keeping the highest worth of what a connection holds."""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from apps.common import fault_places as places
from apps.common import faults
from apps.common.decimals import decimal_text
from apps.connectors.selectors import balances_of
from apps.trades.models import EquityMark
from apps.trades.rules.equity import measured
from apps.trades.selectors import equity

if TYPE_CHECKING:
    from apps.connectors.models import Connection


@faults.commit(places.MEASURE)
def measure(connection: "Connection", *, now: datetime) -> EquityMark | None:
    """Measure what is held at the prices kept, and raise the mark where it is worth more than ever.

    None where balances were never read, or something held has no price: then the mark stays as it was.
    """
    if connection.balances_as_of is None:
        return None
    mark = EquityMark.objects.select_for_update(of=("self",)).filter(pk=connection.pk).first()
    left_out = equity.not_counted(connection)
    totals = equity.totals_of(balances_of(connection), left_out)
    before = equity.measure_on_record(mark) if mark is not None else None
    prices = equity.prices_of(connection, {*totals, *(before.totals if before else ())}, now=now)
    # One that was measured on later balances than these has seen more.
    if mark is not None and mark.balances_at > connection.balances_as_of:
        return mark
    quiet = mark is not None and equity.is_quiet_since(connection.pk, mark.balances_at)
    found = measured(before, totals=totals, prices=prices.by_currency, quiet=quiet)
    if found is None:
        return None
    rises = mark is None or found.peak != mark.peak
    if mark is None:
        mark = EquityMark(connection=connection)
    mark.currency = connection.desk.reporting_currency
    mark.peak, mark.equity = found.peak, found.equity
    mark.peak_at = now if rises else mark.peak_at
    mark.totals = {currency: decimal_text(total) for currency, total in found.totals.items()}
    mark.left_out = left_out
    mark.measured_at, mark.balances_at = now, connection.balances_as_of
    mark.save()
    return mark


def begin_anew(connection_id: UUID, *, now: datetime) -> None:
    """Measure the next fall from what is held now, as two people decided. Inside the caller's transaction."""
    mark = EquityMark.objects.select_for_update(of=("self",)).filter(pk=connection_id).first()
    if mark is not None:
        mark.peak, mark.peak_at = mark.equity, now
        mark.save(update_fields=["peak", "peak_at"])
