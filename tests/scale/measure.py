"""What a page costs: how many queries, how long, and what PostgreSQL read for each of them.

Rows read are of the executed plan: what a scan gave and what it threw away. That is the same on every machine and at
every load, where a time is not.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from django.db import connection, transaction

from tests.scale.pages import Page

# So many rows make a table big: reading more than half of it is a defect.
BIG: Final = 10_000
NOT_ITS_OWN: Final = (
    "SAVEPOINT",
    "RELEASE SAVEPOINT",
    'UPDATE "accounts_browsersession"',
    'UPDATE "accounts_apikey"',
)
# So many rows may be read for one query of a page, however many there are.
READ_MAX: Final = 5_000


@dataclass(frozen=True, kw_only=True)
class Query:
    """One SELECT: its text, milliseconds in the database, rows and blocks (8 KB) read, and how many rows of which table
    were read from its beginning on."""

    sql: str
    ms: float
    read: int
    blocks: int
    whole: Mapping[str, int]
    plan: str


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one page. `ms` is the median of several times, of the whole answer; 0 where it was not timed."""

    name: str
    queries: int
    ms: float
    reads: Sequence[Query]

    @property
    def most(self) -> int:
        """Rows read by the query that read most."""
        return max((query.read for query in self.reads), default=0)

    @property
    def blocks(self) -> int:
        """Blocks read by all of its queries."""
        return sum(query.blocks for query in self.reads)


Asked = list[tuple[str, Any]]


def asked(page: Page, *, before: Callable[[], None]) -> Asked:
    """The queries of one answer, without what is not the page's own: marks within a transaction, and that a person or a
    key was seen, which is written once a minute."""
    before()
    if page.learnt:
        page.get()
        before()
    noted: Asked = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith(NOT_ITS_OWN):
            noted.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        page.get()
    return noted


def timed(page: Page, *, before: Callable[[], None]) -> float:
    """Milliseconds until the whole answer was there."""
    before()
    begun = time.perf_counter()
    page.get()
    return (time.perf_counter() - begun) * 1000


def cost(page: Page, noted: Asked, times: Sequence[float], *, known: dict[tuple[str, str], Query]) -> Cost:
    """What was noted, with what PostgreSQL reads for it. What every page asks is explained once, and `known` then."""
    selects = {
        (sql, str(params)): (sql, params) for sql, params in noted if sql.lstrip().startswith(("SELECT", "WITH"))
    }
    for key, (sql, params) in selects.items():
        if key not in known:
            known[key] = explained(sql, params)
    reads = [known[key] for key in selects]
    return Cost(name=page.name, queries=len(noted), ms=median(times) if times else 0.0, reads=reads)


def explained(sql: str, params: Any) -> Query:
    """The query once more, with what PostgreSQL did. What locks rows lets them go at once."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params)
        answer = cursor.fetchone()[0]
    found = (json.loads(answer) if isinstance(answer, str) else answer)[0]
    scans = [node for node in nodes(found["Plan"]) if "Relation Name" in node]
    whole: dict[str, int] = {}
    for node in scans:
        if node["Node Type"] == "Seq Scan":
            whole[node["Relation Name"]] = max(read_by(node), whole.get(node["Relation Name"], 0))
    return Query(
        sql=sql,
        ms=float(found["Execution Time"]),
        read=max((read_by(node) for node in scans), default=0),
        blocks=found["Plan"]["Shared Hit Blocks"] + found["Plan"]["Shared Read Blocks"],
        whole=whole,
        plan=", ".join(f"{node['Node Type']} on {node.get('Index Name') or node['Relation Name']}" for node in scans),
    )


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def read_by(node: dict[str, Any]) -> int:
    """Rows a scan gave and rows it threw away, over all its loops."""
    thrown = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + thrown) * node["Actual Loops"])


def big_tables() -> dict[str, int]:
    """Tables with more than `BIG` rows, by what ANALYZE counted."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname, reltuples::bigint FROM pg_class WHERE relkind = 'r' AND reltuples > %s", [BIG])
        return dict(cursor.fetchall())


def faults(few: Sequence[Cost], many: Sequence[Cost], *, big: Mapping[str, int]) -> Iterator[str]:
    """What grows with the rows: in queries, in rows read, in a table read to more than half. Times are judged by who
    looks."""
    before = {one.name: one for one in few}
    for one in many:
        then = before[one.name]
        if one.queries > then.queries:
            yield f"{one.name}: {then.queries} queries became {one.queries}"
        for query in one.reads:
            if whole := sorted(table for table, read in query.whole.items() if read * 2 > big.get(table, read * 2)):
                yield f"{one.name}: reads {', '.join(whole)} from one end to the other: {query.sql[:300]}"
            elif query.read > max(READ_MAX, 2 * then.most):
                yield f"{one.name}: reads {query.read} rows ({query.plan}): {query.sql[:300]}"
