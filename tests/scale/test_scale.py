"""The walk at a small size: nothing that is opened grows with the past, and a page that does is caught."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import connection

from apps.trades.models import Proposal
from apps.trades.selectors.pages import record_of
from tests.scale import measure, pages, stage, walk
from tests.scale.measure import Cost, Query
from tests.scale.multiply import Multiplier, Sizes
from tests.scale.report import BEGIN, END, write
from tests.scale.stage import over, present
from tests.venues.simulator_process import SimulatorProcess

on_postgres = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no plan like this to read")
BASELINE = Path(__file__).with_name("query_counts.json")
FEW, MANY = 60, 600
BIG = 20_000
READ_MAX = 200


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Sizes]]:
    """Small ones of a small original, and as small a bound on what a query may read."""
    cache.clear()
    for name in ("ROUND_TRIPS", "DENIED", "DECLINED", "EXPIRED", "WITHDRAWN"):
        monkeypatch.setattr(stage, name, 1)
    monkeypatch.setattr(measure, "READ_MAX", READ_MAX)
    yield [Sizes(proposals=count, events=3 * count, candles=count) for count in (FEW, MANY)]


@pytest.mark.slow
@pytest.mark.postgres
@on_postgres
@pytest.mark.django_db
def test_the_past_grows_as_asked_and_a_page_that_reads_all_of_it_is_caught(
    simulator: SimulatorProcess, sizes: list[Sizes], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = over(simulator)
    multiplier = Multiplier().take()
    present(desk)
    waiting = Proposal.objects.filter(state="AWAITING_APPROVAL").count()
    costs: list[list[Cost]] = []
    for size in sizes:
        multiplier.grow(size)
        costs.append([measured("newest", "ORDER BY created_at DESC, id DESC LIMIT 10"), measured("naive", NAIVE)])
    assert Proposal.objects.count() >= MANY
    assert Proposal.objects.filter(state="AWAITING_APPROVAL").count() == waiting
    found = list(measure.faults(*costs, big={"trades_proposal": MANY}))
    assert [line.partition(":")[0] for line in found] == ["naive"]


@pytest.mark.slow
@pytest.mark.postgres
@on_postgres
@pytest.mark.django_db
def test_no_page_asks_more_than_is_written_down(simulator: SimulatorProcess, sizes: list[Sizes]) -> None:
    made = present(over(simulator))
    opened = pages.pages(made)

    def cost_now(page: pages.Page) -> Cost:
        noted = measure.asked(page, before=pages.refresh(made, page))
        return Cost(name=page.name, queries=len(noted), ms=0.0, reads=[])

    assert len(opened) > 150
    over_it = [page for page in opened if walk.unwritten([cost_now(page)])]
    # What is kept for seconds (a price, the bar) may run out just then: what a page really asks, it asks each time.
    again = [min((cost_now(page) for _ in range(3)), key=lambda cost: cost.queries) for page in over_it]
    assert walk.unwritten(again) == []


def test_a_page_that_asks_more_or_is_new_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tmp_path / "counts.json"
    monkeypatch.setattr(walk, "BASELINE", written)
    walk.write_down(
        found_of([cost_of("desk", queries=3), cost_of("watch")], [cost_of("desk", queries=2), cost_of("watch")])
    )
    assert json.loads(written.read_text(encoding="utf-8")) == {"desk": 3, "watch": 1}
    assert walk.unwritten([cost_of("desk", queries=3), cost_of("watch", queries=0)]) == []
    assert walk.unwritten([cost_of("desk", queries=4), cost_of("new")]) == [
        "desk: 4 queries, and 3 written down",
        "new: 1 queries, and nothing written down",
    ]


@pytest.mark.postgres
@on_postgres
def test_a_proposers_record_is_counted_off_an_index_and_reads_no_row(db: None, now: datetime) -> None:
    noted: measure.Asked = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        noted.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        record_of(proposer_id=uuid4(), api_key_id=uuid4(), since=now)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
    sql, params = noted[0]
    assert measure.explained(sql, params).plan == "Index Only Scan on proposal_proposer_record"
    of_ids = sql.replace("COUNT(*)", 'COUNT("trades_proposal"."id")')
    assert measure.explained(of_ids, params).plan == "Index Scan on proposal_proposer_record"


# What nobody has an index for.
NAIVE = "WHERE end_reason = 'nothing' ORDER BY id LIMIT 10"


def measured(name: str, how: str) -> Cost:
    """The plan that PostgreSQL takes where it may read whole tables only if nothing else is left."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    sql = f"SELECT * FROM trades_proposal {how}"  # noqa: S608  a constant
    return Cost(name=name, queries=1, ms=1.0, reads=[measure.explained(sql, [])])


def cost_of(name: str, *, queries: int = 1, read: int = 10, whole: Any = None) -> Cost:
    return Cost(
        name=name,
        queries=queries,
        ms=1.0,
        reads=[Query(sql="SELECT", ms=1.0, read=read, blocks=1, whole=whole or {}, plan="a scan")],
    )


@pytest.mark.parametrize(
    ("grown", "said"),
    [
        ({}, []),
        ({"queries": 2}, ["page: 1 queries became 2"]),
        ({"queries": 0}, []),
        ({"read": measure.READ_MAX + 1}, ["page: reads 5001 rows"]),
        ({"read": measure.READ_MAX}, []),
        ({"whole": {"big": BIG}}, ["page: reads big from one end to the other"]),
        ({"whole": {"big": BIG // 2 + 1}}, ["page: reads big from one end to the other"]),
        # It ended where enough was found.
        ({"whole": {"big": BIG // 2}}, []),
        ({"whole": {"small": BIG}}, []),
    ],
)
def test_what_grows_is_said(grown: dict[str, Any], said: list[str]) -> None:
    found = list(measure.faults([cost_of("page")], [cost_of("page", **grown)], big={"big": BIG}))
    assert len(found) == len(said)
    assert all(line.startswith(start) for line, start in zip(found, said, strict=True))


def found_of(few: list[Cost], many: list[Cost]) -> walk.Found:
    size = Sizes(proposals=1, events=1, candles=1)
    return walk.Found(
        few_sizes=size, many_sizes=size, few=few, many=many, faults=[], tables=[], database_bytes=1, version="15"
    )


def test_the_page_keeps_what_people_wrote(tmp_path: Path) -> None:
    page = tmp_path / "scale.md"
    page.write_text(f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n", encoding="utf-8")
    one = cost_of("desk")
    write(page, found_of([one], [one]))
    text = page.read_text(encoding="utf-8")
    assert text.startswith("Before.\n") and text.endswith("\nAfter.\n") and "old" not in text
    assert "| desk | 1 | 1 | 1 | 1.00 | 1 | 1 | 10 |" in text


def test_the_baseline_names_every_page_once() -> None:
    written = json.loads(BASELINE.read_text(encoding="utf-8"))
    assert {"desk", "watch", "decision", "trades.proposal", "audit.event", "api /approvals"} <= set(written)
