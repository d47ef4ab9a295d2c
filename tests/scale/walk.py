"""From an empty database to two sizes, and every page at both."""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection

from tests.scale import measure
from tests.scale.measure import Cost
from tests.scale.multiply import Multiplier, Sizes
from tests.scale.pages import pages, refresh
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
    """Make the desk, multiply it twice, open everything each time."""
    many_sizes = sizes_of(options, options.proposals)
    few_sizes = sizes_of(options, options.few)
    simulator = SimulatorProcess().start()
    try:
        desk = over(simulator)
        multiplier = Multiplier().take()
        stage = present(desk)
        found = []
        for sizes in few_sizes, many_sizes:
            begun = time.monotonic()
            multiplier.grow(sizes)
            vacuum()
            say(f"{sizes.proposals} proposals in {time.monotonic() - begun:.0f} s")
            found.append(costs(stage, runs=options.runs))
            say(f"opened {len(found[-1])} pages in {time.monotonic() - begun:.0f} s")
    finally:
        simulator.stop()
    few, many = found
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


def unwritten(costs: Sequence[Cost]) -> list[str]:
    """Pages that ask more often than is written down in query_counts.json, or are not written down at all."""
    written = json.loads(BASELINE.read_text(encoding="utf-8"))
    return [
        f"{one.name}: {one.queries} queries, and {written.get(one.name, 'nothing')} written down"
        for one in costs
        if one.queries > written.get(one.name, 0)
    ]


def sizes_of(options: argparse.Namespace, proposals: int) -> Sizes:
    """In proportion to what was asked for the larger one."""
    share = proposals / options.proposals
    events = options.events if options.events is not None else 3 * options.proposals
    candles = options.candles if options.candles is not None else options.proposals
    return Sizes(proposals=proposals, events=int(events * share), candles=int(candles * share))


def costs(stage: Stage, *, runs: int) -> list[Cost]:
    """Of every page."""
    known: dict[tuple[str, str], measure.Query] = {}
    return [
        measure.cost(page, before=refresh(stage, page), runs=runs if page.timed else 0, known=known)
        for page in pages(stage)
    ]


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
