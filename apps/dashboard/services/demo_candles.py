"""A day behind the demo desk's charts: what the simulated venue tells of it, fetched while the desk runs already."""

import logging
from datetime import timedelta
from typing import Final

from apps.common.errors import AikaError
from apps.connectors.selectors import connection_by_slug
from apps.connectors.types import Environment
from apps.dashboard.services.demo_policy import INSTRUMENTS
from apps.dashboard.services.demo_trades import Clock
from apps.quotes.services import backfills
from apps.trades.selectors.watch import watched_codes

BACK: Final = timedelta(hours=25)
GRANULARITY: Final = "1m"
logger = logging.getLogger(__name__)


def fill_in(*, connection: str, clock: Clock) -> int:
    """Fetch what is missing of the last day of everything the desk may trade or holds; the number of candles told.

    Does nothing on a connection that is not paper. An instrument the venue does not answer for is left out and logged.
    """
    row = connection_by_slug(connection)
    if row is None or row.environment != Environment.PAPER:
        return 0
    told = 0
    for code in sorted({*INSTRUMENTS, *watched_codes(row)}):
        now = clock()
        try:
            plan = backfills.plan(
                connection=row, instrument=code, granularity=GRANULARITY, since=now - BACK, until=now, now=now
            )
            told += backfills.run(plan=plan, clock=clock, report=_unseen).candles
        except AikaError as error:
            logger.warning("No past for %s on the demo's charts: %s", code, error.message)
    return told


def _unseen(_done: int, _total: int | None) -> None:
    """Nobody watches a progress bar here."""
