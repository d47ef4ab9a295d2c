"""Making cases of what closed before there was a memory: outcomes of Aika's own, and past trades of a file.

Both may be stopped at any moment and begun again: a trade is known by its id, and one that is remembered already is
brought up to date, never made twice.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.db import transaction

from apps.accounts.selectors import desk_by_slug
from apps.common.errors import AikaError, Invalid, NotFound
from apps.lessons.selectors.recent import remembered
from apps.lessons.services import cases
from apps.lessons.types import CaseSource
from apps.trades.models import Outcome
from apps.trades.rules import past_trades
from apps.trades.services import outcomes, remembering

if TYPE_CHECKING:
    from apps.accounts.models import Desk

BATCH: Final = 200
FILE_BYTES_MAX: Final = 200 * 1024 * 1024

Report = Callable[[int, int | None], None]
_NOT_UTF8: Final = re.compile("[\ud800-\udfff]")


class _Line(NamedTuple):
    """A record of the file: where it stands, its values by column, or why it has none."""

    where: str
    values: dict[str, str]
    problem: Invalid | None


@dataclass(kw_only=True)
class Backfilled:
    """What it came to. `problems` are (line of the file, or id of the outcome; what is wrong with it)."""

    read: int = 0
    remembered: int = 0
    known: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)


def of_outcomes(*, resume: bool, dry_run: bool, clock: Callable[[], datetime], report: Report) -> Backfilled:
    """Hand every outcome to the memory, oldest first; with `resume` only those that are not remembered yet."""
    rows = Outcome.objects.order_by("closed_at", "pk")
    if resume:
        rows = rows.filter(remembered_at=None)
    ids = list(rows.values_list("pk", flat=True))
    done = Backfilled()
    for outcome_id in ids:
        done.read += 1
        if dry_run:
            continue
        with transaction.atomic():
            Outcome.objects.select_for_update().get(pk=outcome_id)
            taken = remembering.hand_over(outcome_ids=[outcome_id], now=clock())
        if taken:
            done.remembered += 1
        else:
            done.problems.append((str(outcome_id), "could not be remembered; the log and its alarm say why"))
        report(done.read, len(ids))
    return done


def of_file(
    *, path: Path, desk_slug: str, resume: bool, dry_run: bool, clock: Callable[[], datetime], report: Report
) -> Backfilled:
    """Make a case of every line of a CSV file that says how a trade ended, for this desk.

    Lines that are wrong are named and left out; all others are taken. With `resume`, those that have a case are left
    as they are. Raises NotFound DESK_UNKNOWN, Invalid CSV_UNREADABLE, CSV_COLUMNS.
    """
    desk = desk_by_slug(desk_slug)
    if desk is None:
        raise NotFound("DESK_UNKNOWN", f"There is no desk {desk_slug!r}.", fix="Say its short name.")
    done, seen = Backfilled(), dict[str, str]()
    for batch in _batches(_lines(path)):
        known = _known(desk, batch) if resume else frozenset[str]()
        for line in batch:
            done.read += 1
            try:
                _take(line, desk, known, seen, done, dry_run, clock())
            except AikaError as error:
                done.problems.append((line.where, f"{error.code}: {error.message} {error.fix}".strip()))
            report(done.read, None)
    return done


def _take(
    line: _Line,
    desk: "Desk",
    known: frozenset[str],
    seen: dict[str, str],
    done: Backfilled,
    dry_run: bool,
    now: datetime,
) -> None:
    if line.problem is not None:
        raise line.problem
    trade_id, told = past_trades.read_line(line.values, now=now)
    first = seen.setdefault(trade_id, line.where)
    if first != line.where:
        raise Invalid("ID_TWICE", f"The id {trade_id!r} stands in {first} too.", fix="Give each trade its own id.")
    if remembering.imported_id(desk.pk, trade_id) in known:
        done.known += 1
        return
    row = outcomes.past_row(told, desk=desk, now=now)
    trade = remembering.trade_reported(row, CaseSource.IMPORTED)
    if not dry_run:
        with transaction.atomic():
            cases.remember(trade=trade, now=now)
        done.remembered += 1


def _known(desk: "Desk", batch: Iterable[_Line]) -> frozenset[str]:
    ids = [remembering.imported_id(desk.pk, line.values.get("id", "").strip()) for line in batch]
    return remembered(CaseSource.IMPORTED, ids)


def _batches(lines: Iterator[_Line]) -> Iterator[list[_Line]]:
    while batch := list(islice(lines, BATCH)):
        yield batch


def _lines(path: Path) -> Iterator[_Line]:
    """Every record of the file; one that is no CSV or no UTF-8 is a problem of its lines, and the next one is read."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise _unreadable(f"it is larger than {FILE_BYTES_MAX // 1024 // 1024} MiB")
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from _records(csv.reader(file, strict=True))
    except OSError as error:
        raise _unreadable(str(error)) from error


def _records(rows: Any) -> Iterator[_Line]:
    names: list[str] | None = None
    while True:
        began = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            if names is None:
                past_trades.check_columns([])
            return
        except csv.Error as error:
            if names is None:
                raise _unreadable(str(error)) from error
            yield _Line(_where(began, rows.line_num), {}, _broken(f"is no CSV ({error})", "Close what is quoted."))
            continue
        if names is None:
            names = [name.strip() for name in row]
            past_trades.check_columns(names)
        elif row:
            yield _line(_where(began, rows.line_num), names, row)


def _line(where: str, names: list[str], row: list[str]) -> _Line:
    if any(_NOT_UTF8.search(text) for text in row):
        return _Line(where, {}, _broken("is not UTF-8", "Write the file in UTF-8."))
    if len(row) != len(names):
        what = f"has {len(row)} values, and there are {len(names)} columns"
        return _Line(where, {}, _broken(what, "Put texts that hold commas in quotes."))
    return _Line(where, dict(zip(names, row, strict=True)), None)


def _where(began: int, ended: int) -> str:
    return f"line {began}" if ended <= began else f"lines {began} to {ended}"


def _broken(what: str, fix: str) -> Invalid:
    return Invalid("CSV_LINE_BROKEN", f"It {what}.", fix=fix)


def _unreadable(why: str) -> Invalid:
    return Invalid("CSV_UNREADABLE", f"The file cannot be read: {why}.", fix="Send a CSV file in UTF-8 with commas.")
