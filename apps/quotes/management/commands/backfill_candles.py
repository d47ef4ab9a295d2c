"""manage.py backfill_candles: the past of one instrument, as far as it is missing."""

from argparse import ArgumentParser
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.common.commands import Exit, LongCommand, instant_option
from apps.common.decimals import decimal_text, instant_text
from apps.common.errors import AikaError
from apps.connectors import selectors
from apps.quotes.services import backfills

if TYPE_CHECKING:
    from apps.connectors.types import Candle
    from apps.quotes.models import CandleBackfill

SHOWN_MAX = 100


class Command(LongCommand):
    help = (
        "Ask a venue for the candles that are missing and keep them. Asks for nothing twice, also not after kill -9; "
        "at most 10 calls a second. Exit code 0: everything asked for is kept; 1: --verify found differences; 2: not "
        "everything could be read (--resume goes on), or the question is wrong; 130: stopped by Ctrl-C."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--connection", required=True, help="a connection's short name")
        parser.add_argument("--instrument", required=True, help="such as BTC-USD")
        parser.add_argument("--granularity", default="1m", choices=list(backfills.GRANULARITIES))
        parser.add_argument("--since", help="a day or an instant, as 2026-03-02 or 2026-03-02T14:00:00Z")
        parser.add_argument("--until", help="as --since; now by default")
        parser.add_argument("--resume", action="store_true", help="go on with the newest run that did not end")
        parser.add_argument("--dry-run", action="store_true", help="say what would be asked; write nothing")
        parser.add_argument("--verify", action="store_true", help="read all of it again and compare; write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        connection = selectors.connection_by_slug(options["connection"])
        if connection is None:
            raise CommandError(f"There is no connection {options['connection']!r}.", returncode=Exit.INCOMPLETE)
        asked = {name: options[name] for name in ("instrument", "granularity")}
        try:
            begun = backfills.unfinished(connection=connection, **asked) if options["resume"] else None
            since, until = self._span(options, begun)
            plan = backfills.plan(connection=connection, since=since, until=until, now=timezone.now(), **asked)
            if options["dry_run"]:
                self._say(plan, options)
            elif options["verify"]:
                self._verify(plan, options)
            else:
                self._fill(plan, begun, options)
        except AikaError as error:
            self.refuse(error)

    def _span(self, options: dict[str, Any], begun: "CandleBackfill | None") -> tuple[datetime, datetime]:
        if begun is not None:
            return begun.since, begun.until
        since = instant_option(options["since"], "--since")
        until = instant_option(options["until"], "--until") or timezone.now()
        if since is None:
            why = "No run is left to go on with: say --since." if options["resume"] else "Say since when: --since."
            raise CommandError(why, returncode=Exit.INCOMPLETE)
        return since, until

    def _say(self, plan: backfills.Plan, options: dict[str, Any]) -> None:
        calls = len(plan.pages)
        lines = [f"{_moment(since)} to {_moment(until)}" for since, until in plan.gaps[:SHOWN_MAX]]
        summary = f"{plan.intervals:,} candles missing in {len(plan.gaps):,} gaps: {calls:,} calls"
        record = {**_record(plan, options), "calls": calls}
        self.finish(record, as_json=options["json"], lines=[*lines, f"{summary}. Nothing was written."])

    def _fill(self, plan: backfills.Plan, begun: "CandleBackfill | None", options: dict[str, Any]) -> None:
        with self.progress("candles") as progress:
            filled = backfills.run(plan=plan, resumed=begun, clock=timezone.now, report=progress)
        record = _record(plan, options) | {
            "calls": filled.calls,
            "candles": filled.candles,
            "filled": filled.intervals,
            "problem": filled.problem,
        }
        said = f"{filled.candles:,} candles kept, {filled.calls:,} calls; {plan.intervals:,} were missing"
        if filled.problem:
            lines = [f"{said}.", filled.problem, "The rest is asked for with --resume."]
            self.finish(record, as_json=options["json"], lines=lines, code=Exit.INCOMPLETE)
        self.finish(record, as_json=options["json"], lines=[f"{said}, {_moment(plan.span[0])} on."])

    def _verify(self, plan: backfills.Plan, options: dict[str, Any]) -> None:
        with self.progress("candles") as progress:
            found = backfills.verify(plan=plan, report=progress)
        shown = found.differences[:SHOWN_MAX]
        record = _record(plan, options) | {
            "calls": found.calls,
            "candles": found.candles,
            "differences": len(found.differences),
            "first": [
                {"start": _moment(one.start), "here": _words(one.here), "venue": _words(one.venue)} for one in shown
            ],
        }
        lines = [f"{_moment(one.start)}  here {_words(one.here)}  venue {_words(one.venue)}" for one in shown]
        summary = f"{found.candles:,} candles compared, {len(found.differences):,} differ."
        code = Exit.DIFFERS if found.differences else Exit.WELL
        self.finish(record, as_json=options["json"], lines=[*lines, summary], code=code)


def _record(plan: backfills.Plan, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "connection": plan.connection.slug,
        "instrument": plan.instrument,
        "granularity": options["granularity"],
        "since": _moment(plan.span[0]),
        "until": _moment(plan.span[1]),
        "missing": plan.intervals,
        "gaps": len(plan.gaps),
    }


def _moment(at: datetime) -> str:
    return instant_text(at)


def _words(candle: "Candle | None") -> str:
    if candle is None:
        return "none"
    numbers = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    return " ".join(map(decimal_text, numbers))
