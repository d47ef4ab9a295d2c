"""Counting for policy stays quick at a hundred thousand closed trades: every read is a range of an index, and the rows
themselves, which are wide, are left alone."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Desk
from apps.lessons.selectors.evidence import evidence
from apps.lessons.types import Evidence, MistakeTag

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no plan like this to read"),
    pytest.mark.django_db(transaction=True),
]

TRADES = 100_000
YEAR_S = 365 * 86_400
NOW = datetime(2026, 3, 2, 14, 46, tzinfo=UTC)
TAGS = [tag.value for tag in MistakeTag]
# A proposal that breaks two facts, and of which six are not known.
ASKED: dict[str, Any] = {
    "tags": [TAGS[0], TAGS[1]],
    "violated_facts": ["fact_0", "fact_1"],
    "unknown_facts": [f"fact_{number}" for number in range(2, 8)],
    "verdicts": ["PROCESS_ERROR", "EXECUTION"],
    "now": NOW,
}


@pytest.fixture
def year(desk: Desk) -> Desk:
    """A desk that closed a hundred thousand trades in a year; three in ten broke something, with a tag for it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO lessons_case (id, source, source_id, desk_id, environment, approver_ids, product, asset_class,
                side, quantity, quote_currency, exit_price, fees, pnl, result, r_multiple, thesis, setup, exit_reason,
                regime, notes, facts, facts_version, verdict, counts, summary, summary_version, thesis_text,
                narrative_text, content_hash, closed_at, created_at, updated_at)
            SELECT gen_random_uuid(), 'IMPORTED', n::text, %(desk)s, 'paper', '[]', 'BTC-USD', 'crypto', 'BUY', 1,
                'USD', 1, 0, 1, CASE WHEN n %% 5 < 2 THEN 'LOST' ELSE 'WON' END, -1, repeat('t', 200), '', '', '', '',
                '[]', 1, CASE WHEN n %% 10 < 3 THEN 'PROCESS_ERROR' ELSE 'PLANNED_LOSS' END, true, repeat('s', 400), 1,
                '', '', '', %(now)s - make_interval(secs => n::float * %(year)s / %(trades)s), %(now)s, %(now)s
            FROM generate_series(0, %(trades)s - 1) AS n
            """,
            {"desk": desk.pk, "now": NOW, "year": YEAR_S, "trades": TRADES},
        )
        cursor.execute(
            """
            INSERT INTO lessons_casetag (case_id, desk_id, closed_at, tag, source, confidence, because, counts,
                disputed)
            SELECT id, desk_id, closed_at, (%s::text[])[1 + (source_id::int / 10) %% %s], 'RULE', 1, '', true, false
            FROM lessons_case WHERE verdict = 'PROCESS_ERROR'
            """,
            [TAGS, len(TAGS)],
        )
        cursor.execute(
            """
            INSERT INTO lessons_caseviolation (case_id, desk_id, closed_at, fact)
            SELECT id, desk_id, closed_at, 'fact_' || (source_id::int / 10) %% %s
            FROM lessons_case WHERE verdict = 'PROCESS_ERROR'
            """,
            [len(TAGS)],
        )
        for table in ("case", "casetag", "caseviolation"):
            # As the database itself does after a while: it also notes what is visible to everybody.
            cursor.execute(f"VACUUM ANALYZE lessons_{table}")
    return desk


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def explained(captured: CaptureQueriesContext) -> list[tuple[float, dict[str, Any]]]:
    """How many ms each query took, and what PostgreSQL did."""
    found = []
    for query in captured.captured_queries:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query['sql']}".replace("%", "%%"), [])
            (answer,) = cursor.fetchone()
        (top,) = json.loads(answer) if isinstance(answer, str) else answer
        found.append((top["Execution Time"], top["Plan"]))
    return found


def count(desk: Desk, days: int) -> Evidence:
    return evidence(desk_id=desk.pk, window_days=days, **ASKED)


def test_every_read_is_a_range_of_an_index_and_of_nothing_else(year: Desk, record_property: Any) -> None:
    for days in (30, 90, 366):
        with CaptureQueriesContext(connection) as captured:
            found = count(year, days)
        assert found.losses > 100
        assert len(captured) == 3
        read = explained(captured)
        for _, plan in read:
            scans = [node for node in nodes(plan) if "Scan" in node["Node Type"]]
            assert {node["Node Type"] for node in scans} == {"Index Only Scan"}
            assert sum(node["Heap Fetches"] for node in scans) == 0
            used = {node["Index Name"] for node in scans}
            assert used <= {"case_ended", "case_tag_weighed", "case_violation_weighed"}
            assert not [
                node for node in nodes(plan) if "Join" in node["Node Type"] or node["Node Type"] == "Nested Loop"
            ]
            assert not [node for node in nodes(plan) if node["Node Type"] == "Gather"]
        record_property(f"sql_ms_{days}", sum(took for took, _ in read))
