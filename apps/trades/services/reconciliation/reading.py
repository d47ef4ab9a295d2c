"""What a venue says of a whole connection: orders, fills and balances of one window, read outside any transaction."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from django.conf import settings

from apps.common import fault_places as places
from apps.common import faults
from apps.connectors.services import venue
from apps.connectors.types import VenueFill, VenueOrder
from apps.trades.models import ReconciliationRun
from apps.trades.services import run_leases

if TYPE_CHECKING:
    from apps.connectors.models import Connection

# A venue's list ends after so many pages; a long window is asked for in parts.
PART: Final = timedelta(days=1)
# Balances are read between two looks at the fills, and count only where no fill came meanwhile.
BALANCE_READS_MAX: Final = 3

Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Orders created and fills made in [since, until), by the venue's ids. `totals` (available and held) by currency
    are as of a moment that shows exactly these fills; None where fills kept coming."""

    since: datetime
    until: datetime
    orders: dict[str, VenueOrder]
    fills: dict[str, VenueFill]
    totals: dict[str, Decimal] | None


def read(connection: "Connection", *, since: datetime, clock: Clock, run: ReconciliationRun | None) -> Seen:
    """Read it all, for a run or a rehearsal. Raises what the connector raises for reads: a part is not an answer."""
    connector = venue.connect(connection)
    skew = timedelta(seconds=settings.VENUE_CLOCK_SKEW_S)
    until = clock() + skew
    orders: dict[str, VenueOrder] = {}
    with faults.call(places.READ_LISTS):
        for begin, end in parts(since, until):
            run_leases.renew(run, now=clock())
            orders |= {row.venue_order_id: row for row in connector.orders((), begin, end)}
        run_leases.renew(run, now=clock())
        fills = {row.venue_fill_id: row for row in connector.fills(since=since)}
    totals = None
    for _ in range(BALANCE_READS_MAX):
        lately = max(since, clock() - timedelta(seconds=settings.RECONCILE_OVERLAP_S))
        run_leases.renew(run, now=clock())
        with faults.call(places.READ_LISTS):
            balances = connector.balances()
            news = {row.venue_fill_id: row for row in connector.fills(since=lately)}
        came = news.keys() - fills.keys()
        fills |= news
        if not came:
            totals = {row.currency: row.total for row in balances}
            break
    return Seen(since=since, until=until, orders=orders, fills=fills, totals=totals)


def parts(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The window cut into days."""
    begin = since
    while begin < until:
        end = min(begin + PART, until)
        yield begin, end
        begin = end
