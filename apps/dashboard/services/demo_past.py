"""A week of closed trades behind the demo desk: handed over as a file of past trades is, and reviewed as people do."""

import csv
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from django.db import transaction

from apps.common.errors import Misconfigured
from apps.connectors.selectors import instrument_of
from apps.dashboard.rules import demo_past
from apps.dashboard.services.demo_trades import Clock
from apps.lessons.selectors.recent import remembered, unreviewed
from apps.lessons.services import reviews
from apps.lessons.types import CaseSource
from apps.quotes.services import quotes
from apps.trades.services import backfilling, remembering

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.connectors.models import Connection

QUOTE_AGE_MAX: Final = timedelta(seconds=5)


def remember(connection: "Connection", reviewer: "User", *, clock: Clock) -> None:
    """Remember the past of the connection's desk, once, and review its losses as `reviewer`. What is remembered or
    reviewed already stays as it is. Raises Misconfigured DEMO_PAST_REFUSED where the memory takes it not."""
    ids = {remembering.imported_id(connection.desk_id, trade.name): trade for trade in demo_past.TRADES}
    if len(remembered(CaseSource.IMPORTED, ids)) < len(ids):
        _hand_over(connection, clock=clock)
    for source_id, lesson in unreviewed(CaseSource.IMPORTED, ids).items():
        found = ids[source_id].found
        if found is None:
            continue
        reviews.review(
            lesson_id=lesson.pk,
            reviewer=reviewer,
            version=lesson.version,
            confirm_tags=[found.mistake],
            cause=found.cause,
            next_time=found.next_time,
            verdict=found.verdict,
            now=clock(),
        )


def _hand_over(connection: "Connection", *, clock: Clock) -> None:
    now = clock()
    with tempfile.TemporaryDirectory(prefix="aika-demo-") as folder:
        path = Path(folder) / "past-trades.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(_lines(connection, now))
        # All or none: of trades that are told again later, candles would say what they do not say of these.
        with transaction.atomic():
            done = backfilling.of_file(
                path=path, desk_slug=connection.desk.slug, resume=True, dry_run=False, clock=clock, report=_unseen
            )
            if done.problems:
                where, what = done.problems[0]
                raise Misconfigured("DEMO_PAST_REFUSED", f"The demo's past was refused: {where}: {what}")


def _lines(connection: "Connection", now: datetime) -> list[Sequence[str]]:
    mids, increments = {}, {}
    for code in sorted({trade.instrument for trade in demo_past.TRADES}):
        quote = quotes.fresh(connection, code, now=now, max_age=QUOTE_AGE_MAX)
        instrument = instrument_of(connection.pk, code)
        if quote is None or instrument is None:
            raise LookupError(f"{connection.name} has no price for {code}.")
        mids[code], increments[code] = quote.mid, instrument.price_increment
    return demo_past.lines(mids, increments, now=now)


def _unseen(_done: int, _total: int | None) -> None:
    """Nobody watches a progress bar here."""
