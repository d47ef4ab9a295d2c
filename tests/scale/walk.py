"""From an empty database to two sizes, and every page at both."""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection

from tests.scale import databases, measure
from tests.scale.databases import Databases
from tests.scale.measure import Cost
from tests.scale.multiply import Multiplier, Sizes
from tests.scale.pages import Page, pages, refresh, variants
from tests.scale.stage import Stage, over, present
from tests.venues.simulator_process import SimulatorProcess

BASELINE = Path(__file__).with_name("query_counts.json")
TABLES_SHOWN = 16


@dataclass(frozen=True)
class Table:
    """Rows as ANALYZE counted them, and bytes with and without indexes."""

    name: str
    rows: int
    bytes: int
    index_bytes: int


@dataclass(frozen=True, kw_only=True)
class Found:
    """Both sizes, what each page cost at them, what grew, and what the big tables take."""

    few_sizes: Sizes
    many_sizes: Sizes
    few: Sequence[Cost]
    many: Sequence[Cost]
    faults: Sequence[str]
    tables: Sequence[Table]
    database_bytes: int
    version: str


def walk(options: argparse.Namespace, *, say: Callable[[str], None]) -> Found:
    """Make the desk, multiply it, keep a copy, multiply it further, and open every page with either behind it."""
    many_sizes = sizes_of(options, options.proposals)
    few_sizes = sizes_of(options, options.few)
    simulator = SimulatorProcess().start()
    places = Databases(databases.FEW, databases.NAME)
    try:
        desk = over(simulator)
        multiplier = Multiplier().take()
        stage = present(desk)
        grow(multiplier, few_sizes, say=say)
        # Before the copy: who is signed in here is so in both.
        opened = pages(stage)
        opened += variants(stage, opened)
        connection.close()
        databases.create(databases.FEW, like=databases.NAME)
        grow(multiplier, many_sizes, say=say)
        few, many = costs(opened, stage, places, runs=options.runs, say=say)
    finally:
        places.close()
        simulator.stop()
    return Found(
        few_sizes=few_sizes,
        many_sizes=many_sizes,
        few=few,
        many=many,
        faults=[*measure.faults(few, many, big=measure.big_tables()), *unwritten(many)],
        tables=tables(),
        database_bytes=_one("SELECT pg_database_size(current_database())"),
        version=_one("SHOW server_version"),
    )


def grow(multiplier: Multiplier, sizes: Sizes, *, say: Callable[[str], None]) -> None:
    begun = time.monotonic()
    multiplier.grow(sizes)
    vacuum()
    say(f"{sizes.proposals} proposals in {time.monotonic() - begun:.0f} s")


def costs(
    opened: Sequence[Page], stage: Stage, places: Databases, *, runs: int, say: Callable[[str], None]
) -> tuple[list[Cost], list[Cost]]:
    """Of every page with few rows and with many, by turns: what else this machine does slows both alike."""
    begun = time.monotonic()
    names = databases.FEW, databases.NAME
    known: dict[str, dict[tuple[str, str], measure.Query]] = {name: {} for name in names}
    found: dict[str, list[Cost]] = {name: [] for name in names}
    for page in opened:
        before = refresh(stage, page)
        noted, times = {}, {name: [0.0][:0] for name in names}
        for name in names:
            with places.at(name):
                noted[name] = measure.asked(page, before=before)
        for _ in range(runs if page.timed else 0):
            for name in names:
                with places.at(name):
                    times[name].append(measure.timed(page, before=before))
        for name in names:
            with places.at(name):
                found[name].append(measure.cost(page, noted[name], times[name], known=known[name]))
    say(f"opened {len(opened)} pages in {time.monotonic() - begun:.0f} s")
    return found[databases.FEW], found[databases.NAME]


def unwritten(costs: Sequence[Cost]) -> list[str]:
    """Pages that ask more often than is written down in query_counts.json, or are not written down at all."""
    written = json.loads(BASELINE.read_text(encoding="utf-8"))
    return [
        f"{one.name}: {one.queries} queries, and {written.get(one.name, 'nothing')} written down"
        for one in costs
        if one.queries > written.get(one.name, 0)
    ]


def write_down(found: Found) -> None:
    """What each page asks now, in place of what was written down: smaller numbers, or larger ones with a reason."""
    few = {one.name: one.queries for one in found.few}
    counts = {one.name: max(one.queries, few[one.name]) for one in found.many}
    BASELINE.write_text(json.dumps(counts, indent=0, sort_keys=True) + "\n", encoding="utf-8")


def sizes_of(options: argparse.Namespace, proposals: int) -> Sizes:
    """In proportion to what was asked for the larger one."""
    share = proposals / options.proposals
    events = options.events if options.events is not None else 3 * options.proposals
    candles = options.candles if options.candles is not None else options.proposals
    return Sizes(proposals=proposals, events=int(events * share), candles=int(candles * share))


def vacuum() -> None:
    """As the database itself does after a while: it also notes what is visible to everybody."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def tables() -> list[Table]:
    """The largest, largest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, reltuples::bigint, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
            "ORDER BY pg_total_relation_size(oid) DESC LIMIT %s",
            [TABLES_SHOWN],
        )
        return [Table(*row) for row in cursor.fetchall()]


def _one(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]
