"""The days behind the demo desk's charts: what the simulated venue tells, fetched while the desk runs already."""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from apps.common.errors import AikaError
from apps.connectors.selectors import connection_by_slug
from apps.connectors.types import Environment
from apps.dashboard.services.demo_policy import INSTRUMENTS
from apps.dashboard.services.demo_trades import Clock
from apps.quotes.services import backfills
from apps.trades.selectors.watch import watched_codes

if TYPE_CHECKING:
    from apps.connectors.models import Connection

# Hours for the charts of a week and for what detectors compare with: they are few, and come first. Minutes of a day.
BACK: Final = (("1h", timedelta(days=8)), ("1m", timedelta(hours=25)))
logger = logging.getLogger(__name__)


def fill_in(*, connection: str, clock: Clock) -> int:
    """Fetch what is missing of the last days of everything the desk may trade or holds; the number of candles told.

    Does nothing on a connection that is not paper. An instrument the venue does not answer for is left out and logged.
    """
    row = connection_by_slug(connection)
    if row is None or row.environment != Environment.PAPER:
        return 0
    told = 0
    codes = sorted({*INSTRUMENTS, *watched_codes(row)})
    for granularity, back in BACK:
        for code in codes:
            told += _filled(row, code, granularity, back, clock=clock)
    return told


def _filled(row: "Connection", code: str, granularity: str, back: timedelta, *, clock: Clock) -> int:
    now = clock()
    try:
        plan = backfills.plan(
            connection=row, instrument=code, granularity=granularity, since=now - back, until=now, now=now
        )
        return backfills.run(plan=plan, clock=clock, report=_unseen).candles
    except AikaError as error:
        logger.warning("No past for %s on the demo's charts: %s", code, error.message)
        return 0


def _unseen(_done: int, _total: int | None) -> None:
    """Nobody watches a progress bar here."""
